/**
 * An AWS identity proved to somebody else, without a secret of ours:
 *
 *   control plane ── challenge ─► host: signs sts:GetCallerIdentity, challenge and its public key among the signed headers
 *   host ── host name, date, session token, signature ─► control plane ── the same request ─► STS: account and ARN
 *
 * The request is the same on both sides to the letter, so that only what the signature adds crosses the wire.
 */
import {createHash} from 'node:crypto'
import type {STSClient} from '@aws-sdk/client-sts'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import {AwsClients, using} from './clients.js'
import type {AwsEnvironment} from './environment.js'
import {HostCredentials} from './host-credentials.js'

/** What the signature of a host adds to the request. */
export interface IdentityProof {
  /** Of the STS endpoint that the request is signed for, with its port when it is not the usual one. */
  readonly host: string
  /** `20150830T123600Z` */
  readonly date: string
  /** Of a session; absent for the keys of a user. */
  readonly sessionToken?: string | undefined
  /** The Authorization header. */
  readonly authorization: string
}

/** What a proof is good for: one challenge, and the host whose key it is. */
export interface Binding {
  readonly challenge: string
  /** SPKI, PEM. */
  readonly publicKey: string
}

export const identityRequest = {
  method: 'POST',
  path: '/',
  body: 'Action=GetCallerIdentity&Version=2011-06-15',
} as const

/** The headers that are known before anybody signs. */
export function fixedHeaders({challenge, publicKey}: Binding): Readonly<Record<string, string>> {
  return {
    'content-type': 'application/x-www-form-urlencoded; charset=utf-8',
    'x-amz-content-sha256': sha256(identityRequest.body),
    'x-postern-challenge': challenge,
    'x-postern-public-key': sha256(publicKey),
  }
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** Who signs: the host that these variables describe. */
export interface ProverOptions {
  readonly environment: AwsEnvironment
  readonly clock: Clock
}

interface SignedRequest {
  readonly headers: Readonly<Record<string, string>>
}

/** The SDK's type for a step around a request; it exports no name for it. */
type Middleware = Parameters<STSClient['middlewareStack']['add']>[0]

/** Signed with the credentials of this host; AWS is not asked. @throws PosternError FAILED naming every source without credentials */
export async function proveIdentity(binding: Binding, {environment, clock}: ProverOptions): Promise<IdentityProof> {
  const clients = new AwsClients(environment)
  const session = await new HostCredentials({environment, clients, clock}).get()
  const {GetCallerIdentityCommand} = await import('@aws-sdk/client-sts')
  const client = await clients.sts({session, region: await clients.defaultRegion()})
  let signed: SignedRequest | undefined
  const agree: Middleware = (next) => (step) => {
    const request = step.request as {headers: Record<string, string>; body: unknown}
    const {host = ''} = request.headers
    request.headers = {host, ...fixedHeaders(binding)}
    request.body = identityRequest.body
    return next(step)
  }
  const keep: Middleware = () => (step) => {
    signed = step.request as SignedRequest
    return Promise.resolve({output: {$metadata: {}}, response: undefined})
  }
  // Around the SDK's own signer: before it, the request becomes the agreed one; after it, it is kept instead of sent.
  const toMiddleware = 'httpSigningMiddleware'
  client.middlewareStack.addRelativeTo(agree, {name: 'agree', relation: 'before', toMiddleware})
  client.middlewareStack.addRelativeTo(keep, {name: 'keep', relation: 'after', toMiddleware})
  await using(client, (sts) => sts.send(new GetCallerIdentityCommand({})))
  return readProof(signed)
}

function readProof(signed: SignedRequest | undefined): IdentityProof {
  const {host, authorization, 'x-amz-date': date, 'x-amz-security-token': sessionToken} = signed?.headers ?? {}
  if (host === undefined || authorization === undefined || date === undefined) {
    throw new PosternError('INTERNAL', 'The AWS SDK did not sign the request.')
  }
  return {host, authorization, date, ...(sessionToken !== undefined && {sessionToken})}
}
