import {X509Certificate} from 'node:crypto'
import {createSecureContext, type SecureContext} from 'node:tls'
import type {ApiClient} from '../api/client.js'
import type {Clock} from '../core/clock.js'
import {messageOf} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import {generateKeys} from '../pki/keys.js'
import {hostRenewalTime} from '../pki/renewal.js'

export interface DirectCertificatesOptions {
  readonly api: Pick<ApiClient, 'directServerCertificate'>
  readonly clock: Clock
  readonly logger: Logger
  /** Whether clients may reach the database here; the name is in lower case. */
  readonly serves: (database: string) => boolean
}

interface Entry {
  readonly context: SecureContext
  /** Wall-clock milliseconds. */
  readonly renewAt: number
  readonly expires: number
}

/** Whoever can reach the proxy can send a ClientHello: a control plane that gives no certificate is not asked for each. */
const retryMilliseconds = 1000

/**
 * Server certificates of the direct route. Each names one database, so that a client of one learns of no other, and is
 * asked for when the first ClientHello for it arrives; it is renewed in use, at half of its life.
 */
export class DirectCertificates {
  readonly #options: DirectCertificatesOptions
  /** By the database's name in lower case, as below. */
  readonly #entries = new Map<string, Entry>()
  readonly #requests = new Map<string, Promise<Entry | undefined>>()
  /** Monotonic time before which it is not asked for again. */
  readonly #retryAt = new Map<string, number>()

  constructor(options: DirectCertificatesOptions) {
    this.#options = options
  }

  /** What a TLS server shows for this database; undefined when it is not served here, or has no certificate yet. */
  async contextFor(database: string): Promise<SecureContext | undefined> {
    if (!this.#options.serves(database)) {
      this.#entries.delete(database)
      return undefined
    }
    const now = this.#options.clock.now()
    const known = this.#entries.get(database)
    if (known && now < known.renewAt) return known.context
    const request = this.#request(database)
    // While the control plane is away the old one is as good as ever.
    if (known && now < known.expires) return known.context
    return (await request)?.context
  }

  #request(database: string): Promise<Entry | undefined> {
    const {clock, logger} = this.#options
    const underWay = this.#requests.get(database)
    if (underWay) return underWay
    if (clock.monotonic() < (this.#retryAt.get(database) ?? 0)) return Promise.resolve(undefined)
    const request = this.#issue(database)
      .catch((error: unknown) => {
        this.#retryAt.set(database, clock.monotonic() + retryMilliseconds)
        const reason = messageOf(error)
        logger.warn('There is no certificate for direct connections; the next client asks again.', {database, reason})
        return undefined
      })
      .finally(() => this.#requests.delete(database))
    this.#requests.set(database, request)
    return request
  }

  async #issue(database: string): Promise<Entry> {
    const {privateKey, publicKey} = await generateKeys()
    const {certificate} = await this.#options.api.directServerCertificate({publicKey, database})
    const {validFrom, validTo} = new X509Certificate(certificate)
    const [notBefore, notAfter] = [Date.parse(validFrom), Date.parse(validTo)]
    const entry = {
      context: createSecureContext({minVersion: 'TLSv1.3', cert: certificate, key: privateKey.reveal()}),
      renewAt: hostRenewalTime({notBefore, notAfter}),
      expires: notAfter,
    }
    this.#entries.set(database, entry)
    this.#retryAt.delete(database)
    return entry
  }
}
