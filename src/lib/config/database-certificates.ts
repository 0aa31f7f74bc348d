import {readdir, rm} from 'node:fs/promises'
import {join} from 'node:path'
import {PosternError} from '../core/errors.js'
import {Secret} from '../core/secret.js'
import {generateKeys} from '../pki/keys.js'
import {createPrivateFile, readOptionalFile, writePrivateFile} from './private-file.js'

/** Which database, as whom. */
export interface StoredRoute {
  readonly database: string
  readonly dbUser: string
  readonly dbName: string
}

/** A database certificate that was fetched, with what is needed to use it without asking again. */
export interface DatabaseCertificate {
  readonly route: StoredRoute
  /** PEM. */
  readonly certificate: string
  /** Host ids of the agents that serve the database, best first. */
  readonly agents: readonly string[]
  /** Where agents can be reached without the proxy, `host:port` by host id. */
  readonly directAddresses?: Readonly<Record<string, string>>
  /** RFC 3339 */
  readonly expires: string
}

/** Where database certificates are kept: on disk for a profile, in memory for an identity file. */
export interface DatabaseCertificates {
  list(): Promise<DatabaseCertificate[]>
  /** Case of the name does not matter. */
  read(database: string): Promise<DatabaseCertificate | undefined>
  /** The key of a database's certificates, made when there is none yet. */
  privateKey(database: string): Promise<Secret>
  save(certificate: DatabaseCertificate): Promise<void>
  /** Whether there was one. */
  remove(database: string): Promise<boolean>
}

/**
 * Database certificates in a directory: `<db>.key`, `<db>.crt` for other programs, and `<db>.json` with everything but
 * the key. The key stays the same through renewals, and the JSON file holds the certificate too: so two commands that
 * renew at the same time can never leave a key and a certificate that do not belong together.
 */
export class DatabaseCertificateFiles implements DatabaseCertificates {
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
  }

  async list(): Promise<DatabaseCertificate[]> {
    const files = await readdir(this.#directory).catch(() => [])
    const names = files.filter((file) => file.endsWith('.json')).map((file) => file.slice(0, -'.json'.length))
    const found = await Promise.all(names.sort().map((name) => this.read(name)))
    return found.filter((certificate) => certificate !== undefined)
  }

  async read(database: string): Promise<DatabaseCertificate | undefined> {
    const text = await readOptionalFile(this.files(database).description)
    if (text === undefined) return undefined
    try {
      return JSON.parse(text) as DatabaseCertificate
    } catch {
      // It can be fetched again; a damaged file is as good as none.
      return undefined
    }
  }

  async privateKey(database: string): Promise<Secret> {
    const {key} = this.files(database)
    const stored = await readOptionalFile(key)
    if (stored !== undefined) return new Secret(stored)
    const {privateKey} = await generateKeys()
    try {
      await createPrivateFile(key, privateKey.reveal())
      return privateKey
    } catch (error) {
      if (!(error instanceof PosternError) || error.code !== 'ALREADY_EXISTS') throw error
      // Another command was faster: its key is the key.
      return this.privateKey(database)
    }
  }

  async save(certificate: DatabaseCertificate): Promise<void> {
    const files = this.files(certificate.route.database)
    await writePrivateFile(files.certificate, certificate.certificate)
    await writePrivateFile(files.description, `${JSON.stringify(certificate, null, 2)}\n`)
  }

  async remove(database: string): Promise<boolean> {
    const existed = (await this.read(database)) !== undefined
    for (const file of Object.values(this.files(database))) await rm(file, {force: true})
    return existed
  }

  /** Paths for other programs. The names of databases are plain: letters, digits and hyphens. */
  files(database: string): {readonly key: string; readonly certificate: string; readonly description: string} {
    const base = join(this.#directory, checkedName(database))
    return {key: `${base}.key`, certificate: `${base}.crt`, description: `${base}.json`}
  }
}

function checkedName(database: string): string {
  if (!/^[A-Za-z][A-Za-z0-9-]{0,62}$/.test(database)) {
    throw new PosternError('NOT_FOUND', `"${database}" cannot be the name of a database.`, {
      hint: 'Names are letters, digits and hyphens; `postern db ls` shows them.',
    })
  }
  return database.toLowerCase()
}

/** Database certificates of one command, which may begin with stored ones and changes nothing about them. */
export class DatabaseCertificateMemory implements DatabaseCertificates {
  readonly #certificates = new Map<string, DatabaseCertificate>()
  readonly #keys = new Map<string, Promise<Secret>>()
  readonly #stored: DatabaseCertificates | undefined

  constructor(stored?: DatabaseCertificates) {
    this.#stored = stored
  }

  async list(): Promise<DatabaseCertificate[]> {
    const stored = (await this.#stored?.list()) ?? []
    const isOlder = ({route}: DatabaseCertificate): boolean => !this.#certificates.has(route.database.toLowerCase())
    return [...stored.filter(isOlder), ...this.#certificates.values()]
  }

  async read(database: string): Promise<DatabaseCertificate | undefined> {
    return this.#certificates.get(database.toLowerCase()) ?? this.#stored?.read(database)
  }

  privateKey(database: string): Promise<Secret> {
    const name = database.toLowerCase()
    const key = this.#keys.get(name) ?? this.#keyFor(name)
    this.#keys.set(name, key)
    return key
  }

  /** The key belongs to a certificate that is stored, so where there is one it is that one's. */
  async #keyFor(name: string): Promise<Secret> {
    if (this.#stored && (await this.#stored.read(name))) return this.#stored.privateKey(name)
    return (await generateKeys()).privateKey
  }

  save(certificate: DatabaseCertificate): Promise<void> {
    this.#certificates.set(certificate.route.database.toLowerCase(), certificate)
    return Promise.resolve()
  }

  remove(database: string): Promise<boolean> {
    return Promise.resolve(this.#certificates.delete(database.toLowerCase()))
  }
}
