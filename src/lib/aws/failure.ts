import {messageOf, PosternError, type ErrorCode} from '../core/errors.js'

/** What errors of the SDK carry besides their text. */
interface AwsError extends Error {
  readonly $metadata?: {readonly httpStatusCode?: number}
  readonly code?: string
}

const deniedNames: ReadonlySet<string> = new Set(['AccessDenied', 'AccessDeniedException', 'UnauthorizedOperation'])
const missingName = /NotFound|NoSuchEntity/

/** Whether AWS says that the caller may not. */
export const isDenied = (error: unknown): boolean => deniedNames.has(nameOf(error))

/** Whether AWS says that there is no such thing. */
export const isMissing = (error: unknown): boolean => missingName.test(nameOf(error))

/** Whether AWS may say something else a moment later: it neither refused, nor lacks the thing, nor is it without our credentials. */
export function mayPass(error: unknown): boolean {
  if (!(error instanceof PosternError)) return !isDenied(error) && !isMissing(error)
  return error.cause === undefined ? error.code === 'UNREACHABLE' : mayPass(error.cause)
}

const nameOf = (error: unknown): string => (error as Partial<AwsError> | undefined)?.name ?? ''

/** What AWS adds to refused signatures: the whole request, with whatever secret was in it. */
const requestText = /The Canonical String|The String-to-Sign/i
const longestText = 500

/** An error of the SDK as `Name: text`, on one line, without the request that it may quote. */
export function describeAwsError(error: unknown): string {
  const name = nameOf(error)
  const [said = ''] = messageOf(error).replace(/\s+/g, ' ').split(requestText)
  const text = said.trim().slice(0, longestText) || 'no reason given'
  const speaks = (error as Partial<AwsError> | undefined)?.$metadata?.httpStatusCode !== undefined
  return speaks && name !== '' && name !== 'Error' ? `${name}: ${text}` : text
}

/**
 * A failed request to AWS as an error of ours.
 * @param what the sentence's beginning: what could not be done
 */
export function awsFailure(error: unknown, what: string, hint: string | readonly string[] = []): PosternError {
  if (error instanceof PosternError) return error
  return new PosternError(codeOf(error), `${what}: ${describeAwsError(error).replace(/\.$/, '')}.`, {
    cause: error,
    hint,
  })
}

function codeOf(error: unknown): ErrorCode {
  if (isDenied(error)) return 'ACCESS_DENIED'
  if (isMissing(error)) return 'NOT_FOUND'
  const {$metadata, code} = error as Partial<AwsError>
  return $metadata?.httpStatusCode === undefined && code !== undefined ? 'UNREACHABLE' : 'FAILED'
}
