import {toPosternError, type ErrorCode, type PosternError} from '../core/errors.js'
import type {ServerError} from '../pgwire/server-error.js'

/** SQLSTATEs that the agent itself gives (PostgreSQL documentation, "PostgreSQL Error Codes"). */
export const sqlStates = {
  /** Another agent may reach the database: clients of ours try it. */
  cannotConnect: '08001',
  connectionFailed: '08006',
  protocolViolation: '08P01',
  featureNotSupported: '0A000',
  notAuthorized: '28000',
  noSuchDatabase: '3D000',
  insufficientPrivilege: '42501',
  programLimitExceeded: '54000',
  endedByAdministrator: '57P01',
  idleTooLong: '57P05',
  tooManyConnections: '53300',
  auditFailed: '58030',
  internalError: 'XX000',
} as const

const statesByCode: Partial<Readonly<Record<ErrorCode, string>>> = {
  ACCESS_DENIED: sqlStates.notAuthorized,
  EXPIRED: sqlStates.notAuthorized,
  NOT_LOGGED_IN: sqlStates.notAuthorized,
  NOT_FOUND: sqlStates.noSuchDatabase,
  UNREACHABLE: sqlStates.cannotConnect,
  UNTRUSTED: sqlStates.connectionFailed,
  FAILED: sqlStates.connectionFailed,
  INVALID: sqlStates.connectionFailed,
}

/** An error that ends the session. */
export function fatal(code: string, message: string, hint?: string): ServerError {
  return {severity: 'FATAL', code, message, hint}
}

/** Nothing goes on that cannot be audited. */
export function auditFailed(message: string): ServerError {
  const hint = 'The log of its agent says why; most often the disk with the agent’s data_dir is full.'
  return fatal(sqlStates.auditFailed, message, hint)
}

/** What the client is told about a failure: the cause and what to do, never the inside of a defect. */
export function describeFailure(error: unknown): ServerError {
  const failure = toPosternError(error)
  if (isServerError(failure.cause)) {
    const {code, detail} = failure.cause
    return {severity: 'FATAL', code, message: failure.message, detail: failure.detail ?? detail, hint: hintOf(failure)}
  }
  const code = statesByCode[failure.code]
  if (code === undefined) {
    return fatal(sqlStates.internalError, 'The agent failed to handle this session.', 'Its log says why.')
  }
  return {...fatal(code, failure.message, hintOf(failure)), detail: failure.detail}
}

function hintOf({hints}: PosternError): string | undefined {
  return hints.length > 0 ? hints.join(' ') : undefined
}

export function isServerError(value: unknown): value is ServerError {
  return typeof value === 'object' && value !== null && !(value instanceof Error) && 'severity' in value
}
