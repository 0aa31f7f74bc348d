/**
 * What a user's roles limit of a session while it runs: how long its client may be silent, whether it outlives the
 * certificate, whether it outlives what is known of locks. Looked at a few times a second for all sessions together, so that
 * messages cost nothing.
 */
import type {SessionOptions} from '../access/session-options.js'
import {describeDuration} from '../core/duration.js'
import type {ServerError} from '../pgwire/server-error.js'
import type {Guest} from './admission.js'
import {fatal, sqlStates} from './failure.js'

/** What is the case at one moment. */
export interface Moment {
  /** Wall-clock milliseconds. */
  readonly now: number
  readonly monotonic: number
  /** What is known of locks is older than new sessions may be based on. */
  readonly stale: boolean
}

/** An end, and its reason for the audit. */
export interface Limit {
  readonly error: ServerError
  readonly reason: string
}

export class SessionLimits {
  options: SessionOptions
  readonly #expires: number
  readonly #activity: () => number | undefined
  #seen: number | undefined
  /** Monotonic milliseconds; the session is younger than its first look. */
  #idleSince: number | undefined
  #ended = false

  /** @param activity changes when the client does something; undefined when it is not its turn */
  constructor(guest: Guest, options: SessionOptions, activity: () => number | undefined) {
    this.options = options
    this.#expires = Date.parse(guest.certificate.validTo)
    this.#activity = activity
  }

  /** Why the session must end now, said once; undefined when it need not. */
  exceeded(moment: Moment): Limit | undefined {
    if (this.#ended) return undefined
    const limit = this.#check(moment)
    this.#ended = limit !== undefined
    return limit
  }

  #check({now, monotonic, stale}: Moment): Limit | undefined {
    const {clientIdleTimeout, disconnectExpiredCert, lock} = this.options
    const idle = this.#idle(monotonic)
    if (disconnectExpiredCert && now >= this.#expires) {
      const reason = `The client certificate expired at ${new Date(this.#expires).toISOString()}.`
      return {error: fatal(sqlStates.notAuthorized, reason, 'Log in and connect again.'), reason}
    }
    if (lock === 'strict' && stale) {
      const reason = 'It is not known which locks are in force, and your roles ask to be strict about that.'
      return {error: fatal(sqlStates.endedByAdministrator, reason, 'Connect again in a moment.'), reason}
    }
    if (clientIdleTimeout !== undefined && idle >= clientIdleTimeout) {
      const reason = `The client was idle for longer than ${describeDuration(clientIdleTimeout)}.`
      return {error: fatal(sqlStates.idleTooLong, reason, 'Connect again.'), reason}
    }
    return undefined
  }

  #idle(monotonic: number): number {
    const activity = this.#activity()
    if (activity === undefined || activity !== this.#seen || this.#idleSince === undefined) {
      this.#seen = activity
      this.#idleSince = monotonic
    }
    return monotonic - this.#idleSince
  }
}
