import type {Socket} from 'node:net'
import type {AwsEnvironment} from '../aws/environment.js'
import type {Clock} from '../core/clock.js'
import type {Logger} from '../core/log.js'
import type {Credentials} from '../pki/credentials.js'
import type {Address} from '../resources/endpoint.js'
import type {SettingsSpecs} from '../resources/resource.js'
import type {JoinRole} from '../resources/token.js'
import type {StaticToken} from './joining.js'
import type {RetentionPeriods} from './retention.js'

export interface AuthOptions {
  readonly dataDir: string
  readonly cluster: string
  readonly listen: Address
  /** Where people and agents reach the proxy; the first is the one in links. */
  readonly publicAddresses: readonly Address[]
  /** For the web endpoint, from a public authority. */
  readonly httpsKeypairs: readonly Credentials[]
  readonly staticTokens: readonly StaticToken[]
  readonly defaultSessionTtlMilliseconds: number
  /** What the configuration file says about the settings of the whole cluster. */
  readonly settings?: SettingsSpecs | undefined
  /** How long events and recordings are kept; for ever where nothing is said. */
  readonly retention?: RetentionPeriods | undefined
  /** What a new password's hash costs; by default what is advised, a quarter of a second. */
  readonly passwordCost?: number | undefined
  readonly version: string
  /** Names the endpoint of AWS STS when it is not AWS's own. */
  readonly environment: AwsEnvironment
  readonly logger: Logger
  readonly clock: Clock
}

export interface AuthCounters {
  requests: number
  refused: number
  logins: number
  failedLogins: number
  joins: number
  failedJoins: number
}

export interface Auth {
  readonly address: Address
  readonly cluster: string
  /** The file with the identity of whoever administers from this host. */
  readonly adminIdentity: string
  readonly counters: Readonly<AuthCounters>
  caPins(): readonly string[]
  /** A join token for a host in this process; it works once. */
  issueInternalToken(role: JoinRole): string
  /** Takes a connection from a proxy in this process, `head` first. */
  accept(socket: Socket, head: Buffer): void
  close(): Promise<void>
}
