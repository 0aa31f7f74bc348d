/**
 * What AWS says about the databases served here, asked at the start and every ten minutes: it fills their settings, becomes
 * their labels, and is the proof that a database which a user created is the one whose credentials it would get.
 */
import {selects, type Selector} from '../access/selector.js'
import type {Aws} from '../aws/aws.js'
import {toAwsDatabase, type AwsDatabase, type RoleOverride} from '../aws/aws-database.js'
import {describeAwsError, mayPass} from '../aws/failure.js'
import type {AwsDescription} from '../aws/description.js'
import {PosternError} from '../core/errors.js'
import {matchesGlob} from '../core/glob.js'
import type {Logger} from '../core/log.js'
import {afterRunning} from '../core/running-time.js'
import {detectEndpoint} from '../resources/endpoint.js'
import {retryDelay} from '../tunnel/backoff.js'
import type {Served} from './catalog.js'

/** A role for the databases that these labels select. */
export interface SelectedRole extends RoleOverride {
  readonly labels: Selector
}

/** The host's own rules for databases that users create. */
export interface AwsRules {
  readonly roles: readonly SelectedRole[]
  /** Roles that such a database may name, `*` for any text in them; undefined for all. */
  readonly allowedRoles: readonly string[] | undefined
}

export interface AwsDatabasesOptions {
  readonly aws: Aws
  readonly rules: AwsRules
  readonly logger: Logger
  readonly onDescription: (served: Served, description: AwsDescription) => void
}

const refreshMilliseconds = 10 * 60_000
/** After a failure; many agents may have failed at the same moment. */
const retries = {firstMilliseconds: 5000, mostMilliseconds: refreshMilliseconds}
const jitter = 0.1
/** A connection waits for the first answer no longer than this. */
const patienceMilliseconds = 4000

interface Entry {
  readonly served: Served
  first: Promise<void>
  description: AwsDescription | undefined
  /** Whether AWS has told its tags, or that it will not. */
  isAnswered: boolean
  /** Failures in a row. */
  failures: number
  /** What was said last, so that each refresh does not say it again. */
  told: string | undefined
  timer: NodeJS.Timeout | undefined
}

export class AwsDatabases {
  readonly #options: AwsDatabasesOptions
  readonly #entries = new Map<string, Entry>()

  constructor(options: AwsDatabasesOptions) {
    this.#options = options
  }

  /** Begins to ask about a database, anew if its definition changed. */
  start(served: Served): void {
    const {name} = served.database.metadata
    this.forget(name)
    if (!toAwsDatabase(served.database)) return
    const entry: Entry = {
      served,
      first: Promise.resolve(),
      description: undefined,
      isAnswered: false,
      failures: 0,
      told: undefined,
      timer: undefined,
    }
    this.#entries.set(name.toLowerCase(), entry)
    entry.first = this.#refresh(entry)
  }

  forget(name: string): void {
    clearTimeout(this.#entries.get(name.toLowerCase())?.timer)
    this.#entries.delete(name.toLowerCase())
  }

  stop(): void {
    for (const {timer} of this.#entries.values()) clearTimeout(timer)
    this.#entries.clear()
  }

  /** Resolves when AWS has been asked about the database once, or does not answer: its tags count in decisions. */
  async settled({database}: Served): Promise<void> {
    const entry = this.#entries.get(database.metadata.name.toLowerCase())
    if (!entry) return
    let forget: () => void = () => undefined
    const late = new Promise<void>((resolve) => {
      forget = afterRunning(patienceMilliseconds, resolve)
    })
    await Promise.race([entry.first, late]).finally(forget)
  }

  /**
   * Whether the labels of a database are all of them: as long as AWS fails to tell the tags, those that a role denies may
   * be missing. Who may not read tags has none.
   */
  knowsLabels({database, origin}: Served): boolean {
    // Tags do not become labels of what users created, and what was found has them already.
    if (origin !== 'config-file') return true
    return this.#entries.get(database.metadata.name.toLowerCase())?.isAnswered ?? true
  }

  /**
   * The AWS side of a database that may be given credentials; undefined for a self-hosted one.
   * @throws PosternError ACCESS_DENIED when it must not have any
   */
  async admit(served: Served): Promise<AwsDatabase | undefined> {
    const database = this.#read(served)
    if (!database || served.origin !== 'dynamic') return database
    this.#checkRules(served, database)
    await this.settled(served)
    const {name} = database
    const description = this.#entries.get(name.toLowerCase())?.description
    if (!description) {
      throw new PosternError('ACCESS_DENIED', `AWS has not confirmed that "${name}" is where its uri leads.`, {
        hint: 'The identity of the agent needs the Describe permissions of `postern db configure aws print-iam`; or serve the database from the configuration file of the agent.',
      })
    }
    if (!description.hosts.includes(database.endpoint.host.toLowerCase())) {
      throw new PosternError(
        'ACCESS_DENIED',
        `AWS does not know "${database.endpoint.host}" as an endpoint of the database "${name}".`,
        {hint: 'Register the database under an endpoint that AWS shows for it.'},
      )
    }
    return database
  }

  /** The name that a custom endpoint's certificate carries, as AWS tells. */
  certificateName({name, endpoint}: AwsDatabase): string | undefined {
    const host = endpoint.host.toLowerCase()
    const description = this.#entries.get(name.toLowerCase())?.description
    if (!description?.hosts.includes(host)) return undefined
    return detectEndpoint(host).customEndpointName === undefined ? undefined : description.certificateName
  }

  /** Ids of the security groups that guard a database, as AWS tells. */
  securityGroups({name}: AwsDatabase): readonly string[] {
    return this.#entries.get(name.toLowerCase())?.description?.securityGroups ?? []
  }

  /** What the database may not say for itself. @throws PosternError ACCESS_DENIED */
  #checkRules({database: {spec}}: Served, {name}: AwsDatabase): void {
    if (spec.tls && Object.keys(spec.tls).length > 0) {
      throw new PosternError('ACCESS_DENIED', `The database "${name}" sets tls, which a resource on AWS may not do.`, {
        hint: 'Remove spec.tls, or serve the database from the configuration file of the agent.',
      })
    }
    const arn = spec.aws?.assume_role_arn
    const {allowedRoles} = this.#options.rules
    if (arn === undefined || !allowedRoles || allowedRoles.some((allowed) => matchesGlob(allowed, arn))) return
    throw new PosternError('ACCESS_DENIED', `The agent may not assume ${arn} for the database "${name}".`, {
      hint: 'Add the role to db_service.allowed_assume_roles of the agent.',
    })
  }

  #read({database, origin}: Served): AwsDatabase | undefined {
    const {roles} = this.#options.rules
    const labels = database.metadata.labels ?? {}
    // The last one wins.
    const role = origin === 'dynamic' ? roles.findLast((one) => selects(one.labels, labels)) : undefined
    return toAwsDatabase(database, role)
  }

  async #refresh(entry: Entry): Promise<void> {
    const {aws, onDescription} = this.#options
    const database = this.#read(entry.served)
    if (!database) return
    let wait = refreshMilliseconds * (1 - jitter * Math.random())
    try {
      if (entry.served.origin === 'dynamic') this.#checkRules(entry.served, database)
      const description = await aws.describe(database)
      if (!this.#isCurrent(entry)) return
      entry.description = description
      entry.isAnswered = true
      entry.failures = 0
      if (description.tagsDenied) this.#tell(entry, 'AWS does not let the agent read tags')
      else entry.told = undefined
      onDescription(entry.served, description)
    } catch (error) {
      this.#tell(entry, describeAwsError(error))
      await this.#learnAccount(entry, database)
      entry.isAnswered ||= !mayPass(error)
      wait = retryDelay(entry.failures, retries)
      entry.failures += 1
    }
    if (!this.#isCurrent(entry)) return
    entry.timer = setTimeout(() => {
      void this.#refresh(entry)
    }, wait)
    entry.timer.unref()
  }

  /** Without it `role/NAME` and the ARN of that role would not be known for one user of Redshift. */
  async #learnAccount(entry: Entry, database: AwsDatabase): Promise<void> {
    const {type, settings} = database
    const isRedshift = type === 'redshift' || type === 'redshift-serverless'
    if (!isRedshift || entry.description || settings.account_id !== undefined) return
    const account = await this.#options.aws.accountOf(database).catch(() => undefined)
    if (!account || !this.#isCurrent(entry)) return
    this.#options.onDescription(entry.served, {settings: {...settings, account_id: account}, hosts: [], tags: {}})
  }

  #isCurrent(entry: Entry): boolean {
    return this.#entries.get(entry.served.database.metadata.name.toLowerCase()) === entry
  }

  #tell(entry: Entry, reason: string): void {
    if (entry.told === reason) return
    entry.told = reason
    const database = entry.served.database.metadata.name
    this.#options.logger.warn('AWS does not tell all about a database; connections need not fail for it.', {
      database,
      reason,
    })
  }
}
