import {X509Certificate} from 'node:crypto'
import type {ApiClient} from '../api/client.js'
import type {Clock} from '../core/clock.js'
import {messageOf} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import type {Credentials} from '../pki/credentials.js'
import {generateKeys} from '../pki/keys.js'
import {hostRenewalTime} from '../pki/renewal.js'

export interface DirectCertificateOptions {
  readonly api: Pick<ApiClient, 'directServerCertificate'>
  readonly clock: Clock
  readonly logger: Logger
  /** Names of the databases that clients may reach directly. */
  readonly databases: () => readonly string[]
}

const checkMilliseconds = 30_000
const maximumNames = 1000

/** The server certificate of the direct route: one name per database, renewed as they change and at half of its life. */
export class DirectCertificate {
  readonly #options: DirectCertificateOptions
  readonly #timer: NodeJS.Timeout
  #credentials: Credentials | undefined
  #names = ''
  #renewAt = 0
  #updating: Promise<void> | undefined

  constructor(options: DirectCertificateOptions) {
    this.#options = options
    this.#timer = setInterval(() => {
      this.update()
    }, checkMilliseconds)
    this.#timer.unref()
  }

  readonly credentials = (): Credentials | undefined => this.#credentials

  /** Asks for a new certificate if one is due. */
  update(): void {
    this.#updating ??= this.#update().finally(() => {
      this.#updating = undefined
    })
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#updating
  }

  async #update(): Promise<void> {
    const {api, clock, logger, databases} = this.#options
    const names = databases().toSorted().slice(0, maximumNames)
    const wanted = names.join()
    if (names.length === 0 || (wanted === this.#names && clock.now() < this.#renewAt)) return
    try {
      const keys = await generateKeys()
      const {certificate} = await api.directServerCertificate({publicKey: keys.publicKey, databases: names})
      const {validFrom, validTo} = new X509Certificate(certificate)
      this.#credentials = {certificate, privateKey: keys.privateKey}
      this.#names = wanted
      this.#renewAt = hostRenewalTime({notBefore: Date.parse(validFrom), notAfter: Date.parse(validTo)})
    } catch (error) {
      logger.warn('There is no certificate for direct connections yet; it will be asked for again.', {
        reason: messageOf(error),
      })
    }
  }
}
