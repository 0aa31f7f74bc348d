/**
 * The Discovery Service: looks into AWS at the start and every so often, and keeps the databases that its group has
 * registered in the cluster as AWS has them. What AWS does not answer for stays as it is.
 *
 *   AWS ──survey──► reconciliation ◄──list── control plane
 *                         └────────put, remove──►
 */
import {setTimeout as sleep} from 'node:timers/promises'
import {survey, type Listing, type Matcher, type Scope, type SurveyOptions} from '../aws/survey.js'
import {selects} from '../access/selector.js'
import type {ApiClient} from '../api/client.js'
import {messageOf, toPosternError} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import type {Database} from '../resources/database.js'
import {reconcile} from './reconciliation.js'

export interface DiscoveryOptions {
  /** The control plane, as this host. */
  readonly api: Pick<ApiClient, 'discoveredDatabases' | 'putDiscovered' | 'removeDiscovered'>
  readonly list: (scope: Scope) => Promise<Listing>
  readonly matchers: readonly Matcher[]
  /** Services with the same one keep the same databases; those with another leave them alone. */
  readonly group: string
  readonly pollMilliseconds: number
  readonly logger: Logger
}

export interface Discovery {
  /** Whether it has looked once and told the control plane. */
  ready(): boolean
  /** Databases that the group has registered, as of the last look. */
  databases(): number
  /** Looks at once, or waits for the look that is under way. */
  poll(): Promise<void>
  close(): Promise<void>
}

const endMilliseconds = 3000
/** Many hosts may start at the same moment. */
const jitter = 0.1

export function startDiscovery(options: DiscoveryOptions): Discovery {
  return new DiscoveryService(options)
}

class DiscoveryService implements Discovery {
  readonly #options: DiscoveryOptions
  /** What was said last about each thing, so that each look does not say it again. */
  #told = new Map<string, string>()
  #polling: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #isReady = false
  #isClosed = false
  #count = 0

  constructor(options: DiscoveryOptions) {
    this.#options = options
    void this.poll()
  }

  ready(): boolean {
    return this.#isReady
  }

  databases(): number {
    return this.#count
  }

  poll(): Promise<void> {
    clearTimeout(this.#timer)
    this.#polling ??= this.#poll()
      .catch((error: unknown) => {
        this.#options.logger.warn('Databases could not be brought up to date.', {reason: messageOf(error)})
      })
      .finally(() => {
        this.#polling = undefined
        this.#schedule()
      })
    return this.#polling
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    // A look at an AWS that hangs must not hold up the end of the process.
    await Promise.race([this.#polling, sleep(endMilliseconds, undefined, {ref: false})])
  }

  #schedule(): void {
    if (this.#isClosed) return
    const wait = this.#options.pollMilliseconds * (1 - jitter * Math.random())
    this.#timer = setTimeout(() => {
      void this.poll()
    }, wait)
  }

  async #poll(): Promise<void> {
    const {api, list, matchers, group} = this.#options
    const options: SurveyOptions = {matchers, list, selects}
    const result = await survey(options)
    if (this.#isClosed) return
    const {databases: registered} = await api.discoveredDatabases({group})
    const {put, remove} = reconcile({registered, survey: result, matchers})
    const news = new Map<string, string>()
    for (const {scope, reason} of result.failures) {
      const where = {
        type: scope.type,
        region: scope.region,
        ...(scope.matcher.assumeRoleArn !== undefined && {role: scope.matcher.assumeRoleArn}),
      }
      this.#tell(
        news,
        JSON.stringify(where),
        reason,
        'AWS does not list all databases; those that are known stay.',
        where,
      )
    }
    for (const {name, uri, holder} of result.clashes) {
      this.#tell(news, uri, holder, 'Two databases would have one name; one is left out.', {
        database: name,
        uri,
        holder,
      })
    }
    const refused = await this.#put(put, news)
    for (const database of remove) {
      await api.removeDiscovered({group, name: database.metadata.name})
      this.#options.logger.info('A database is gone from AWS, or matches no more.', {database: database.metadata.name})
    }
    this.#told = news
    this.#count = registered.length + put.filter((one) => isNew(one, registered)).length - refused - remove.length
    this.#isReady = true
  }

  /** @returns how many the control plane did not take */
  async #put(databases: readonly Database[], news: Map<string, string>): Promise<number> {
    const {api, group, logger} = this.#options
    let refused = 0
    for (const database of databases) {
      const {name} = database.metadata
      try {
        const {created} = await api.putDiscovered({group, database})
        logger.info(created ? 'A database was found.' : 'A database has changed.', {database: name})
      } catch (error) {
        // Somebody else's name, or another service was quicker: the others are not worse off for it.
        if (!['ALREADY_EXISTS', 'CONFLICT', 'ACCESS_DENIED', 'INVALID'].includes(toPosternError(error).code))
          throw error
        refused += 1
        this.#tell(news, name, messageOf(error), 'A database that was found is not registered.', {database: name})
      }
    }
    return refused
  }

  #tell(
    news: Map<string, string>,
    key: string,
    reason: string,
    message: string,
    fields: Readonly<Record<string, string>>,
  ): void {
    news.set(key, reason)
    if (this.#told.get(key) !== reason) this.#options.logger.warn(message, {...fields, reason})
  }
}

const isNew = ({metadata}: Database, registered: readonly Database[]): boolean =>
  !registered.some((one) => one.metadata.name.toLowerCase() === metadata.name.toLowerCase())
