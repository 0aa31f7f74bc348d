/** Certificates of the fake database endpoints: an authority per kind, and names as AWS's certificates have them. */
import {writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {createAuthority, issueCertificate, type Authority} from '../pki/issuing.js'
import {generateKeys, type KeyPair} from '../pki/keys.js'
import type {CertificateKind} from './definition.js'
import type {DatabaseEndpoint, EndpointType} from './endpoints.js'

const leafLifetime = 365 * 24 * 3_600_000
const backdating = 3_600_000
const expiredSince = 60_000
/** X.520 (ub-common-name). */
const longestCommonName = 64

type ByType<T> = Readonly<Record<EndpointType, T>>

/** What clients have to trust, by kind of endpoint. */
export type PublishedAuthorities = ByType<{
  /** PEM. */
  readonly certificate: string
  readonly path: string
}>

export interface LeafCredentials {
  readonly cert: string
  readonly key: string
}

/** Authorities for all kinds of endpoints, and the one key of the sandbox's servers. */
export class Authorities {
  readonly #authorities: ByType<Authority>
  readonly #keys: KeyPair
  readonly #now: number
  /** Published nowhere. */
  readonly #stranger: Authority

  private constructor(authorities: ByType<Authority>, stranger: Authority, keys: KeyPair, now: number) {
    this.#authorities = authorities
    this.#stranger = stranger
    this.#keys = keys
    this.#now = now
  }

  /** @param now milliseconds since 1970. */
  static async create(now: number): Promise<Authorities> {
    const create = (type: EndpointType): Promise<Authority> => createAuthority({cluster: 'sandbox', type, now})
    const stranger = await createAuthority({cluster: 'stranger', type: 'rds', now})
    return new Authorities(await forEach(create), stranger, await generateKeys(), now)
  }

  /** A certificate for an endpoint. */
  async issue({type, host, names, certificate}: DatabaseEndpoint): Promise<LeafCredentials> {
    const namesOf: Partial<Record<CertificateKind, readonly string[]>> = {
      legacy: [],
      'other-name': names.map((name) => `other-${name}`),
    }
    const cert = await issueCertificate({
      authority: certificate === 'untrusted' ? this.#stranger : this.#authorities[type],
      publicKey: this.#keys.publicKey,
      commonName: host.slice(0, longestCommonName),
      purposes: ['server'],
      hosts: namesOf[certificate] ?? names,
      notBefore: this.#now - backdating,
      notAfter: certificate === 'expired' ? this.#now - expiredSince : this.#now + leafLifetime,
    })
    return {cert, key: this.#keys.privateKey.reveal()}
  }

  /** Writes the authorities' certificates as `<kind>-ca.pem`, and all of them as the bundle. */
  async publish(directory: string): Promise<{readonly published: PublishedAuthorities; readonly bundle: string}> {
    const published = await forEach(async (type) => {
      const {certificate} = this.#authorities[type]
      const path = join(directory, `${type}-ca.pem`)
      await writeFile(path, certificate)
      return {certificate, path}
    })
    const bundle = join(directory, 'ca.pem')
    await writeFile(
      bundle,
      Object.values(published)
        .map(({certificate}) => certificate.trimEnd() + '\n')
        .join(''),
    )
    return {published, bundle}
  }
}

async function forEach<T>(make: (type: EndpointType) => Promise<T>): Promise<ByType<T>> {
  const [rds, rdsproxy, redshift, serverless] = await Promise.all([
    make('rds'),
    make('rdsproxy'),
    make('redshift'),
    make('redshift-serverless'),
  ])
  return {rds, rdsproxy, redshift, 'redshift-serverless': serverless}
}
