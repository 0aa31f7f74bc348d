import {isDeepStrictEqual} from 'node:util'
import {selects, type Selector} from '../access/selector.js'
import {toAwsDatabase} from '../aws/aws-database.js'
import {describeByName, type AwsDescription} from '../aws/description.js'
import {isInternalLabel} from '../core/labels.js'
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

const longestLabel = {key: 256, value: 1024}

/** Tags may be what labels cannot, and must not pass for labels of ours. */
function isUsableLabel(key: string, value: string): boolean {
  if (key.length > longestLabel.key || value.length > longestLabel.value || key === '__proto__') return false
  return /^[^\s=,"]+$/.test(key) && !isInternalLabel(key)
}

/** Names are unique ignoring the case of ASCII letters, which is all they may hold. */
const keyOf = (name: string): string => name.toLowerCase()

/** The databases that this agent serves: those of its configuration, and those that users created and its selectors match. */
export class Catalog {
  readonly #options: CatalogOptions
  readonly #served = new Map<string, Served>()
  /** Dynamic databases as users wrote them. */
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
      this.#declared.delete(key)
      onChange(database.metadata.name, undefined)
    }
    for (const [key, database] of wanted) {
      if (isDeepStrictEqual(this.#declared.get(key), database)) continue
      const served: Served = {database: describe(database), origin: 'dynamic'}
      this.#declared.set(key, database)
      this.#served.set(key, served)
      onChange(database.metadata.name, served)
    }
  }
}
