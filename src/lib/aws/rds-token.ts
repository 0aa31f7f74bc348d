/** Sign-in to RDS, Aurora and RDS Proxy: a presigned request for `rds-db:connect` is the password. */
import {PosternError} from '../core/errors.js'
import {Secret} from '../core/secret.js'
import {isAwsHost, type Address} from '../resources/endpoint.js'
import {revealSession, type AwsSession} from './session.js'

/** How long AWS takes a token for, milliseconds; the credentials behind it must live as long. */
export const tokenLifetime = 15 * 60_000

export interface TokenRequest {
  /** As registered: the token is good for this name and port alone. */
  readonly endpoint: Address
  readonly region: string
  readonly user: string
  readonly session: AwsSession
}

/**
 * Made here: nobody is asked.
 * @throws PosternError INVALID for a name that is not AWS's: the server checks the token for its own, and says only that PAM failed
 */
export async function signRdsToken({endpoint, region, user, session}: TokenRequest): Promise<Secret> {
  if (!isAwsHost(endpoint.host)) {
    const message = `An IAM token for "${endpoint.host}" cannot work: AWS takes tokens for the endpoint's own name alone, not for an alias or an address.`
    throw new PosternError('INVALID', message, {
      hint: 'Make the AWS endpoint the uri of the database; db_service.connect_addrs or POSTERN_RESOLVE say where to dial instead.',
    })
  }
  const {Signer} = await import('@aws-sdk/rds-signer')
  const signer = new Signer({
    hostname: endpoint.host,
    port: endpoint.port,
    region,
    username: user,
    credentials: revealSession(session),
  })
  return new Secret(await signer.getAuthToken())
}
