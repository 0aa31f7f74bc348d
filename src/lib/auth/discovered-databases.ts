import type {z} from 'zod'
import type {putDiscoveredRequest} from '../api/requests.js'
import {PosternError} from '../core/errors.js'
import type {Database} from '../resources/database.js'
import {detectEndpoint, parseAddress} from '../resources/endpoint.js'
import type {Change} from '../storage/backend.js'
import {noExpiry, type AuditLog, type OwnEventName} from './audit-log.js'
import {actorFields, type HostCaller} from './caller.js'
import {outsideScope} from './heartbeats.js'
import type {Stored} from './records.js'
import {databaseKey, type Stores} from './stores.js'

export interface DiscoveredDatabasesOptions {
  readonly stores: Stores
  readonly audit: AuditLog
}

const originLabel = 'postern.dev/origin'
const groupLabel = 'postern.internal/discovery-group-name'

/** The databases that discovery services have found, each group's its own: what others registered is out of their reach. */
export class DiscoveredDatabases {
  readonly #options: DiscoveredDatabasesOptions
  /** One at a time: two services of a group that find the same database must see each other. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: DiscoveredDatabasesOptions) {
    this.#options = options
  }

  async list(group: string): Promise<{databases: Database[]}> {
    const all = await this.#options.stores.databases.list()
    return {databases: all.map(({value}) => value).filter((database) => isOf(group, database))}
  }

  /**
   * Whether it is new.
   * @throws PosternError ALREADY_EXISTS for a name that is not the group's, ACCESS_DENIED outside the host's scope, INVALID
   */
  put(request: z.infer<typeof putDiscoveredRequest>, caller: HostCaller): Promise<{created: boolean}> {
    return this.#inTurn(() => this.#put(request, caller))
  }

  /** Nothing happens when it is not there, or not the group's. */
  remove(group: string, name: string, caller: HostCaller): Promise<void> {
    return this.#inTurn(async () => {
      const {stores} = this.#options
      const current = await stores.databases.get(databaseKey(name))
      if (!current || !isOf(group, current.value)) return
      await this.#change(stores.databases.deleting(databaseKey(name)), 'db.delete', current.value, caller)
    })
  }

  async #put({group, database}: z.infer<typeof putDiscoveredRequest>, caller: HostCaller): Promise<{created: boolean}> {
    const {stores} = this.#options
    const owned = own(group, database)
    checkPlace(owned)
    const reason = outsideScope(owned, caller.identity)
    if (reason !== undefined) throw new PosternError('ACCESS_DENIED', `The database is refused: ${reason}.`)
    const {name} = owned.metadata
    const key = databaseKey(name)
    const current = await stores.databases.get(key)
    if (!current) {
      await this.#change(stores.databases.creating(key, owned), 'db.create', owned, caller)
      return {created: true}
    }
    checkOwner(group, current)
    await this.#change(stores.databases.swapping(key, current.revision, owned), 'db.update', owned, caller)
    return {created: false}
  }

  #change(change: Change, event: OwnEventName, {metadata, spec}: Database, caller: HostCaller): Promise<void> {
    const actor = actorFields(caller)
    return this.#options.audit.change([change], event, {
      ...actor,
      name: metadata.name,
      expires: noExpiry,
      updated_by: actor.user,
      db_protocol: spec.protocol,
      db_uri: spec.uri,
      db_labels: metadata.labels ?? {},
    })
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(work)
    this.#last = result.catch(() => undefined)
    return result
  }
}

function isOf(group: string, {metadata: {labels = {}}}: Database): boolean {
  return labels[originLabel] === 'cloud' && (labels[groupLabel] ?? '') === group
}

/** Where it comes from and whose it is, a host does not say for itself. */
function own(group: string, {kind, version, metadata, spec}: Database): Database {
  const {name, description, labels = {}} = metadata
  const others = Object.fromEntries(Object.entries(labels).filter(([key]) => key !== groupLabel))
  return {
    kind,
    version,
    metadata: {
      name,
      ...(description !== undefined && {description}),
      labels: {...others, [originLabel]: 'cloud', ...(group !== '' && {[groupLabel]: group})},
    },
    spec,
  }
}

/** Only what AWS has can be found in AWS. */
function checkPlace({metadata, spec}: Database): void {
  if (detectEndpoint(parseAddress(spec.uri).host).type !== 'self-hosted' && spec.tls === undefined) return
  throw new PosternError('INVALID', `"${metadata.name}" is no database as discovery finds them in AWS.`)
}

function checkOwner(group: string, {value}: Stored<Database>): void {
  if (isOf(group, value)) return
  const {labels = {}, name} = value.metadata
  const holder =
    labels[originLabel] === 'cloud' ? `the discovery group "${labels[groupLabel] ?? ''}"` : 'somebody who created it'
  throw new PosternError('ALREADY_EXISTS', `There is a database "${name}" already; it belongs to ${holder}.`)
}
