import type {SingletonKind} from '../resources/kinds.js'
import type {ResourceOf} from '../resources/resource.js'
import type {Database} from '../resources/database.js'
import type {DatabaseServer} from '../resources/database-server.js'
import type {HealthCheckConfig} from '../resources/health-check-config.js'
import type {Lock} from '../resources/lock.js'
import type {Role} from '../resources/role.js'
import type {AuthorityType} from './responses.js'

/** What agents must know of a user to judge a certificate. */
export interface WatchedUser {
  readonly name: string
  readonly roles: readonly string[]
  /** Absent when there are none. */
  readonly traits?: Readonly<Record<string, readonly string[]>>
  /** RFC 3339: certificates issued before this moment are void. */
  readonly certsValidFrom?: string
}

/** Items that the control plane streams to hosts, keyed by kind and name. */
export interface WatchedItems extends Pick<ResourceOf, SingletonKind> {
  role: Role
  user: WatchedUser
  lock: Lock
  health_check_config: HealthCheckConfig
  /** Dynamic databases. */
  db: Database
  /** Heartbeats, for proxies: which host serves which database; named `<host id>/<database>`. */
  db_server: DatabaseServer
  /** PEM certificates of an authority. */
  authority: {readonly type: AuthorityType; readonly certificates: readonly string[]}
  /** Hosts whose certificates issued before a moment are void. */
  host: {readonly hostId: string; readonly certsValidFrom: string}
  /** Sessions of the host that have to end; named by their ids. */
  ending: {readonly hostId: string; readonly reason: string}
}

export type WatchedKind = keyof WatchedItems

/**
 * One line of the watch stream (`GET /v1/watch`, newline-delimited JSON): `hello`, every item as `put`, `ready`, then
 * changes as they happen, and cancel requests that came to another agent. A `pong` answers each ping (`POST /v1/watch/:id/ping`) in order.
 */
export type WatchEvent =
  | {readonly type: 'hello'; readonly watchId: string}
  | {
      readonly [K in WatchedKind]: {
        readonly type: 'put'
        readonly kind: K
        readonly name: string
        readonly item: WatchedItems[K]
      }
    }[WatchedKind]
  | {readonly type: 'delete'; readonly kind: WatchedKind; readonly name: string}
  /** A user wants a query cancelled; `secret` is base64. */
  | {readonly type: 'cancel'; readonly user: string; readonly pid: number; readonly secret: string}
  | {readonly type: 'ready'}
  | {readonly type: 'pong'; readonly sequence: number}
  /** Agents answer with their sessions (`POST /v1/watch/:id/sessions`). */
  | {readonly type: 'ask'; readonly ask: string}
