import {createHash} from 'node:crypto'
import {readdir, rm} from 'node:fs/promises'
import {join} from 'node:path'
import {PosternError} from '../core/errors.js'
import {Secret} from '../core/secret.js'
import type {Credentials} from '../pki/credentials.js'
import {formatAddress, type Address} from '../resources/endpoint.js'
import {DatabaseCertificateFiles} from './database-certificates.js'
import {readOptionalFile, writePrivateFile} from './private-file.js'

/** One login, without its secrets. */
export interface Profile {
  readonly proxy: Address
  readonly user: string
  readonly cluster: string
  readonly roles: readonly string[]
  readonly traits: Readonly<Record<string, readonly string[]>>
  /** RFC 3339 */
  readonly expires: string
}

/** What a login leaves on disk beside the profile. */
export interface ProfileMaterial {
  readonly credentials: Credentials
  /** PEM certificates of the host CA. */
  readonly hostAuthorities: readonly string[]
}

/**
 * The logins of one person, in `~/.postern`:
 *
 *     current-profile                                     host name of the proxy in use
 *     <proxy host>.json                                   profile
 *     keys/<proxy host>/host-ca.pem                       what servers of the cluster are verified with
 *     keys/<proxy host>/<user>.key, .crt                  login
 *     keys/<proxy host>/<user>-db/<cluster>/<db>.*        database certificates
 *
 * Files are 0600, directories 0700; every write replaces a whole file. JSON, so that reading one needs no parser.
 */
export class ProfileStore {
  readonly home: string

  constructor(home: string) {
    this.home = home
  }

  /** The profile in use, or that of a proxy host; undefined when there is none. */
  async read(host?: string): Promise<Profile | undefined> {
    const name = host ?? (await this.#currentHost())
    if (!name) return undefined
    const text = await readOptionalFile(this.#profileFile(name))
    if (text === undefined) return undefined
    const profile = readProfile(text)
    if (profile) return profile
    const file = this.#profileFile(name)
    throw new PosternError('INVALID', `The profile ${file} is damaged.`, {
      hint: `Remove it (\`rm ${file}\`) and log in again.`,
    })
  }

  /** Every profile, the one in use first, the others by host. */
  async list(): Promise<Profile[]> {
    const current = await this.#currentHost()
    const files = await readdir(this.home).catch(() => [])
    const profiles: Profile[] = []
    for (const file of files.filter((name) => name.endsWith('.json')).sort()) {
      const profile = readProfile((await readOptionalFile(join(this.home, file))) ?? '')
      if (profile) profiles.push(profile)
    }
    const isCurrent = (profile: Profile): boolean => profile.proxy.host === current
    return [...profiles.filter(isCurrent), ...profiles.filter((profile) => !isCurrent(profile))]
  }

  /** Whether this is the profile in use. */
  async isCurrent(profile: Profile): Promise<boolean> {
    return (await this.#currentHost()) === profile.proxy.host
  }

  /** Makes a profile the one in use. */
  async use(profile: Profile): Promise<void> {
    await writePrivateFile(join(this.home, 'current-profile'), `${profile.proxy.host}\n`)
  }

  /** Stores a login and puts it in use. Database certificates of the login before it are removed: they carry its roles. */
  async save(profile: Profile, {credentials, hostAuthorities}: ProfileMaterial): Promise<void> {
    await rm(this.#keys(profile), {recursive: true, force: true})
    await writePrivateFile(this.hostAuthoritiesFile(profile), hostAuthorities.map((pem) => `${pem.trim()}\n`).join(''))
    await writePrivateFile(this.#loginFile(profile, 'key'), credentials.privateKey.reveal())
    await writePrivateFile(this.#loginFile(profile, 'crt'), credentials.certificate)
    await writePrivateFile(this.#profileFile(profile.proxy.host), `${JSON.stringify(profile, null, 2)}\n`)
    await this.use(profile)
  }

  /** The login's certificate and key. @throws PosternError NOT_LOGGED_IN when they are gone. */
  async credentials(profile: Profile): Promise<Credentials> {
    const certificate = await readOptionalFile(this.#loginFile(profile, 'crt'))
    const key = await readOptionalFile(this.#loginFile(profile, 'key'))
    if (certificate === undefined || key === undefined) {
      throw new PosternError('NOT_LOGGED_IN', `The login to ${profile.proxy.host} has lost its certificate.`, {
        hint: `Run \`postern login --proxy=${formatAddress(profile.proxy)} --user=${profile.user}\`.`,
      })
    }
    return {certificate, privateKey: new Secret(key)}
  }

  /** PEM certificates of the cluster's host CA; empty when the profile is not there. */
  async hostAuthorities(profile: Profile): Promise<string[]> {
    const text = (await readOptionalFile(this.hostAuthoritiesFile(profile))) ?? ''
    return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g) ?? []
  }

  hostAuthoritiesFile(profile: Profile): string {
    return join(this.#keys(profile), 'host-ca.pem')
  }

  databases(profile: Profile): DatabaseCertificateFiles {
    return new DatabaseCertificateFiles(
      join(this.#keys(profile), `${fileName(profile.user)}-db`, fileName(profile.cluster)),
    )
  }

  /** Removes a login with everything that came from it. Another profile, if there is one, is put in use. */
  async remove(profile: Profile): Promise<void> {
    const wasCurrent = await this.isCurrent(profile)
    await rm(this.#keys(profile), {recursive: true, force: true})
    await rm(this.#profileFile(profile.proxy.host), {force: true})
    if (!wasCurrent) return
    await rm(join(this.home, 'current-profile'), {force: true})
    const [next] = await this.list()
    if (next) await this.use(next)
  }

  async #currentHost(): Promise<string | undefined> {
    return (await readOptionalFile(join(this.home, 'current-profile')))?.trim()
  }

  #profileFile(host: string): string {
    return join(this.home, `${fileName(host)}.json`)
  }

  #keys({proxy}: Profile): string {
    return join(this.home, 'keys', fileName(proxy.host))
  }

  #loginFile(profile: Profile, extension: 'key' | 'crt'): string {
    return join(this.#keys(profile), `${fileName(profile.user)}.${extension}`)
  }
}

const longestPlainName = 100

/** Any name as one safe file name: other characters and a leading dot become %XX, long names are cut and hashed. */
export function fileName(name: string): string {
  const encoded = [...Buffer.from(name, 'utf8')]
    .map((byte, index) => {
      const character = String.fromCharCode(byte)
      const plain = /[A-Za-z0-9@_+=.-]/.test(character) && !(index === 0 && character === '.')
      return plain ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
    })
    .join('')
  if (encoded.length <= longestPlainName) return encoded
  return `${encoded.slice(0, longestPlainName)}~${createHash('sha256').update(name).digest('hex').slice(0, 32)}`
}

function readProfile(text: string): Profile | undefined {
  try {
    const profile = JSON.parse(text) as Profile
    return typeof profile.proxy.host === 'string' && typeof profile.user === 'string' ? profile : undefined
  } catch {
    return undefined
  }
}
