import {parseDuration, parseTimeout} from '../core/duration.js'
import type {ClusterAuthPreference} from '../resources/cluster-auth-preference.js'
import type {ClusterNetworkingConfig} from '../resources/cluster-networking-config.js'
import type {Role} from '../resources/role.js'

type Locking = 'strict' | 'best_effort'

/** What roles and cluster say about a user's logins and sessions, together. Times are in milliseconds. */
export interface SessionOptions {
  /** Longest life of a login; undefined when no role limits it. */
  readonly maxSessionTtl: number | undefined
  /** Time without a byte from the client after which a session ends; undefined for none. */
  readonly clientIdleTimeout: number | undefined
  /** Sessions end with the certificate that opened them. */
  readonly disconnectExpiredCert: boolean
  /** Sessions of the user at a time; undefined for any number. */
  readonly maxConnections: number | undefined
  /** `strict`: sessions end when it is not known any more which locks are in force. */
  readonly lock: Locking
  /** Whether sessions end when nobody takes their records, whatever the cluster's recording mode is. */
  readonly recordStrictly: boolean
}

/** What holds for every session, whatever roles say. */
export interface ClusterLimits {
  /** Milliseconds; 0 for none. */
  readonly clientIdleTimeout: number
  readonly disconnectExpiredCert: boolean
  /** For users none of whose roles says it. */
  readonly lock: Locking
}

export const noClusterLimits: ClusterLimits = {
  clientIdleTimeout: 0,
  disconnectExpiredCert: false,
  lock: 'best_effort',
}

/** Without a resource its defaults hold. */
export function readClusterLimits(
  networking: ClusterNetworkingConfig | undefined,
  preference: ClusterAuthPreference | undefined,
): ClusterLimits {
  return {
    clientIdleTimeout: parseTimeout(networking?.spec.client_idle_timeout ?? 'never'),
    disconnectExpiredCert: preference?.spec.disconnect_expired_cert ?? noClusterLimits.disconnectExpiredCert,
    lock: preference?.spec.locking_mode ?? noClusterLimits.lock,
  }
}

/** The strictest of all roles and the cluster, option by option (client contract, 4.6). */
export function combineOptions(roles: Iterable<Role>, cluster: ClusterLimits = noClusterLimits): SessionOptions {
  const all = [...roles].map(({spec}) => spec.options ?? {})
  const idle = all.map(({client_idle_timeout: limit}) => parseTimeout(limit ?? 'never'))
  const locks = all.flatMap(({lock}) => (lock === undefined || lock === '' ? [] : [lock]))
  return {
    maxSessionTtl: smallest(all.map(({max_session_ttl: limit}) => (limit === undefined ? 0 : parseDuration(limit)))),
    clientIdleTimeout: smallest([...idle, cluster.clientIdleTimeout]),
    disconnectExpiredCert:
      cluster.disconnectExpiredCert || all.some(({disconnect_expired_cert: disconnect}) => disconnect),
    maxConnections: smallest(all.map(({max_connections: limit = 0}) => limit)),
    lock: locks.includes('strict') ? 'strict' : (locks[0] ?? cluster.lock),
    recordStrictly: all.some(({record_session: recording}) => recording?.default === 'strict'),
  }
}

/** The smallest of those that limit something: 0 does not. */
function smallest(limits: readonly number[]): number | undefined {
  const limiting = limits.filter((limit) => limit > 0)
  return limiting.length === 0 ? undefined : Math.min(...limiting)
}
