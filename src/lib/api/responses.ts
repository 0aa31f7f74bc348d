import type {Database} from '../resources/database.js'
import type {HealthStatus} from '../resources/database-server.js'
import type {Explanation} from '../resources/explanation.js'

/** Answers of the API, as types only: the client trusts the control plane that it has authenticated. */

export interface FindResponse {
  readonly auth: {readonly type: 'local'; readonly default_session_ttl: string}
  readonly proxy: {
    readonly ssh: {readonly public_addr: string; readonly web_listen_addr: string}
    readonly tls_routing_enabled: true
  }
  readonly server_version: string
  readonly min_client_version: string
  readonly cluster_name: string
  readonly automatic_upgrades: boolean
  readonly edition: 'oss'
  readonly fips: false
}

export interface HostAuthoritiesResponse {
  /** PEM certificates of the host CA. Public data; check them against a pin before trusting them. */
  readonly authorities: readonly string[]
}

export interface LoginResponse {
  readonly cluster: string
  readonly user: string
  readonly roles: readonly string[]
  readonly traits: Readonly<Record<string, readonly string[]>>
  readonly certificate: string
  readonly hostAuthorities: readonly string[]
  /** RFC 3339 */
  readonly expires: string
  /** RFC 3339; absent for what cannot be renewed without a login or an administrator. */
  readonly renewableUntil?: string
}

export interface JoinChallengeResponse {
  readonly challenge: string
}

export interface JoinResponse {
  readonly cluster: string
  readonly hostId: string
  readonly certificate: string
  readonly hostAuthorities: readonly string[]
}

export interface RenewHostResponse {
  readonly certificate: string
  readonly hostAuthorities: readonly string[]
}

/** An agent that serves a database, best first. */
export interface DatabaseAgent {
  readonly hostId: string
  readonly health: HealthStatus
  /** Where it can be reached without the proxy, `host:port`. */
  readonly directAddress?: string
}

export interface DatabaseCertificateResponse {
  readonly certificate: string
  /** RFC 3339 */
  readonly expires: string
  readonly route: {
    readonly database: string
    readonly protocol: 'postgres'
    readonly dbUser: string
    readonly dbName: string
    readonly dbRoles: readonly string[]
  }
  readonly agents: readonly DatabaseAgent[]
}

export interface DatabaseClientResponse {
  /** Signed by the db_client CA, CN = the database user, at most 5 minutes. */
  readonly certificate: string
  /** PEM certificates of the db CA, to verify the database's server certificate with. */
  readonly databaseAuthorities: readonly string[]
}

export interface DirectServerResponse {
  readonly certificate: string
  readonly hostAuthorities: readonly string[]
}

export interface DatabaseServerCertificateResponse {
  readonly certificate: string
  /** PEM certificates of the db_client CA: what the database verifies agents with. */
  readonly clientAuthorities: readonly string[]
  readonly expires: string
}

export interface InviteResponse {
  readonly user: string
  readonly url: string
  /** The address that people must be able to reach. */
  readonly proxy: string
  readonly expires: string
  readonly ttlSeconds: number
}

export interface TokenResponse {
  readonly token: string
  readonly roles: readonly string[]
  readonly expires: string
  readonly ttlSeconds: number
  readonly caPins: readonly string[]
  /** Where agents reach the proxy, `host:port`. */
  readonly proxy: string
}

export interface StatusResponse {
  readonly cluster: string
  readonly version: string
  readonly caPins: readonly string[]
  /** Milliseconds for which the audit log and the recordings are kept, null for ever; older control planes do not say. */
  readonly retention?: {readonly events: number | null; readonly recordings: number | null}
  /** Who the caller is to the control plane. */
  readonly identity: {readonly kind: 'user' | 'host'; readonly name: string; readonly roles: readonly string[]}
}

/** A database as a user sees it. */
export interface VisibleDatabase {
  readonly database: Database
  readonly type: string
  readonly users: {readonly allowed: readonly string[]; readonly denied: readonly string[]}
  /** Concrete or `*`. */
  readonly names: {readonly allowed: readonly string[]; readonly denied: readonly string[]}
  readonly health: HealthStatus
}

/** What one or several agents would decide. */
export interface AccessExplanation {
  readonly explanation: Explanation
  /** What an administrator could change so that a denial becomes a permission. */
  readonly remedies: readonly string[]
  readonly agents: readonly {readonly hostId: string; readonly hostname: string; readonly health: HealthStatus}[]
}

export interface ExplainAccessResponse {
  /** One, unless agents know different labels of the database, or one of them is locked. */
  readonly answers: readonly AccessExplanation[]
}

/** A denial that was. */
export interface DecisionResponse extends Partial<Pick<AccessExplanation, 'explanation' | 'remedies'>> {
  readonly id: string
  /** RFC 3339 */
  readonly time: string
  readonly user: string
  readonly agent: {readonly hostId: string; readonly hostname: string}
  /** What the user was told. */
  readonly message: string
}

export interface HeartbeatResponse {
  /** Databases that the control plane refuses from this host, with the reason. */
  readonly refused: readonly {readonly name: string; readonly reason: string}[]
}

export interface AuthorityResponse {
  readonly type: string
  readonly certificates: readonly string[]
}

export interface EventsResponse {
  readonly events: readonly Readonly<Record<string, unknown>>[]
  /** One for each event, to go on behind it. */
  readonly cursors: readonly string[]
  /** Where to go on with older ones, when the newest were asked for; absent when there are none. */
  readonly older?: string
  /** Where to go on; absent when there is no more. */
  readonly cursor?: string
  /** Behind the cursor that was given there is nothing else up to this one. */
  readonly seen?: string
}

export const authorityTypes = ['host', 'user', 'db', 'db_client'] as const
export type AuthorityType = (typeof authorityTypes)[number]
