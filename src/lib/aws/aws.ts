/** All of AWS that an agent keeps between connections: credentials, sessions of roles, passwords, pace. One per process. */
import type {Clock} from '../core/clock.js'
import {chainOf, type AwsDatabase} from './aws-database.js'
import {AwsClients} from './clients.js'
import {describeOnAws, type AwsDescription} from './description.js'
import type {AwsEnvironment} from './environment.js'
import {HostCredentials} from './host-credentials.js'
import {AwsIdentities} from './identities.js'
import {Pacer} from './pacing.js'
import {DatabasePasswords} from './passwords.js'
import {TrustRootsByType} from './trust-roots.js'

export interface AwsOptions {
  readonly environment: AwsEnvironment
  readonly clock: Clock
  /** Processes that share the pace of sign-ins; 1 unless told. */
  readonly workers?: number | undefined
}

export class Aws {
  readonly passwords: DatabasePasswords
  readonly trustRoots: TrustRootsByType
  readonly pacer: Pacer
  readonly #clients: AwsClients
  readonly #identities: AwsIdentities

  constructor({environment, clock, workers}: AwsOptions) {
    const clients = new AwsClients(environment)
    const host = new HostCredentials({environment, clients, clock})
    const identities = new AwsIdentities({clients, host, clock})
    this.#clients = clients
    this.#identities = identities
    this.trustRoots = new TrustRootsByType(environment)
    this.pacer = new Pacer({clock, workers})
    this.passwords = new DatabasePasswords({clients, identities, clock})
  }

  /** What AWS says about a database. @throws what the SDK throws, or PosternError without credentials */
  async describe(database: AwsDatabase): Promise<AwsDescription> {
    const clients = this.#clients
    const region = database.settings.region ?? (await clients.defaultRegion())
    const session = await this.#identities.session({chain: chainOf(database), region})
    return describeOnAws({clients, caller: {session, region}, database})
  }
}
