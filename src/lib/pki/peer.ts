import {X509Certificate} from 'node:crypto'
import type {TLSSocket} from 'node:tls'
import {PosternError} from '../core/errors.js'
import {decodeIdentity, type Identity} from './identity.js'

/** Extended key usages (RFC 5280 §4.2.1.12). */
export const keyPurposes = {server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2'} as const

export interface PeerRules {
  /** PEM certificates of the one authority this endpoint trusts for this purpose. */
  readonly authorities: readonly string[]
  readonly purpose: keyof typeof keyPurposes
  /** Wall-clock milliseconds. */
  readonly now: number
}

export interface Peer {
  readonly identity: Identity
  readonly certificate: X509Certificate
}

/**
 * Checks a leaf certificate by ourselves: signed by one of our authorities, for this purpose, valid now, with an
 * identity. A finished handshake is not enough: a resumed one repeats none of this.
 * @throws PosternError ACCESS_DENIED or EXPIRED
 */
export function verifyPeer(certificate: X509Certificate, rules: PeerRules): Peer {
  const refused = (why: string): PosternError => new PosternError('ACCESS_DENIED', `The certificate ${why}.`)
  const issuer = rules.authorities
    .map(readAuthority)
    .find((authority) => certificate.checkIssued(authority) && certificate.verify(authority.publicKey))
  if (!issuer) throw refused('was not issued by the authority that this endpoint trusts')
  if (certificate.ca) throw refused('is an authority, not a leaf')
  // Node calls the list of extended key usages `keyUsage`.
  if (!((certificate.keyUsage as string[] | undefined) ?? []).includes(keyPurposes[rules.purpose])) {
    throw refused(`is not meant for a ${rules.purpose}`)
  }
  checkValidity(certificate, rules.now)
  return {identity: decodeIdentity(certificate.raw), certificate}
}

/** Authorities are few and asked for at every connection. */
const maximumRemembered = 32
const remembered = new Map<string, X509Certificate>()

function readAuthority(pem: string): X509Certificate {
  const known = remembered.get(pem)
  if (known) return known
  const authority = new X509Certificate(pem)
  if (remembered.size >= maximumRemembered) remembered.clear()
  remembered.set(pem, authority)
  return authority
}

/** Asked so that a date which cannot be read counts as invalid. */
function checkValidity(certificate: X509Certificate, now: number): void {
  if (!(now >= Date.parse(certificate.validFrom))) {
    throw new PosternError('EXPIRED', `The certificate is valid only from ${certificate.validFrom}.`, {
      hint: 'Compare the clocks of the two machines.',
    })
  }
  if (!(now < Date.parse(certificate.validTo))) {
    throw new PosternError('EXPIRED', `The certificate expired at ${certificate.validTo}.`, {hint: 'Log in again.'})
  }
}

/** The leaf that the other end showed in this TLS connection, verified. @throws as verifyPeer, or when it showed none. */
export function verifySocket(socket: TLSSocket, rules: PeerRules): Peer {
  const certificate = socket.getPeerX509Certificate()
  if (!certificate) throw new PosternError('NOT_LOGGED_IN', 'The connection came without a certificate.')
  return verifyPeer(certificate, rules)
}
