import {X509Certificate} from 'node:crypto'
import type {ApiClient} from '../api/client.js'
import type {Clock} from '../core/clock.js'
import type {Credentials} from '../pki/credentials.js'
import {generateKeys} from '../pki/keys.js'

/** What a self-hosted database authenticates the agent by, and what the agent verifies it with. */
export interface DatabaseCredentials {
  readonly credentials: Credentials
  /** PEM certificates of the db CA. */
  readonly authorities: readonly string[]
}

interface Entry {
  readonly issued: Promise<DatabaseCredentials>
  /** Wall-clock milliseconds; 0 until it is known. */
  usableUntil: number
}

/** Left of a certificate's life when it is used last: a sign-in takes a while, and clocks differ. */
const marginMilliseconds = 60_000

/**
 * Certificates for self-hosted databases, one for each user certificate that is in use: a second session of the same user
 * to the same database need not ask the control plane again.
 */
export class ClientCertificates {
  readonly #api: Pick<ApiClient, 'databaseClientCertificate'>
  readonly #clock: Clock
  readonly #entries = new Map<string, Entry>()

  constructor(api: Pick<ApiClient, 'databaseClientCertificate'>, clock: Clock) {
    this.#api = api
    this.#clock = clock
  }

  /** @throws PosternError when the control plane gives none */
  async get(user: X509Certificate): Promise<DatabaseCredentials> {
    const now = this.#clock.now()
    for (const [key, {usableUntil}] of this.#entries)
      if (usableUntil !== 0 && usableUntil <= now) this.#entries.delete(key)
    const key = user.fingerprint256
    const known = this.#entries.get(key)
    if (known) return known.issued
    const entry: Entry = {issued: this.#issue(user), usableUntil: 0}
    this.#entries.set(key, entry)
    try {
      const issued = await entry.issued
      entry.usableUntil = Date.parse(new X509Certificate(issued.credentials.certificate).validTo) - marginMilliseconds
      return issued
    } catch (error) {
      this.#entries.delete(key)
      throw error
    }
  }

  async #issue(user: X509Certificate): Promise<DatabaseCredentials> {
    const keys = await generateKeys()
    const {certificate, databaseAuthorities} = await this.#api.databaseClientCertificate({
      publicKey: keys.publicKey,
      userCertificate: user.toString(),
    })
    return {credentials: {certificate, privateKey: keys.privateKey}, authorities: databaseAuthorities}
  }
}
