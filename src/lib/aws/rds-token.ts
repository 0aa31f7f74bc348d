/** Sign-in to RDS, Aurora and RDS Proxy: a presigned request for `rds-db:connect` is the password. */
import {Secret} from '../core/secret.js'
import type {Address} from '../resources/endpoint.js'
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

/** Made here: nobody is asked. */
export async function signRdsToken({endpoint, region, user, session}: TokenRequest): Promise<Secret> {
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
