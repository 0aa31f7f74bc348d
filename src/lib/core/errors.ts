import {isNativeError} from 'node:util/types'

/** What went wrong, in a form that scripts and the API can rely on. */
export type ErrorCode =
  | 'FAILED'
  | 'INTERNAL'
  | 'CONFLICT'
  | 'TOO_MANY_REQUESTS'
  | 'USAGE'
  | 'INVALID'
  | 'NOT_LOGGED_IN'
  | 'EXPIRED'
  | 'ACCESS_DENIED'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'UNREACHABLE'
  | 'UNTRUSTED'

interface ErrorKind {
  /** Exit code of the CLI. */
  readonly exit: number
  /** Status of an API answer. */
  readonly http: number
}

/** The one table of codes: exit codes for scripts, HTTP statuses for the API. */
const errorKinds: Readonly<Record<ErrorCode, ErrorKind>> = {
  FAILED: {exit: 1, http: 500},
  INTERNAL: {exit: 1, http: 500},
  CONFLICT: {exit: 1, http: 412},
  TOO_MANY_REQUESTS: {exit: 1, http: 429},
  USAGE: {exit: 2, http: 400},
  INVALID: {exit: 1, http: 400},
  NOT_LOGGED_IN: {exit: 3, http: 401},
  EXPIRED: {exit: 3, http: 401},
  ACCESS_DENIED: {exit: 4, http: 403},
  NOT_FOUND: {exit: 5, http: 404},
  ALREADY_EXISTS: {exit: 6, http: 409},
  UNREACHABLE: {exit: 7, http: 502},
  UNTRUSTED: {exit: 7, http: 502},
}

export interface ErrorDetails {
  /** Why it happened, one sentence, as far as that is known. */
  readonly detail?: string | undefined
  /** A stable word for that, for programs. */
  readonly problem?: string | undefined
  /** What the reader should try next, one sentence each. */
  readonly hint?: string | readonly string[] | undefined
  readonly cause?: unknown
}

/** The only error class: a stable code, a sentence, why, what to try next. */
export class PosternError extends Error {
  override readonly name = 'PosternError'
  readonly code: ErrorCode
  readonly detail: string | undefined
  readonly problem: string | undefined
  readonly hints: readonly string[]

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : {cause: details.cause})
    this.code = code
    this.detail = details.detail
    this.problem = details.problem
    this.hints = details.hint === undefined ? [] : typeof details.hint === 'string' ? [details.hint] : details.hint
  }

  get exitCode(): number {
    return errorKinds[this.code].exit
  }

  get httpStatus(): number {
    return errorKinds[this.code].http
  }
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(errorKinds, value)
}

/** The one door through which unknown failures become known ones. */
export function toPosternError(error: unknown): PosternError {
  if (error instanceof PosternError) return error
  switch ((error as NodeJS.ErrnoException | undefined)?.code) {
    case 'ECONNREFUSED':
    case 'ECONNRESET':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'ETIMEDOUT':
    case 'EPIPE':
      return new PosternError('UNREACHABLE', messageOf(error), {cause: error})
    default:
      return new PosternError('INTERNAL', messageOf(error), {cause: error})
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  // A name with several addresses fails with one error for each, under an empty message.
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ')
  if (!(error instanceof Error || isNativeError(error))) return String(error)
  // In the message of a failed handshake OpenSSL's reason stands between addresses, file names and a line break.
  const {library, reason} = error as {readonly library?: unknown; readonly reason?: unknown}
  return library === 'SSL routines' && typeof reason === 'string' ? reason : error.message
}
