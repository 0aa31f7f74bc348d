/**
 * `db_service.iam_policy: auto`: the agent sees to it by itself, as far as AWS lets it, that the identity which it reaches a
 * database with may sign in, and that the database takes IAM at all. One piece of work at a time, for all databases of one
 * identity together.
 */
import {grantFor} from '../aws/iam-grants.js'
import type {DatabaseGrant} from '../aws/iam-policy.js'
import type {Aws} from '../aws/aws.js'
import {chainOf, type AwsDatabase} from '../aws/aws-database.js'
import {PosternError, toPosternError} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import type {IamPolicyStatus} from '../resources/database.js'
import {retryDelay} from '../tunnel/backoff.js'
import type {Served} from './catalog.js'

export interface IamUpkeepOptions {
  readonly cluster: string
  readonly aws: Pick<Aws, 'keepPolicy' | 'enableIamAuthentication'>
  readonly served: () => readonly Served[]
  /** The AWS side of a database that may be given credentials. @throws PosternError when it must not have any */
  readonly admit: (served: Served) => Promise<AwsDatabase | undefined>
  /** The state of a database has changed. */
  readonly onStatus: () => void
  readonly logger: Logger
}

/** Databases are registered many at a time. */
const gatherMilliseconds = 200
const refreshMilliseconds = 10 * 60_000
const jitter = 0.1
const retries = {firstMilliseconds: 10_000, mostMilliseconds: refreshMilliseconds}

/** The inline policies of one identity have one name for all agents of the cluster, so that restarts leave nothing behind. */
const policySuffix = '-postern-database-access'
const longestPolicyName = 128
const policyNameOf = (cluster: string): string =>
  cluster.slice(0, longestPolicyName - policySuffix.length) + policySuffix

/** What is done together: the databases of one identity. */
interface Group {
  readonly database: AwsDatabase
  readonly grants: Map<string, DatabaseGrant>
}

export class IamUpkeep {
  readonly #options: IamUpkeepOptions
  readonly #statuses = new Map<string, IamPolicyStatus>()
  /** What is in the policies for databases of this agent, by identity and name. */
  readonly #kept = new Map<string, Group>()
  #told = new Map<string, string>()
  #timer: NodeJS.Timeout | undefined
  #working: Promise<void> | undefined
  #isWanted = false
  #isStopped = false
  #failures = 0

  constructor(options: IamUpkeepOptions) {
    this.#options = options
  }

  /** Undefined for databases that need no permission to sign in. */
  statusOf(name: string): IamPolicyStatus | undefined {
    return this.#statuses.get(name.toLowerCase())
  }

  /** The databases have changed, or more is known about them. */
  hurry(): void {
    this.#isWanted = true
    if (!this.#working) this.#schedule(gatherMilliseconds)
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#timer)
    await this.#working
  }

  #schedule(milliseconds: number): void {
    clearTimeout(this.#timer)
    if (this.#isStopped) return
    this.#timer = setTimeout(() => {
      this.#isWanted = false
      this.#working = this.#work().finally(() => {
        this.#working = undefined
        const wait = this.#failures > 0 ? retryDelay(this.#failures - 1, retries) : refreshMilliseconds
        this.#schedule(this.#isWanted ? gatherMilliseconds : wait * (1 - jitter * Math.random()))
      })
    }, milliseconds)
    this.#timer.unref()
  }

  async #work(): Promise<void> {
    const news = new Map<string, string>()
    const groups = await this.#collect(news)
    // Those that are served no longer have to go from their policies, of which nothing else may be left.
    for (const [key, {database}] of this.#kept) {
      if (!groups.has(key)) groups.set(key, {database, grants: new Map()})
    }
    let hasFailed = false
    for (const [key, group] of groups) {
      if (this.#isStopped) return
      hasFailed = !(await this.#keep(key, group, news)) || hasFailed
    }
    this.#failures = hasFailed ? this.#failures + 1 : 0
    this.#told = news
  }

  async #collect(news: Map<string, string>): Promise<Map<string, Group>> {
    const groups = new Map<string, Group>()
    const names = new Set<string>()
    for (const served of this.#options.served()) {
      const {name} = served.database.metadata
      const database = await this.#options.admit(served).catch((error: unknown) => {
        this.#tell(news, name, error)
        this.#note(name, 'IAM_POLICY_STATUS_FAILED')
        return undefined
      })
      if (!database) continue
      const grant = grantFor(database)
      if (grant.signIn.length === 0) continue
      names.add(name.toLowerCase())
      if (grant.unknown.length > 0) {
        this.#note(name, 'IAM_POLICY_STATUS_PENDING')
        continue
      }
      await this.#enable(database, news)
      const key = JSON.stringify(chainOf(database))
      const group = groups.get(key) ?? {database, grants: new Map<string, DatabaseGrant>()}
      group.grants.set(name.toLowerCase(), grant)
      groups.set(key, group)
    }
    for (const name of this.#statuses.keys()) if (!names.has(name)) this.#statuses.delete(name)
    return groups
  }

  /** @returns whether the policy says what it should */
  async #keep(key: string, {database, grants}: Group, news: Map<string, string>): Promise<boolean> {
    const {aws, cluster, logger} = this.#options
    const before = this.#kept.get(key)
    const add = [...grants.values()]
    const wanted = new Set(add.flatMap(({signIn}) => signIn))
    const remove = Array.from(before?.grants.values() ?? [], ({type, signIn}) => ({
      type,
      signIn: signIn.filter((resource) => !wanted.has(resource)),
    })).filter(({signIn}) => signIn.length > 0)
    const policyName = policyNameOf(cluster)
    try {
      const hasChanged = await aws.keepPolicy(database, {policyName, add, remove})
      if (hasChanged) logger.info('The IAM policy of the agent was brought up to date.', {policy: policyName})
      if (grants.size > 0) this.#kept.set(key, {database, grants})
      else this.#kept.delete(key)
      for (const name of grants.keys()) this.#note(name, 'IAM_POLICY_STATUS_SUCCESS')
      return true
    } catch (error) {
      this.#tell(news, key, error)
      for (const name of grants.keys()) this.#note(name, 'IAM_POLICY_STATUS_FAILED')
      return false
    }
  }

  /** Switches IAM authentication on where AWS says that it is off. */
  async #enable(database: AwsDatabase, news: Map<string, string>): Promise<void> {
    const {aws, logger} = this.#options
    const {type, settings, name} = database
    if (type !== 'rds' || settings.rds?.iam_auth !== false) return
    try {
      await aws.enableIamAuthentication(database)
      logger.info('IAM authentication was switched on.', {database: name})
    } catch (error) {
      this.#tell(news, `${name} authentication`, error)
    }
  }

  #note(name: string, status: IamPolicyStatus): void {
    const key = name.toLowerCase()
    if (this.#statuses.get(key) === status) return
    this.#statuses.set(key, status)
    this.#options.onStatus()
  }

  /** Best effort: who manages the permissions otherwise need not care. */
  #tell(news: Map<string, string>, key: string, error: unknown): void {
    const {message, hints} = error instanceof PosternError ? error : toPosternError(error)
    news.set(key, message)
    if (this.#told.get(key) === message) return
    this.#options.logger.warn('The agent cannot give itself a permission in AWS.', {
      reason: message,
      ...(hints.length > 0 && {fix: hints.join(' ')}),
    })
  }
}
