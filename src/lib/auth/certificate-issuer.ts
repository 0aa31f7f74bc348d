import type {Clock} from '../core/clock.js'
import {encodeIdentity, type HostIdentity, type UserIdentity} from '../pki/identity.js'
import {issueCertificate} from '../pki/issuing.js'
import {readPublicKey} from '../pki/keys.js'
import {agentServerName, tunnelServerName} from '../resources/route.js'
import type {Authorities} from './authorities.js'

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

const hostLifetime = 90 * day
/** Machines whose clocks are behind ours take a certificate that began earlier. */
const hostBackdate = hour
const userBackdate = 5 * minute
export const databaseClientLifetime = 5 * minute

export interface IssuedCertificate {
  readonly certificate: string
  /** RFC 3339, to the second: as the certificate says it. */
  readonly expires: string
}

/** Signs certificates by the rules of this cluster: who signs, for what purpose, with which names, for how long. */
export class CertificateIssuer {
  readonly cluster: string
  readonly #authorities: Authorities
  readonly #clock: Clock

  constructor(authorities: Authorities, cluster: string, clock: Clock) {
    this.#authorities = authorities
    this.cluster = cluster
    this.#clock = clock
  }

  /** For an agent, a proxy or an administrator; its names come from its id alone. */
  async host(identity: HostIdentity, publicKey: string, certsValidFrom?: string): Promise<IssuedCertificate> {
    const hosts = hostNames(identity, this.cluster)
    return this.#issue('host', publicKey, {
      commonName: identity.hostId,
      purposes: hosts.length > 0 ? ['server', 'client'] : ['client'],
      hosts,
      identity,
      notBefore: this.#begin(hostBackdate, certsValidFrom),
      notAfter: this.#clock.now() + hostLifetime,
    })
  }

  /** For a user. @throws PosternError INVALID when roles and traits are too large for a certificate */
  async user(
    identity: UserIdentity,
    publicKey: string,
    notAfter: number,
    certsValidFrom?: string,
  ): Promise<IssuedCertificate> {
    // Checked before the key: it names what an administrator can mend.
    encodeIdentity(identity)
    return this.#issue('user', publicKey, {
      commonName: identity.user,
      purposes: ['client'],
      identity,
      notBefore: this.#begin(userBackdate, certsValidFrom),
      notAfter,
    })
  }

  /** For the Auth Service, or an agent in direct mode: a server under these names, and no identity. */
  async server(hosts: readonly string[], publicKey: string, lifetime = hostLifetime): Promise<IssuedCertificate> {
    return this.#issue('host', publicKey, {
      commonName: hosts[0] ?? this.cluster,
      purposes: ['server'],
      hosts,
      notBefore: this.#begin(hostBackdate),
      notAfter: this.#clock.now() + lifetime,
    })
  }

  /** For a self-hosted database. */
  async databaseServer(hosts: readonly string[], publicKey: string, lifetime: number): Promise<IssuedCertificate> {
    return this.#issue('db', publicKey, {
      commonName: hosts[0] ?? '',
      purposes: ['server'],
      hosts,
      notBefore: this.#begin(hostBackdate),
      notAfter: this.#clock.now() + lifetime,
    })
  }

  /** What an agent shows to a self-hosted database: the database user as its common name. */
  async databaseClient(dbUser: string, publicKey: string, notAfter: number): Promise<IssuedCertificate> {
    return this.#issue('db_client', publicKey, {
      commonName: dbUser,
      purposes: ['client'],
      notBefore: this.#begin(userBackdate),
      notAfter: Math.min(notAfter, this.#clock.now() + databaseClientLifetime),
    })
  }

  /**
   * Never before the moment from which the holder's certificates count: so whoever judges a certificate only compares
   * its beginning with that moment, and needs not know how far we backdate.
   */
  #begin(backdate: number, certsValidFrom?: string): number {
    return Math.max(this.#clock.now() - backdate, certsValidFrom === undefined ? 0 : Date.parse(certsValidFrom))
  }

  async #issue(
    authority: 'host' | 'user' | 'db' | 'db_client',
    publicKey: string,
    leaf: Omit<Parameters<typeof issueCertificate>[0], 'authority' | 'publicKey'>,
  ): Promise<IssuedCertificate> {
    // Certificates count in seconds (RFC 5280 §4.1.2.5).
    const notAfter = Math.floor(leaf.notAfter / second) * second
    const certificate = await issueCertificate({
      ...leaf,
      authority: this.#authorities.signing(authority),
      publicKey: readPublicKey(publicKey),
      notAfter,
    })
    return {certificate, expires: new Date(notAfter).toISOString()}
  }
}

function hostNames({hostId, systemRoles}: HostIdentity, cluster: string): string[] {
  return [
    ...(systemRoles.includes('Db') ? [agentServerName(hostId, cluster)] : []),
    ...(systemRoles.includes('Proxy') ? [tunnelServerName(cluster), `${hostId}.proxy.${cluster}`] : []),
  ]
}
