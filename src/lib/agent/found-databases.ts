/** The databases that this agent finds in AWS by the matchers of its configuration, as far as AWS answers for them. */
import {isDeepStrictEqual} from 'node:util'
import {selects} from '../access/selector.js'
import {survey, type Listing, type Matcher, type Scope, type Survey} from '../aws/survey.js'
import type {Logger} from '../core/log.js'
import type {Database} from '../resources/database.js'

export interface FoundDatabasesOptions {
  readonly matchers: readonly Matcher[]
  readonly list: (scope: Scope) => Promise<Listing>
  readonly pollMilliseconds: number
  readonly onFound: (databases: readonly Database[]) => void
  readonly logger: Logger
}

/** Many agents may have started at the same moment. */
const jitter = 0.1

export class FoundDatabases {
  readonly #options: FoundDatabasesOptions
  #known: readonly Database[] = []
  /** What was said last, so that each look does not say it again. */
  #told = new Map<string, string>()
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(options: FoundDatabasesOptions) {
    this.#options = options
    if (options.matchers.length > 0) void this.#look()
  }

  get databases(): readonly Database[] {
    return this.#known
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  async #look(): Promise<void> {
    const {matchers, list, pollMilliseconds, onFound} = this.#options
    const result = await survey({matchers, list, selects})
    if (this.#isStopped) return
    this.#tell(result)
    const found = result.found.map(({database}) => database)
    const names = new Set(found.map(({metadata}) => metadata.name.toLowerCase()))
    // What AWS does not answer for stays.
    const kept = this.#known.filter(
      (database) => !names.has(database.metadata.name.toLowerCase()) && result.standingOf(database) === 'unknown',
    )
    const now = [...found, ...kept]
    if (!isDeepStrictEqual(now, this.#known)) {
      this.#known = now
      onFound(now)
    }
    this.#timer = setTimeout(
      () => {
        void this.#look()
      },
      pollMilliseconds * (1 - jitter * Math.random()),
    )
    this.#timer.unref()
  }

  #tell({failures, clashes}: Survey): void {
    const {logger} = this.#options
    const news = new Map<string, string>()
    for (const {scope, reason} of failures) {
      const {type, region, matcher} = scope
      const role = matcher.assumeRoleArn ?? ''
      const key = [type, region, role].join(' ')
      news.set(key, reason)
      if (this.#told.get(key) === reason) continue
      logger.warn('AWS does not list all databases; those that are known stay.', {type, region, role, reason})
    }
    for (const {name, uri, holder} of clashes) {
      news.set(uri, holder)
      if (this.#told.get(uri) === holder) continue
      logger.warn('Two databases would have one name; one is left out.', {database: name, uri, holder})
    }
    this.#told = news
  }
}
