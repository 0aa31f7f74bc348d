import {isDeepStrictEqual} from 'node:util'
import {selects, type Selector} from '../access/selector.js'
import {toAwsDatabase} from '../aws/aws-database.js'
import {describeByName, type AwsDescription} from '../aws/description.js'
import {isUsableLabel} from '../core/labels.js'
import type {Logger} from '../core/log.js'
import type {Database} from '../resources/database.js'

/** A database that this agent serves. */
export interface Served {
  readonly database: Database
  /** Where it comes from: the host's own configuration may point anywhere, and so may AWS, what users create may not. */
  readonly origin: Origin
}

/** What comes and goes. */
const wanting = ['dynamic', 'cloud'] as const
type Wanting = (typeof wanting)[number]
export type Origin = 'config-file' | Wanting

export interface CatalogOptions {
  readonly databases: readonly Database[]
  readonly selectors: readonly Selector[]
  readonly logger: Logger
  /** A database is served from now on, or no longer, or with another definition. */
  readonly onChange: (name: string, served: Served | undefined) => void
}

/** A database with what AWS says about it: settings, and tags as labels. What users created keeps the labels they gave it. */
function enrich({database, origin}: Served, {settings, tags}: AwsDescription): Database {
  const {metadata, spec} = database
  if (origin === 'dynamic') return {...database, spec: {...spec, aws: settings}}
  const labels = Object.entries(tags).filter(([key, value]) => isUsableLabel(key, value))
  return {
    ...database,
    metadata: {...metadata, labels: {...Object.fromEntries(labels), ...metadata.labels}},
    spec: {...spec, aws: settings},
  }
}

/** Where nobody wrote a description, the endpoint's name makes one. */
function describe(database: Database): Database {
  if (database.metadata.description !== undefined) return database
  const aws = toAwsDatabase(database)
  const description = aws && describeByName(aws)
  return description === undefined ? database : {...database, metadata: {...database.metadata, description}}
}

/** Names are unique ignoring the case of ASCII letters, which is all they may hold. */
const keyOf = (name: string): string => name.toLowerCase()

/** The databases that this agent serves: those of its configuration, those that users created and its selectors match, and those that it finds. */
export class Catalog {
  readonly #options: CatalogOptions
  readonly #served = new Map<string, Served>()
  readonly #wanted: Record<Wanting, ReadonlyMap<string, Database>> = {dynamic: new Map(), cloud: new Map()}
  /** Those that are served, as users wrote them or as AWS lists them. */
  readonly #declared = new Map<string, Database>()

  constructor(options: CatalogOptions) {
    this.#options = options
    for (const database of options.databases) {
      this.#served.set(keyOf(database.metadata.name), {database: describe(database), origin: 'config-file'})
    }
  }

  get served(): readonly Served[] {
    return [...this.#served.values()]
  }

  find(name: string): Served | undefined {
    return this.#served.get(keyOf(name))
  }

  /** Takes up what AWS says about a database of ours. Whether that changes anything. */
  enrich(served: Served, description: AwsDescription): boolean {
    const {database, origin} = served
    const key = keyOf(database.metadata.name)
    const before = this.#served.get(key)?.database
    const after = enrich(served, description)
    if (!before || isDeepStrictEqual(before, after)) return false
    this.#served.set(key, {database: after, origin})
    return true
  }

  /** Takes up the current dynamic databases. */
  reconcile(dynamic: Iterable<Database>): void {
    const {selectors} = this.#options
    const selected = Array.from(dynamic).filter(({metadata: {labels = {}}}) =>
      selectors.some((selector) => selects(selector, labels)),
    )
    this.#take('dynamic', selected)
  }

  /** Takes up what this agent itself finds in AWS now. */
  discover(found: readonly Database[]): void {
    this.#take('cloud', found)
  }

  /** A name stays with what has it; the configuration's own come first, and who waits for a name gets it when it is free. */
  #take(origin: Wanting, databases: readonly Database[]): void {
    this.#wanted[origin] = new Map(databases.map((database) => [keyOf(database.metadata.name), database]))
    for (const [key, served] of this.#served) {
      if (served.origin !== origin || this.#wanted[origin].has(key)) continue
      this.#served.delete(key)
      this.#declared.delete(key)
      this.#options.onChange(served.database.metadata.name, undefined)
    }
    for (const one of [origin, ...wanting.filter((other) => other !== origin)]) this.#serve(one)
  }

  #serve(origin: Wanting): void {
    const {logger, onChange} = this.#options
    for (const [key, database] of this.#wanted[origin]) {
      const holder = this.#served.get(key)?.origin ?? origin
      if (holder !== origin) {
        const {name} = database.metadata
        logger.debug('A database has the name of another one and is not served.', {database: name, origin, holder})
        continue
      }
      if (isDeepStrictEqual(this.#declared.get(key), database)) continue
      const served: Served = {database: describe(database), origin}
      this.#declared.set(key, database)
      this.#served.set(key, served)
      onChange(database.metadata.name, served)
    }
  }
}
