import {X509Certificate} from 'node:crypto'
import {createSecureContext, type SecureContext} from 'node:tls'
import {messageOf, PosternError} from '../core/errors.js'
import type {Credentials} from '../pki/credentials.js'

interface Entry {
  readonly pair: Credentials
  readonly certificate: X509Certificate
  readonly context: SecureContext
}

/** The certificates of the web endpoint: the administrator's, and our own where none of them fits. */
export class WebCertificates {
  readonly #configured: readonly Entry[]
  #own: Entry

  /** @throws PosternError INVALID when a configured pair cannot be used */
  constructor(configured: readonly Credentials[], own: Credentials) {
    this.#configured = configured.map((pair, index) => {
      try {
        return createEntry(pair)
      } catch (error) {
        throw new PosternError('INVALID', `Entry ${index + 1} of https_keypairs cannot be used: ${messageOf(error)}.`, {
          cause: error,
          hint: 'Give the certificate, with its chain, and the key that belongs to it, both in PEM.',
        })
      }
    })
    this.#own = createEntry(own)
  }

  renew(own: Credentials): void {
    this.#own = createEntry(own)
  }

  /** For a name in the ClientHello. */
  contextFor(serverName: string): SecureContext {
    const entry = [...this.#configured, this.#own].find(({certificate}) => covers(certificate, serverName))
    return entry?.context ?? createContext(this.fallback())
  }

  /** For clients that dial an address, and send no name. */
  fallback(): Credentials {
    return (this.#configured[0] ?? this.#own).pair
  }
}

function createEntry(pair: Credentials): Entry {
  return {pair, certificate: new X509Certificate(pair.certificate), context: createContext(pair)}
}

function createContext({certificate, privateKey}: Credentials): SecureContext {
  return createSecureContext({cert: certificate, key: privateKey.reveal(), minVersion: 'TLSv1.3'})
}

function covers(certificate: X509Certificate, name: string): boolean {
  return certificate.checkHost(name) !== undefined
}
