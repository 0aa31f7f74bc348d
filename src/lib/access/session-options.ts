import {parseDuration} from '../core/duration.js'
import type {Role} from '../resources/role.js'

/** What the roles of a user say about their logins and sessions, together. Times are in milliseconds. */
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
  readonly lock: 'strict' | 'best_effort'
}

/** The strictest of all roles, option by option (client contract, 4.6). */
export function combineOptions(roles: Iterable<Role>): SessionOptions {
  const all = [...roles].map(({spec}) => spec.options ?? {})
  return {
    maxSessionTtl: smallest(all.map(({max_session_ttl: limit}) => (limit === undefined ? 0 : parseDuration(limit)))),
    clientIdleTimeout: smallest(all.map(({client_idle_timeout: limit}) => parseTimeout(limit ?? 'never'))),
    disconnectExpiredCert: all.some(({disconnect_expired_cert: disconnect}) => disconnect),
    maxConnections: smallest(all.map(({max_connections: limit = 0}) => limit)),
    lock: all.some(({lock}) => lock === 'strict') ? 'strict' : 'best_effort',
  }
}

/** Milliseconds; `never` is 0. @throws PosternError INVALID */
export function parseTimeout(text: string): number {
  return text === 'never' ? 0 : parseDuration(text)
}

/** The smallest of those that limit something: 0 does not. */
function smallest(limits: readonly number[]): number | undefined {
  const limiting = limits.filter((limit) => limit > 0)
  return limiting.length === 0 ? undefined : Math.min(...limiting)
}
