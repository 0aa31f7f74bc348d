import type {z} from 'zod'
import type {heartbeatRequest} from '../api/requests.js'
import type {HeartbeatResponse} from '../api/responses.js'
import type {Clock} from '../core/clock.js'
import type {Logger} from '../core/log.js'
import {PosternError} from '../core/errors.js'
import type {HostIdentity} from '../pki/identity.js'
import type {Database} from '../resources/database.js'
import type {DatabaseServer} from '../resources/database-server.js'
import type {Change} from '../storage/backend.js'
import type {AuditLog} from './audit-log.js'
import type {HostCaller} from './caller.js'
import {databaseKey, type Stores} from './stores.js'

/** An agent that is silent for this long serves nothing any more. */
const heartbeatLifetime = 10 * 60_000

export type Heartbeat = z.infer<typeof heartbeatRequest>

export interface HeartbeatsOptions {
  readonly stores: Stores
  readonly audit: AuditLog
  readonly clock: Clock
  readonly logger: Logger
}

/** What agents say they serve, within what they may serve. */
export class Heartbeats {
  readonly #options: HeartbeatsOptions
  /** Refusals that are in the audit log already, by host and database, so that each repetition is not. */
  readonly #told = new Map<string, string>()
  /** One at a time: two agents that claim the same name at once must see each other. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: HeartbeatsOptions) {
    this.#options = options
  }

  /** Keeps what the host serves for ten minutes; what it named last time and not now is gone at once. */
  accept(heartbeat: Heartbeat, caller: HostCaller): Promise<HeartbeatResponse> {
    const result = this.#last.then(() => this.#accept(heartbeat, caller))
    this.#last = result.catch(() => undefined)
    return result
  }

  async #accept(
    {hostname, version, databases, directAddress}: Heartbeat,
    {hostId, identity}: HostCaller,
  ): Promise<HeartbeatResponse> {
    const {stores, clock} = this.#options
    const host = await stores.hosts.get(hostId)
    if (!host) throw new PosternError('ACCESS_DENIED', `The host ${hostId} is not part of this cluster.`)
    const expires = clock.now() + heartbeatLifetime
    const serving = new Set<string>()
    const changes: Change[] = []
    const refused: {name: string; reason: string}[] = []
    for (const {database, health} of databases) {
      const {name} = database.metadata
      const key = databaseKey(name)
      const reason = serving.has(key)
        ? 'this host names it twice'
        : (outsideScope(database, identity) ?? (await this.#claimedByOthers(database, hostId)))
      if (reason !== undefined) {
        refused.push({name, reason})
        continue
      }
      serving.add(key)
      const server: DatabaseServer = {
        kind: 'db_server',
        version: 'v3',
        metadata: {name, expires: new Date(expires).toISOString(), ...copyOf(database.metadata)},
        spec: {
          version,
          hostname,
          host_id: hostId,
          rotation: {},
          database,
          proxy_ids: [],
          ...(directAddress === undefined ? {} : {direct_addr: directAddress}),
        },
        status: {target_health: health},
      }
      changes.push(stores.databaseServers.putting(`${key}/${hostId}`, server, expires))
    }
    for (const key of host.value.serving) {
      if (!serving.has(key)) changes.push(stores.databaseServers.deleting(`${key}/${hostId}`))
    }
    const list = [...serving]
    if (hostname !== host.value.hostname || list.join() !== host.value.serving.join()) {
      changes.push(stores.hosts.putting(hostId, {...host.value, hostname, serving: list}))
    }
    await stores.backend.write(changes)
    await this.#tell(hostId, hostname, refused)
    return {refused}
  }

  /** A name belongs to one database: the one that an administrator declared, else the one that other agents serve. */
  async #claimedByOthers(database: Database, hostId: string): Promise<string | undefined> {
    const {stores} = this.#options
    const declared = await stores.databases.get(databaseKey(database.metadata.name))
    if (declared && sameTarget(declared.value, database)) return undefined
    for (const {spec} of await stores.serversOf(database.metadata.name)) {
      if (spec.host_id !== hostId && !sameTarget(spec.database, database)) {
        return `the agent on ${spec.hostname} (${spec.host_id}) serves another database under this name`
      }
    }
    return undefined
  }

  async #tell(hostId: string, hostname: string, refused: HeartbeatResponse['refused']): Promise<void> {
    const {audit, logger} = this.#options
    const mine = `${hostId}/`
    const now = new Map(refused.map(({name, reason}) => [mine + name, reason]))
    for (const key of this.#told.keys()) if (key.startsWith(mine) && !now.has(key)) this.#told.delete(key)
    for (const {name, reason} of refused) {
      if (this.#told.get(mine + name) === reason) continue
      this.#told.set(mine + name, reason)
      logger.warn('A database of an agent was refused.', {database: name, host_id: hostId, reason})
      await audit.append('database_server.refused', {
        user: hostId,
        user_kind: 3,
        server_id: hostId,
        server_hostname: hostname,
        db_service: name,
        success: false,
        error: reason,
      })
    }
  }
}

/** Why the join token of the host does not let it serve the database; undefined when it does. */
export function outsideScope(database: Database, {databases, labels}: HostIdentity): string | undefined {
  const {name, labels: own = {}} = database.metadata
  if (databases && !databases.some((allowed) => databaseKey(allowed) === databaseKey(name))) {
    return 'the join token of this host does not name it'
  }
  const missing = Object.entries(labels ?? {}).find(([key, value]) => !Object.hasOwn(own, key) || own[key] !== value)
  return missing ? `the join token of this host demands the label ${missing[0]}=${missing[1]}` : undefined
}

function copyOf({description, labels}: Database['metadata']): Pick<Database['metadata'], 'description' | 'labels'> {
  return {...(description === undefined ? {} : {description}), ...(labels ? {labels} : {})}
}

function sameTarget(one: Database, other: Database): boolean {
  return (
    one.metadata.name === other.metadata.name &&
    one.spec.uri.toLowerCase() === other.spec.uri.toLowerCase() &&
    (one.spec.tls?.ca_cert ?? '').trim() === (other.spec.tls?.ca_cert ?? '').trim()
  )
}
