import {isDeepStrictEqual} from 'node:util'
import {selects, type Selector} from '../access/selector.js'
import type {Logger} from '../core/log.js'
import type {Database} from '../resources/database.js'

/** A database that this agent serves. */
export interface Served {
  readonly database: Database
  /** Where it comes from: the host's own configuration may point anywhere, what users create may not. */
  readonly origin: 'config-file' | 'dynamic'
}

export interface CatalogOptions {
  readonly databases: readonly Database[]
  readonly selectors: readonly Selector[]
  readonly logger: Logger
  /** A database is served from now on, or no longer, or with another definition. */
  readonly onChange: (name: string, served: Served | undefined) => void
}

/** Names are unique ignoring the case of ASCII letters, which is all they may hold. */
const keyOf = (name: string): string => name.toLowerCase()

/** The databases that this agent serves: those of its configuration, and those that users created and its selectors match. */
export class Catalog {
  readonly #options: CatalogOptions
  readonly #served = new Map<string, Served>()

  constructor(options: CatalogOptions) {
    this.#options = options
    for (const database of options.databases) {
      this.#served.set(keyOf(database.metadata.name), {database, origin: 'config-file'})
    }
  }

  get served(): readonly Served[] {
    return [...this.#served.values()]
  }

  find(name: string): Served | undefined {
    return this.#served.get(keyOf(name))
  }

  /** Takes up the current dynamic databases; the configuration's own win over them. */
  reconcile(dynamic: Iterable<Database>): void {
    const {selectors, logger, onChange} = this.#options
    const wanted = new Map<string, Database>()
    for (const database of dynamic) {
      const {name, labels} = database.metadata
      if (!selectors.some((selector) => selects(selector, labels ?? {}))) continue
      if (this.find(name)?.origin === 'config-file') {
        logger.debug('A database resource has the name of a configured database and is not served.', {database: name})
      } else {
        wanted.set(keyOf(name), database)
      }
    }
    for (const [key, {database, origin}] of this.#served) {
      if (origin === 'config-file' || wanted.has(key)) continue
      this.#served.delete(key)
      onChange(database.metadata.name, undefined)
    }
    for (const [key, database] of wanted) {
      if (isDeepStrictEqual(this.#served.get(key)?.database, database)) continue
      const served: Served = {database, origin: 'dynamic'}
      this.#served.set(key, served)
      onChange(database.metadata.name, served)
    }
  }
}
