/** An OpenID Connect provider of the sandbox's own, as an EKS cluster has one for its service accounts (IRSA). */
import {generateKeyPairSync, sign, verify} from 'node:crypto'
import {Secret} from '../core/secret.js'
import {Fault} from './fault.js'

/** The provider's URL without scheme, as IAM writes it in conditions and ARNs. */
export const issuer = 'oidc.sandbox.postern.dev'
const audience = 'sts.amazonaws.com'
const tokenSeconds = 86_400

export interface WebIdentityClaims {
  readonly iss: string
  readonly sub: string
  readonly aud: string
  /** Seconds since 1970. */
  readonly exp: number
}

// One provider for the process: a token of another process is no token here.
const keys = generateKeyPairSync('ec', {namedCurve: 'P-256'})

const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url')

/** A signed token for the subject, good for a day. @param now milliseconds since 1970. */
export function issueWebIdentity(subject: string, now: number): Secret {
  const claims: WebIdentityClaims = {
    iss: `https://${issuer}`,
    sub: subject,
    aud: audience,
    exp: Math.floor(now / 1000) + tokenSeconds,
  }
  const signed = `${encode({alg: 'ES256', typ: 'JWT'})}.${encode(claims)}`
  const signature = sign('sha256', Buffer.from(signed), {key: keys.privateKey, dsaEncoding: 'ieee-p1363'})
  return new Secret(`${signed}.${signature.toString('base64url')}`)
}

/** @throws Fault InvalidIdentityToken for a token of somebody else, ExpiredTokenException for an old one. */
export function verifyWebIdentity(token: string, now: number): WebIdentityClaims {
  const [header = '', payload = '', signature = ''] = token.split('.')
  const key = {key: keys.publicKey, dsaEncoding: 'ieee-p1363'} as const
  if (!verify('sha256', Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, 'base64url'))) {
    throw new Fault('InvalidIdentityToken', 400, "Couldn't retrieve verification key from your identity provider")
  }
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as WebIdentityClaims
  if (now >= claims.exp * 1000) throw new Fault('ExpiredTokenException', 400, 'Token expired')
  return claims
}
