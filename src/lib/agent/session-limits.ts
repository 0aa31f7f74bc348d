/**
 * What roles and cluster limit of a session while it runs: how long its client may be silent, whether it outlives the
 * certificate, whether it outlives what is known of locks, and whether it goes on unrecorded. Looked at a few times a second for all sessions together, so that
 * messages cost nothing.
 */
import type {SessionOptions} from '../access/session-options.js'
import {describeDuration} from '../core/duration.js'
import type {ServerError} from '../pgwire/server-error.js'
import type {RecordingMode} from '../resources/session-recording-config.js'
import type {Guest} from './admission.js'
import {fatal, sqlStates} from './failure.js'

/** What is the case at one moment. */
export interface Moment {
  /** Wall-clock milliseconds. */
  readonly now: number
  readonly monotonic: number
  /** What is known of locks is older than new sessions may be based on. */
  readonly stale: boolean
  /** Milliseconds for which nobody has taken the records of sessions; 0 when there are none. */
  readonly unrecorded: number
}

/** An end, and its reason for the audit. */
export interface Limit {
  readonly error: ServerError
  readonly reason: string
}

/** So long a session that must be recorded while it runs goes on when nobody takes its records. */
export const recorderPatienceMilliseconds = 10_000

export class SessionLimits {
  options: SessionOptions
  readonly #expires: number
  readonly #activity: () => number | undefined
  readonly #recording: RecordingMode
  #seen: number | undefined
  /** Monotonic milliseconds; the session is younger than its first look. */
  #idleSince: number | undefined
  #ended = false

  /**
   * @param activity changes when the client does something; undefined when it is not its turn
   * @param recording as it was when the session began: a change is for those that come
   */
  constructor(
    guest: Guest,
    options: SessionOptions,
    activity: () => number | undefined,
    recording: RecordingMode = 'node',
  ) {
    this.options = options
    this.#expires = Date.parse(guest.certificate.validTo)
    this.#activity = activity
    this.#recording = recording
  }

  /** Why the session must end now, said once; undefined when it need not. */
  exceeded(moment: Moment): Limit | undefined {
    if (this.#ended) return undefined
    const limit = this.#check(moment)
    this.#ended = limit !== undefined
    return limit
  }

  #check({now, monotonic, stale, unrecorded}: Moment): Limit | undefined {
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
    if (unrecorded >= recorderPatienceMilliseconds) {
      const limit = this.unrecordable(
        `The control plane has not taken its records for ${describeDuration(unrecorded)}.`,
      )
      if (limit) return limit
    }
    if (clientIdleTimeout !== undefined && idle >= clientIdleTimeout) {
      const reason = `The client was idle for longer than ${describeDuration(clientIdleTimeout)}.`
      return {error: fatal(sqlStates.idleTooLong, reason, 'Connect again.'), reason}
    }
    return undefined
  }

  /** The end of a session that must not go on unrecorded; undefined when it may. @param cause one sentence */
  unrecordable(cause: string): Limit | undefined {
    if (this.#recording !== 'node-sync') return undefined
    const reason = `The session cannot be recorded. ${cause}`
    return {error: fatal(sqlStates.auditFailed, reason, 'Connect again in a moment.'), reason}
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
