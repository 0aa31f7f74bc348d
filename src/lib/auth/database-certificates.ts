import {X509Certificate} from 'node:crypto'
import {isIP} from 'node:net'
import type {DatabaseClientRequest, DatabaseServerCertificateRequest, DirectServerRequest} from '../api/requests.js'
import type {DatabaseClientResponse, DatabaseServerCertificateResponse, DirectServerResponse} from '../api/responses.js'
import {decide, targetOf} from '../access/decision.js'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import type {DatabaseRoute} from '../pki/identity.js'
import type {DatabaseServer} from '../resources/database-server.js'
import {databaseServerName} from '../resources/route.js'
import type {Authorities} from './authorities.js'
import type {CallerVerifier, HostCaller, UserCaller} from './caller.js'
import type {CertificateIssuer} from './certificate-issuer.js'
import {databaseKey, type Stores} from './stores.js'

const hour = 3_600_000
/** A quarter of a year: databases are restarted rarely. */
const usualServerLifetime = 2190 * hour
const directLifetime = 24 * hour
const longestServerLifetime = 5 * 365 * 24 * hour

export interface DatabaseCertificatesOptions {
  readonly stores: Stores
  readonly authorities: Authorities
  readonly issuer: CertificateIssuer
  readonly verifier: CallerVerifier
  readonly clock: Clock
}

/** Certificates between agents and databases, and of agents that clients reach without a local proxy. */
export class DatabaseCertificates {
  readonly #options: DatabaseCertificatesOptions

  constructor(options: DatabaseCertificatesOptions) {
    this.#options = options
  }

  /**
   * What an agent shows to a self-hosted database, for a user who is at the agent's door: the user's own database
   * certificate proves it, so that an agent alone can be nobody.
   * @throws PosternError ACCESS_DENIED, EXPIRED
   */
  async client(
    {publicKey, userCertificate}: DatabaseClientRequest,
    caller: HostCaller,
  ): Promise<DatabaseClientResponse> {
    const {authorities, issuer, verifier} = this.#options
    const certificate = readCertificate(userCertificate)
    const {identity} = verifier.verifyUserCertificate(certificate)
    if (identity.usage !== 'db' || !identity.route) {
      throw new PosternError('ACCESS_DENIED', 'The user’s certificate is not for a database.')
    }
    const user = await verifier.checkUser(identity, certificate)
    await this.#checkAllowed(user, identity.route, caller)
    const issued = await issuer.databaseClient(identity.route.dbUser, publicKey, Date.parse(certificate.validTo))
    return {certificate: issued.certificate, databaseAuthorities: authorities.trusted('db')}
  }

  /**
   * An agent's server certificate for clients that name the database instead of the agent. It is good for a day, as the
   * database may go to another agent. @throws PosternError ACCESS_DENIED
   */
  async direct({publicKey, database}: DirectServerRequest, caller: HostCaller): Promise<DirectServerResponse> {
    const {authorities, issuer} = this.#options
    await this.#served(database, caller)
    const {certificate} = await issuer.server([databaseServerName(database, issuer.cluster)], publicKey, directLifetime)
    return {certificate, hostAuthorities: authorities.trusted('host')}
  }

  /** The server certificate of a self-hosted database. @throws PosternError INVALID */
  async server({
    publicKey,
    hosts,
    ttlSeconds,
  }: DatabaseServerCertificateRequest): Promise<DatabaseServerCertificateResponse> {
    const {authorities, issuer} = this.#options
    const wrong = hosts.find((host) => !isHostName(host))
    if (wrong !== undefined) {
      throw new PosternError('INVALID', `"${wrong}" is neither a host name nor an IP address.`)
    }
    const lifetime = ttlSeconds === undefined ? usualServerLifetime : ttlSeconds * 1000
    const {certificate, expires} = await issuer.databaseServer(
      hosts,
      publicKey,
      Math.min(lifetime, longestServerLifetime),
    )
    return {certificate, clientAuthorities: authorities.trusted('db_client'), expires}
  }

  /** The agent decides too; here an agent that does not cannot get further than the user may. */
  async #checkAllowed(
    {name: user, roles, traits, definitions}: UserCaller,
    route: DatabaseRoute,
    host: HostCaller,
  ): Promise<void> {
    const {stores, clock} = this.#options
    const {database, dbUser, dbName, dbRoles} = route
    const server = await this.#served(database, host)
    const decision = decide({
      subject: {user, roles, traits},
      roles: definitions,
      target: targetOf(server.spec.database),
      request: {dbUser, dbName: dbName === '' ? dbUser : dbName, dbRoles},
      locks: await stores.allLocks(),
      serverId: host.hostId,
      now: clock.now(),
    })
    if (!decision.allowed) throw new PosternError('ACCESS_DENIED', decision.message)
  }

  /** @throws PosternError ACCESS_DENIED when the host does not serve the database */
  async #served(database: string, {hostId}: HostCaller): Promise<DatabaseServer> {
    const server = await this.#options.stores.databaseServers.get(`${databaseKey(database)}/${hostId}`)
    if (server) return server.value
    throw new PosternError('ACCESS_DENIED', `This host does not serve the database "${database}".`, {
      hint: 'A database counts as served from its first accepted heartbeat on.',
    })
  }
}

function readCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch (error) {
    throw new PosternError('INVALID', 'The user’s certificate is not a certificate in PEM.', {cause: error})
  }
}

const hostLabel = /^[a-zA-Z0-9_]([-a-zA-Z0-9_]*[a-zA-Z0-9_])?$/

/** An IP address, or a DNS name whose first label may be a wildcard (RFC 6125 §6.4.3). */
function isHostName(host: string): boolean {
  if (isIP(host)) return true
  const labels = host.replace(/^\*\./, '').split('.')
  return labels.every((label) => label.length <= 63 && hostLabel.test(label))
}
