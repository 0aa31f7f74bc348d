import type {Secret} from '../core/secret.js'

/** Credentials of AWS: an access key, and for a session its token and end. */
export interface AwsSession {
  readonly accessKeyId: string
  readonly secretAccessKey: Secret
  readonly sessionToken?: Secret | undefined
  /** Wall-clock milliseconds; undefined for keys that do not expire. */
  readonly expires?: number | undefined
}

/** The same in the clear, as the SDK wants it. */
export interface ClearCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  readonly expiration?: Date
}

/** For the SDK only. */
export function revealSession({accessKeyId, secretAccessKey, sessionToken, expires}: AwsSession): ClearCredentials {
  return {
    accessKeyId,
    secretAccessKey: secretAccessKey.reveal(),
    ...(sessionToken && {sessionToken: sessionToken.reveal()}),
    ...(expires !== undefined && {expiration: new Date(expires)}),
  }
}
