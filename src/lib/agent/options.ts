import type {Selector} from '../access/selector.js'
import type {ApiClient} from '../api/client.js'
import type {Endpoint} from '../api/transport.js'
import type {AwsEnvironment} from '../aws/environment.js'
import type {Matcher} from '../aws/survey.js'
import type {ConnectAddresses} from '../config/connect-addresses.js'
import type {Clock} from '../core/clock.js'
import type {Logger} from '../core/log.js'
import type {Credentials} from '../pki/credentials.js'
import type {TargetHealth} from '../resources/database-server.js'
import type {Database} from '../resources/database.js'
import type {Address} from '../resources/endpoint.js'
import type {AwsRules} from './aws-databases.js'
import type {SessionSettings} from './session-settings.js'
import type {SessionStatistics} from './session-statistics.js'

export interface AgentOptions {
  readonly cluster: string
  readonly hostId: string
  readonly hostname: string
  readonly version: string
  /** The host certificate, asked for whenever one is needed. */
  readonly credentials: () => Credentials
  readonly hostAuthorities: () => readonly string[]
  /** The control plane, as this host. */
  readonly api: ApiClient
  /** The proxy's public address. */
  readonly proxyAddress: {readonly host: string; readonly port: number}
  /** Databases of this host's own configuration. */
  readonly databases: readonly Database[]
  /** Which databases that users created are served here. */
  readonly selectors: readonly Selector[]
  readonly dataDir: string
  /** Nobody new gets in when the control plane was silent for longer; 20 s unless told. */
  readonly cacheTtlMilliseconds?: number | undefined
  /** Sessions end when it was silent for longer; 1 h unless told. */
  readonly maxStaleMilliseconds?: number | undefined
  /** 30 s unless told. */
  readonly heartbeatMilliseconds?: number | undefined
  /** Lets databases that users created be at loopback and link-local addresses. */
  readonly allowLoopback?: boolean | undefined
  /** Which databases are found in AWS and served, and how often AWS is asked; every five minutes unless told. */
  readonly discovery?: {readonly matchers: readonly Matcher[]; readonly pollMilliseconds?: number} | undefined
  /** With `auto` the agent gives itself the permissions to sign in, as far as AWS lets it; `manual` unless told. */
  readonly iamPolicy?: 'auto' | 'manual' | undefined
  /** Where to dial instead of registered endpoints. */
  readonly connectAddresses?: ConnectAddresses | undefined
  /** For databases that users created on AWS. */
  readonly awsRules?: Partial<AwsRules> | undefined
  /** What the SDK of AWS would read from the process; `process.env` unless told. */
  readonly environment?: AwsEnvironment | undefined
  /** Processes that serve the sessions; with 1, which is the default, this one does it. */
  readonly workers?: number | undefined
  /** Where workers reach the control plane. */
  readonly endpoint?: Omit<Endpoint, 'credentials'> | undefined
  /** Where clients reach this agent without the proxy: what to listen on, and what they are told. */
  readonly direct?: {readonly listen: Address; readonly announce: Address} | undefined
  readonly logger: Logger
  readonly clock: Clock
}

export interface Agent {
  readonly hostId: string
  /** Whether clients can come in: the tunnel is up, the cache fresh, and the control plane knows of us. */
  ready(): boolean
  databases(): readonly {readonly database: Database; readonly health: TargetHealth}[]
  sessions(): number
  statistics(): SessionStatistics
  /** Takes no new sessions, and ends the running ones after so many milliseconds. */
  drain(milliseconds: number): Promise<void>
  /** Ends everything; resolves when the audit is on disk and sent as far as that goes quickly. */
  close(): Promise<void>
}

const defaultCacheTtl = 20_000
const defaultMaxStale = 3_600_000

/** What sessions need of the options. */
export function sessionSettings(options: AgentOptions): SessionSettings {
  const {cluster, hostId, hostname, version} = options
  return {
    self: {cluster, hostId, hostname, version},
    databases: options.databases,
    selectors: options.selectors,
    cacheTtlMilliseconds: options.cacheTtlMilliseconds ?? defaultCacheTtl,
    maxStaleMilliseconds: options.maxStaleMilliseconds ?? defaultMaxStale,
    allowLoopback: options.allowLoopback ?? false,
    connectAddresses: [...(options.connectAddresses ?? [])],
    awsRules: {roles: [], allowedRoles: undefined, ...options.awsRules},
    workers: options.workers ?? 1,
  }
}
