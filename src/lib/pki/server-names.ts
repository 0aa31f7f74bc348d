import {checkServerIdentity, type PeerCertificate} from 'node:tls'
import {PosternError} from '../core/errors.js'

/**
 * Whether a server's certificate is for the name that was dialled (RFC 6125 §6.4.4): by its alternative names alone. Node
 * would take its common name where it has no alternative name of the kind DNS, such as one with addresses only.
 */
export function checkServerNames(name: string, certificate: PeerCertificate): Error | undefined {
  if (!certificate.subjectaltname) return new PosternError('UNTRUSTED', 'The server shows a certificate without names.')
  return checkServerIdentity(name, {...certificate, subject: {}})
}
