import type {WatchedItems} from '../api/watch-event.js'
import type {SystemRole} from '../pki/identity.js'
import type {Database} from '../resources/database.js'
import type {DatabaseServer} from '../resources/database-server.js'
import type {HealthCheckConfig} from '../resources/health-check-config.js'
import type {SingletonKind} from '../resources/kinds.js'
import type {Lock} from '../resources/lock.js'
import type {ResourceOf} from '../resources/resource.js'
import type {Role} from '../resources/role.js'
import type {Token} from '../resources/token.js'
import type {User} from '../resources/user.js'
import type {Backend} from '../storage/backend.js'
import type {PasswordRecord} from './passwords.js'
import {Records, type Stored} from './records.js'

/** A user with what never leaves the control plane. */
export interface UserRecord {
  readonly user: User
  readonly password?: PasswordRecord
  /** Hash of the only invite or reset token that works for this user. */
  readonly setup?: string
}

export interface HostRecord {
  readonly hostId: string
  readonly systemRoles: readonly SystemRole[]
  readonly hostname: string
  /** RFC 3339. */
  readonly joined: string
  readonly certsValidFrom?: string
  /** Keys of the databases in its newest heartbeat. */
  readonly serving: readonly string[]
}

export interface InviteRecord {
  readonly user: string
  readonly purpose: 'invite' | 'reset'
}

/** Everything that the control plane keeps, besides its authorities and events. */
export class Stores {
  readonly backend: Backend
  readonly users: Records<UserRecord>
  readonly roles: Records<Role>
  readonly locks: Records<Lock>
  readonly healthChecks: Records<HealthCheckConfig>
  /** Of each kind there is one at most, under its one name. */
  readonly settings: {readonly [K in SingletonKind]: Records<ResourceOf[K]>}
  /** By the hash of the secret. */
  readonly tokens: Records<Token>
  /** Dynamic databases, by `databaseKey`. */
  readonly databases: Records<Database>
  /** Heartbeats, by `databaseKey/hostId`. */
  readonly databaseServers: Records<DatabaseServer>
  readonly hosts: Records<HostRecord>
  /** By the hash of the secret. */
  readonly invites: Records<InviteRecord>
  readonly #knownRoles = new Map<string, Stored<Role>>()

  /** Sessions that somebody ended, by their ids, until their agents have surely heard of it. */
  readonly endings: Records<WatchedItems['ending']>

  constructor(backend: Backend) {
    this.backend = backend
    this.users = new Records(backend, 'user/')
    this.roles = new Records(backend, 'role/')
    this.locks = new Records(backend, 'lock/')
    this.healthChecks = new Records(backend, 'health_check_config/')
    this.settings = {
      session_recording_config: new Records(backend, 'session_recording_config/'),
      cluster_networking_config: new Records(backend, 'cluster_networking_config/'),
      cluster_auth_preference: new Records(backend, 'cluster_auth_preference/'),
    }
    this.tokens = new Records(backend, 'token/')
    this.databases = new Records(backend, 'db/')
    this.databaseServers = new Records(backend, 'db_server/')
    this.hosts = new Records(backend, 'host/')
    this.endings = new Records(backend, 'session_ending/')
    this.invites = new Records(backend, 'invite/')
  }

  /** The definitions of these roles; a name without one is left out. */
  async rolesNamed(names: readonly string[]): Promise<ReadonlyMap<string, Role>> {
    const found = await Promise.all(names.map((name) => this.#roleNamed(name)))
    return new Map(found.flatMap((role) => (role ? [[role.metadata.name, role]] : [])))
  }

  /** The same object as long as the role has the same revision: what was compiled of it stays. */
  async #roleNamed(name: string): Promise<Role | undefined> {
    const current = await this.roles.get(name)
    const known = this.#knownRoles.get(name)
    if (known && known.revision === current?.revision) return known.value
    if (current) this.#knownRoles.set(name, current)
    else this.#knownRoles.delete(name)
    return current?.value
  }

  async allLocks(): Promise<Lock[]> {
    return (await this.locks.list()).map(({value}) => value)
  }

  /** Live heartbeats for a database. */
  async serversOf(database: string): Promise<DatabaseServer[]> {
    return (await this.databaseServers.list(`${databaseKey(database)}/`)).map(({value}) => value)
  }
}

/** Names of databases are unique ignoring case; they hold ASCII only. */
export function databaseKey(name: string): string {
  return name.toLowerCase()
}
