/** All of AWS that an agent keeps between connections: credentials, sessions of roles, passwords, pace. One per process. */
import type {Clock} from '../core/clock.js'
import {chainOf, type AwsDatabase} from './aws-database.js'
import {listCandidates} from './candidates.js'
import {AwsClients, using, type Caller} from './clients.js'
import type {Examination} from './examination.js'
import {describeOnAws, type AwsDescription} from './description.js'
import type {AwsEnvironment} from './environment.js'
import {awsFailure} from './failure.js'
import {HostCredentials} from './host-credentials.js'
import {parseIdentity} from './iam-identity.js'
import {AwsIdentities} from './identities.js'
import {keepInlinePolicy, type InlinePolicyChange} from './inline-policy.js'
import {Pacer} from './pacing.js'
import {DatabasePasswords} from './passwords.js'
import type {Listing, Scope} from './survey.js'
import {TrustRootsByType} from './trust-roots.js'
import {Turnstile} from './turnstile.js'

export interface AwsOptions {
  readonly environment: AwsEnvironment
  readonly clock: Clock
  /** Processes that share the pace of sign-ins; 1 unless told. */
  readonly workers?: number | undefined
}

/** Whose sign-in to look at. */
export interface ExaminationTarget {
  readonly database: AwsDatabase
  /** As the client names it. */
  readonly dbUser: string
  /** Ends what is under way. */
  readonly signal: AbortSignal
}

/** AWS throttles callers that describe many databases at once, every other user of the account with them. */
const describedAtOnce = 5

export class Aws {
  readonly passwords: DatabasePasswords
  readonly trustRoots: TrustRootsByType
  readonly pacer: Pacer
  readonly #clients: AwsClients
  readonly #identities: AwsIdentities
  readonly #clock: Clock
  readonly #describing = new Turnstile(describedAtOnce)

  constructor({environment, clock, workers}: AwsOptions) {
    const clients = new AwsClients(environment)
    const host = new HostCredentials({environment, clients, clock})
    const identities = new AwsIdentities({clients, host, clock})
    this.#clients = clients
    this.#clock = clock
    this.#identities = identities
    this.trustRoots = new TrustRootsByType(environment)
    this.pacer = new Pacer({clock, workers})
    this.passwords = new DatabasePasswords({clients, identities, clock})
  }

  /** What AWS says about a database. @throws what the SDK throws, or PosternError without credentials */
  describe(database: AwsDatabase): Promise<AwsDescription> {
    return this.#describing.pass(async () =>
      describeOnAws({clients: this.#clients, caller: await this.#callerFor(database), database}),
    )
  }

  /** All databases of a type in a region, as an identity sees them. @throws what the SDK throws, or PosternError without credentials */
  async list({type, region, matcher}: Scope): Promise<Listing> {
    const {assumeRoleArn: arn, externalId} = matcher
    const chain = arn === undefined ? [] : [{arn, externalId}]
    const session = await this.#identities.session({chain, region})
    const account = await this.#identities.accountOf(session, region)
    const candidates = await listCandidates({clients: this.#clients, caller: {session, region}, type})
    return {account, candidates}
  }

  /**
   * Keeps the inline policy of the identity that a database is reached with.
   * @returns whether anything was written
   * @throws PosternError with what AWS says
   */
  async keepPolicy(database: AwsDatabase, change: InlinePolicyChange): Promise<boolean> {
    const {GetCallerIdentityCommand} = await import('@aws-sdk/client-sts')
    const caller = await this.#callerFor(database)
    const {Arn = ''} = await using(await this.#clients.sts(caller), (sts) =>
      sts.send(new GetCallerIdentityCommand({})),
    ).catch((error: unknown) => {
      throw awsFailure(error, 'Whose AWS credentials these are cannot be found out')
    })
    return using(await this.#clients.iam(caller), (iam) => keepInlinePolicy(iam, parseIdentity(Arn), change))
  }

  /** Lets an instance or a cluster of RDS take IAM tokens, at once. @throws PosternError with what AWS says */
  async enableIamAuthentication(database: AwsDatabase): Promise<void> {
    const {ModifyDBClusterCommand, ModifyDBInstanceCommand} = await import('@aws-sdk/client-rds')
    const {cluster_id: cluster, instance_id: instance} = database.settings.rds ?? {}
    const change = {EnableIAMDatabaseAuthentication: true, ApplyImmediately: true}
    try {
      await using(await this.#clients.rds(await this.#callerFor(database)), async (rds) => {
        await (cluster === undefined
          ? rds.send(new ModifyDBInstanceCommand({DBInstanceIdentifier: instance, ...change}))
          : rds.send(new ModifyDBClusterCommand({DBClusterIdentifier: cluster, ...change})))
      })
    } catch (error) {
      throw awsFailure(error, `IAM authentication of "${database.name}" cannot be switched on`)
    }
  }

  /** Looks at all that a sign-in needs. @throws PosternError when the user cannot be one, or the host has no credentials */
  async examine({database, dbUser, signal}: ExaminationTarget): Promise<Examination> {
    const {user, chain, region} = await this.passwords.path({database, dbUser})
    const {examine} = await import('./examination.js')
    const options = {clients: this.#clients, identities: this.#identities, clock: this.#clock}
    return examine(options, {database, dbUser: user.name, chain, region, signal})
  }

  /** The account that requests about a database come from. @throws PosternError */
  async accountOf(database: AwsDatabase): Promise<string> {
    const {session, region} = await this.#callerFor(database)
    return this.#identities.accountOf(session, region)
  }

  async #callerFor(database: AwsDatabase): Promise<Caller> {
    const region = database.settings.region ?? (await this.#clients.defaultRegion())
    return {session: await this.#identities.session({chain: chainOf(database), region}), region}
  }
}
