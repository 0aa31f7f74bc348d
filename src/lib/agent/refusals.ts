import {briefExplanation} from '../access/explanation.js'
import type {SessionAudit} from '../audit/session-audit.js'
import type {Clock} from '../core/clock.js'
import {messageOf} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import {LogPace} from '../core/log-pace.js'
import {encodeErrorResponse, type ServerError} from '../pgwire/server-error.js'
import type {Explanation} from '../resources/explanation.js'
import {endSoon} from '../tunnel/farewell.js'
import type {Guest} from './admission.js'
import type {Catalog, Served} from './catalog.js'
import type {Arrival} from './entrance.js'
import {sqlStates} from './failure.js'
import type {Gate} from './gate.js'

/** A session that has a name, and nothing else for certain. */
export interface Attempt {
  readonly sid: string
  readonly arrival: Arrival
  readonly logger: Logger
}

/** The audit of a session that somebody attempts. */
export type AuditOf = (attempt: Attempt, guest: Guest, served: Served) => SessionAudit

export interface RefusalsOptions {
  readonly gate: Gate
  readonly catalog: Catalog
  readonly counters: {sessionsRefused: number}
  readonly auditOf: AuditOf
  readonly clock: Clock
}

/** Connections that never become a session: an ErrorResponse for the client, TDB00W for the audit. */
export class Refusals {
  readonly #options: RefusalsOptions
  readonly #pace: LogPace

  constructor(options: RefusalsOptions) {
    this.#options = options
    this.#pace = new LogPace(() => options.clock.monotonic())
  }

  refuse(attempt: Attempt, error: ServerError, guest?: Guest, served?: Served, decision?: Explanation): void {
    this.record(attempt, error, guest, served, decision)
    tell(attempt.arrival, error)
  }

  /** As `refuse`, of somebody who has been told, or is told otherwise. */
  record(attempt: Attempt, error: ServerError, guest?: Guest, served?: Served, decision?: Explanation): void {
    const {catalog, counters, auditOf} = this.#options
    counters.sessionsRefused += 1
    const also = this.#pace.take()
    if (also)
      attempt.logger.info('A connection was refused.', {reason: error.message, user: guest?.identity.user, ...also})
    const where = served ?? (guest && catalog.find(guest.route.database))
    // Of somebody unknown, or for a database that is not here, there is nothing true to say.
    if (!guest || !where) return
    try {
      const audit = auditOf(attempt, guest, where)
      audit.refused({
        error: error.message,
        message: toldText(error),
        decision: decision ? briefExplanation(decision) : this.#denialOf(guest, where),
      })
      if (error.code === sqlStates.tooManyConnections) audit.rejected(error.message)
    } catch (failure) {
      attempt.logger.error('A refusal could not be audited.', {reason: messageOf(failure)})
    }
  }

  /** What roles and locks say of a guest who got no further than the door. */
  #denialOf(guest: Guest, served: Served): Explanation | undefined {
    try {
      const {allowed, explanation} = this.#options.gate.judge(guest, served)
      return allowed ? undefined : briefExplanation(explanation)
    } catch {
      return undefined
    }
  }
}

/** Tells a client, and closes the connection. */
export function tell(arrival: Arrival, error: ServerError): void {
  endSoon(arrival.socket, encodeErrorResponse(error))
}

/** The id of the decision is the session's that did not come about. */
export const explainHint = (sid: string): string => `An administrator sees why with: postern access explain ${sid}`

/** All that the user was told: what failed, why, and what to do. */
const toldText = ({message, detail, hint}: ServerError): string =>
  [message, detail, hint].filter((text) => text !== undefined).join(' ')
