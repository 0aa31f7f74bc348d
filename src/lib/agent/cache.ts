import {readClusterLimits, type ClusterLimits} from '../access/session-options.js'
import type {ApiClient} from '../api/client.js'
import type {AuthorityType} from '../api/responses.js'
import type {LiveSession} from '../api/live-session.js'
import {WatchClient} from '../api/watch-client.js'
import type {WatchedItems, WatchedUser, WatchEvent} from '../api/watch-event.js'
import type {Clock} from '../core/clock.js'
import type {Logger} from '../core/log.js'
import type {BackendKey} from '../pgwire/server-messages.js'
import type {Database} from '../resources/database.js'
import type {HealthCheckConfig} from '../resources/health-check-config.js'
import type {Lock} from '../resources/lock.js'
import type {ResourceOf} from '../resources/resource.js'
import type {Role} from '../resources/role.js'
import type {RecordingMode} from '../resources/session-recording-config.js'

/** What an agent knows of the cluster at one moment. */
class Snapshot {
  readonly role = new Map<string, Role>()
  readonly user = new Map<string, WatchedUser>()
  readonly lock = new Map<string, Lock>()
  readonly db = new Map<string, Database>()
  readonly health_check_config = new Map<string, HealthCheckConfig>()
  readonly session_recording_config = new Map<string, ResourceOf['session_recording_config']>()
  readonly cluster_networking_config = new Map<string, ResourceOf['cluster_networking_config']>()
  readonly cluster_auth_preference = new Map<string, ResourceOf['cluster_auth_preference']>()
  readonly authority = new Map<string, WatchedItems['authority']>()
  readonly ending = new Map<string, WatchedItems['ending']>()
}

export interface CacheOptions {
  readonly client: ApiClient
  readonly clock: Clock
  readonly logger: Logger
  /** The sessions that are under way here. */
  readonly sessions: () => readonly LiveSession[]
  /** The ids of those that are about to begin. */
  readonly opening: () => Iterable<string>
  /** Something changed; called once for changes that come together. */
  readonly onChange: () => void
  /** A cancel request that came to another agent. */
  readonly onCancel?: ((user: string, key: BackendKey) => void) | undefined
}

/** Roles, users, locks, authorities and dynamic databases, as the control plane streams them. */
export class Cache {
  readonly #options: CacheOptions
  readonly #watch: WatchClient
  #current = new Snapshot()
  /** What a new stream has brought so far; takes over as a whole, so that a reconnect shows no half of the truth. */
  #incoming: Snapshot | undefined
  /** Monotonic time as of which the current snapshot is true while a new stream is still incomplete. */
  #trueAt = -Infinity
  #complete = false
  #announced = false

  constructor(options: CacheOptions) {
    this.#options = options
    const {client, clock, logger, sessions, opening} = options
    this.#watch = new WatchClient({
      client,
      sessions,
      opening,
      clock,
      logger,
      onStart: () => {
        this.#trueAt = this.#options.clock.monotonic() - this.staleness()
        this.#incoming = new Snapshot()
      },
      onEvent: (event) => {
        this.#apply(event)
      },
    })
  }

  /** Whether all of it has arrived once. */
  get complete(): boolean {
    return this.#complete
  }

  get roles(): ReadonlyMap<string, Role> {
    return this.#current.role
  }

  get users(): ReadonlyMap<string, WatchedUser> {
    return this.#current.user
  }

  get locks(): ReadonlyMap<string, Lock> {
    return this.#current.lock
  }

  /** Databases that users created, by name. */
  get databases(): ReadonlyMap<string, Database> {
    return this.#current.db
  }

  /** How agents check databases, by name. */
  get healthChecks(): ReadonlyMap<string, HealthCheckConfig> {
    return this.#current.health_check_config
  }

  /** How sessions that begin now are recorded. */
  get recordingMode(): RecordingMode {
    const [config] = this.#current.session_recording_config.values()
    return config?.spec.mode ?? 'node'
  }

  /** What limits every session, beside the roles of its user. */
  get limits(): ClusterLimits {
    const [networking] = this.#current.cluster_networking_config.values()
    const [preference] = this.#current.cluster_auth_preference.values()
    return readClusterLimits(networking, preference)
  }

  /** Sessions that somebody ended, by their ids. */
  get ending(): ReadonlyMap<string, WatchedItems['ending']> {
    return this.#current.ending
  }

  /** PEM certificates of an authority. */
  authorities(type: AuthorityType): readonly string[] {
    return [...this.#current.authority.values()].find((authority) => authority.type === type)?.certificates ?? []
  }

  /** Milliseconds for which the control plane has not confirmed what is here; Infinity before it is complete. */
  staleness(): number {
    if (!this.#complete) return Infinity
    return this.#incoming ? this.#options.clock.monotonic() - this.#trueAt : this.#watch.staleness()
  }

  close(): Promise<void> {
    return this.#watch.close()
  }

  #apply(event: WatchEvent): void {
    if (event.type === 'ready') {
      this.#current = this.#incoming ?? this.#current
      this.#incoming = undefined
      this.#complete = true
      this.#announce()
      return
    }
    if (event.type === 'cancel') {
      const {user, pid, secret} = event
      this.#options.onCancel?.(user, {pid, secret: Buffer.from(secret, 'base64')})
      return
    }
    const snapshot = this.#incoming ?? this.#current
    if (event.type === 'put') put(snapshot, event)
    else if (event.type === 'delete') remove(snapshot, event)
    if (!this.#incoming) this.#announce()
  }

  #announce(): void {
    if (this.#announced) return
    this.#announced = true
    setImmediate(() => {
      this.#announced = false
      this.#options.onChange()
    })
  }
}

type Put = Extract<WatchEvent, {type: 'put'}>
type Delete = Extract<WatchEvent, {type: 'delete'}>

function put(snapshot: Snapshot, event: Put): void {
  switch (event.kind) {
    case 'role':
      snapshot.role.set(event.name, event.item)
      break
    case 'user':
      snapshot.user.set(event.name, event.item)
      break
    case 'lock':
      snapshot.lock.set(event.name, event.item)
      break
    case 'db':
      snapshot.db.set(event.name, event.item)
      break
    case 'health_check_config':
      snapshot.health_check_config.set(event.name, event.item)
      break
    case 'session_recording_config':
      snapshot.session_recording_config.set(event.name, event.item)
      break
    case 'cluster_networking_config':
      snapshot.cluster_networking_config.set(event.name, event.item)
      break
    case 'cluster_auth_preference':
      snapshot.cluster_auth_preference.set(event.name, event.item)
      break
    case 'authority':
      snapshot.authority.set(event.name, event.item)
      break
    case 'ending':
      snapshot.ending.set(event.name, event.item)
      break
    // For proxies and the control plane.
    case 'db_server':
    case 'host':
      break
  }
}

function remove(snapshot: Snapshot, {kind, name}: Delete): void {
  if (kind !== 'db_server' && kind !== 'host') snapshot[kind].delete(name)
}
