import type {LogLevel} from '../core/log.js'
import type {Secret} from '../core/secret.js'
import type {Database} from '../resources/database.js'
import type {SettingsSpecs} from '../resources/resource.js'
import type {Address, DatabaseType} from '../resources/endpoint.js'
import type {ConnectAddresses} from './connect-addresses.js'
import type {JoinMethod, JoinRole} from '../resources/token.js'

/** Where the configuration is when nothing else is said. */
export const defaultConfigPath = '/etc/postern.yaml'
export const defaultDataDir = '/var/lib/postern'

/** What one process can run. */
export const services = ['auth', 'proxy', 'db', 'discovery'] as const
export type Service = (typeof services)[number]

/** A token as written in the file, or the absolute path of the file that holds it. */
export type TokenSource = {readonly token: Secret} | {readonly path: string}

export interface LogSettings {
  /** A stream of the process, or the absolute path of a file. */
  readonly output: 'stderr' | 'stdout' | {readonly path: string}
  readonly level: LogLevel
  readonly format: 'text' | 'json'
}

/** A certificate from a public authority, as absolute paths of PEM files. */
export interface KeypairFiles {
  readonly keyFile: string
  readonly certFile: string
}

/** A token of the file itself, which never expires. */
export interface StaticToken {
  readonly roles: readonly JoinRole[]
  readonly source: TokenSource
}

export interface AuthServiceSettings {
  readonly enabled: boolean
  readonly listenAddr: Address
  readonly clusterName: string
  readonly publicAddrs: readonly Address[]
  /** For the web endpoint, whose TLS ends at the Auth Service; none means a certificate of the host CA. */
  readonly httpsKeypairs: readonly KeypairFiles[]
  readonly staticTokens: readonly StaticToken[]
  /** Of the whole cluster. */
  readonly settings: SettingsSpecs
  /** Milliseconds for which the audit log and the recordings are kept; for ever where nothing is said. */
  readonly retention: {readonly events?: number | undefined; readonly recordings?: number | undefined}
  /** Milliseconds. */
  readonly defaultSessionTtl: number
}

export interface ProxyServiceSettings {
  readonly enabled: boolean
  readonly webListenAddr: Address
  readonly publicAddrs: readonly Address[]
  /** Processes that carry the sessions; 1 is the service's own process. */
  readonly workers: number | 'auto'
}

/** Labels and the values that each may have; `*` stands for all. */
export type LabelSelector = Readonly<Record<string, readonly string[]>>

export interface AssumedRole {
  readonly assumeRoleArn?: string | undefined
  readonly externalId?: string | undefined
}

/** Which dynamic `db` resources an agent serves, and the role it assumes for them. */
export interface ResourceSelector extends AssumedRole {
  readonly labels: LabelSelector
}

export interface AwsMatcher extends AssumedRole {
  readonly types: readonly Exclude<DatabaseType, 'self-hosted'>[]
  readonly regions: readonly string[]
  readonly tags: LabelSelector
}

/** A label whose value is what a command prints. */
export interface DynamicLabel {
  readonly name: string
  /** Milliseconds. */
  readonly period: number
  readonly command: readonly string[]
}

/** A database of the file. */
export interface StaticDatabase {
  /** As the resource that the agent announces; a CA file's content is in it. */
  readonly resource: Database
  readonly type: DatabaseType
  readonly dynamicLabels: readonly DynamicLabel[]
}

export interface DirectAddress {
  readonly listen: Address
  /** What clients dial; its port is the one listened on when that is 0. */
  readonly announce: Address
}

export interface DbServiceSettings {
  readonly enabled: boolean
  readonly resources: readonly ResourceSelector[]
  readonly aws: readonly AwsMatcher[]
  readonly databases: readonly StaticDatabase[]
  /** New sessions are refused when roles and locks are older; milliseconds. */
  readonly cacheTtl: number
  /** Running sessions end when roles and locks are older; milliseconds. */
  readonly maxStale: number
  /** Whether dynamic databases may be on this host's loopback addresses. */
  readonly allowLoopback: boolean
  /** Roles that dynamic databases may have the agent assume, `*` for any text in them; undefined for all. */
  readonly allowedAssumeRoles?: readonly string[] | undefined
  /** Whether the agent keeps an inline policy for the databases that it serves, and switches IAM authentication on. */
  readonly iamPolicy: 'auto' | 'manual'
  /** Where to dial instead of the endpoints that databases are registered with. */
  readonly connectAddresses: ConnectAddresses
  /** Processes that serve the sessions; 1 is the service's own process. */
  readonly workers: number | 'auto'
  /** Where clients reach this agent without the proxy. */
  readonly direct?: DirectAddress | undefined
}

export interface DiscoveryServiceSettings {
  readonly enabled: boolean
  readonly discoveryGroup?: string | undefined
  /** Milliseconds. */
  readonly pollInterval: number
  readonly aws: readonly AwsMatcher[]
}

/** A configuration file, checked, with defaults filled in. */
export interface Config {
  readonly nodename: string
  readonly dataDir: string
  readonly pidFile?: string | undefined
  /** For the join method iam it holds the name of the token. */
  readonly joinToken?: TokenSource | undefined
  readonly joinMethod: JoinMethod
  readonly proxyServer?: Address | undefined
  readonly authServer?: Address | undefined
  /** Pins, or absolute paths of files that hold them. */
  readonly caPins: readonly string[]
  readonly diagAddr?: Address | undefined
  readonly log: LogSettings
  readonly authService: AuthServiceSettings
  readonly proxyService: ProxyServiceSettings
  readonly dbService: DbServiceSettings
  readonly discoveryService: DiscoveryServiceSettings
  /** What the file says and Postern does not do, one sentence each with its line; to be logged at start. */
  readonly warnings: readonly string[]
}
