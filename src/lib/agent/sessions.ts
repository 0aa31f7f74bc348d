import type {LiveSession} from '../api/live-session.js'
import type {ServerError} from '../pgwire/server-error.js'
import type {Guest} from './admission.js'
import {fatal, sqlStates} from './failure.js'
import type {Gate} from './gate.js'
import type {Limit, Moment, SessionLimits} from './session-limits.js'

/** A session that is under way. */
export interface RunningSession {
  readonly sid: string
  /** Its name between proxy and agent. */
  readonly nonce: string
  readonly guest: Guest
  readonly limits: SessionLimits
  describe(): LiveSession
  end(error: ServerError, reason: string): void
  /** Ends it because it has exceeded a limit. */
  disconnect(limit: Limit): void
}

/** One answer to the control plane has room for so many. */
const mostDescribed = 10_000

/** The sessions of this agent. */
export class Sessions {
  /** Those that are about to begin, by their ids: whether the client has left meanwhile. */
  readonly opening = new Map<string, AbortSignal>()
  readonly #live = new Set<RunningSession>()
  #onEmpty: (() => void)[] = []

  get count(): number {
    return this.#live.size
  }

  /** The ids of those that somebody waits for: one whose client has left takes nobody's place, however long its sign-in lasts. */
  get awaited(): string[] {
    return [...this.opening].flatMap(([sid, departure]) => (departure.aborted ? [] : [sid]))
  }

  add(session: RunningSession): void {
    this.#live.add(session)
  }

  delete(session: RunningSession): void {
    this.#live.delete(session)
    if (this.#live.size > 0) return
    for (const resolve of this.#onEmpty.splice(0)) resolve()
  }

  /** Ends the sessions that what is known now forbids. */
  recheck(gate: Gate): void {
    for (const session of this.#live) {
      const verdict = gate.verdict(session.guest)
      if ('options' in verdict) {
        session.limits.options = verdict.options
        continue
      }
      const reason = `Access was withdrawn: ${verdict.objection}`
      session.end(fatal(sqlStates.endedByAdministrator, reason), reason)
    }
  }

  /** Sessions of a user. */
  countOf(user: string): number {
    let count = 0
    for (const {guest} of this.#live) if (guest.identity.user === user) count += 1
    return count
  }

  /** Ends the sessions that exceed a limit of their user's roles. */
  checkLimits(moment: Moment): void {
    for (const session of this.#live) {
      const limit = session.limits.exceeded(moment)
      if (limit) session.disconnect(limit)
    }
  }

  /** A record of a session was refused for good. */
  refused(sid: string): void {
    for (const session of this.#live) {
      const limit =
        session.sid === sid ? session.limits.unrecordable('The control plane refused one of its records.') : undefined
      if (limit) session.disconnect(limit)
    }
  }

  /** Ends the sessions that somebody wants ended. @param ending why, by the ids of sessions */
  endThose(ending: ReadonlyMap<string, {readonly reason: string}>): void {
    if (ending.size === 0) return
    for (const session of this.#live) {
      const reason = ending.get(session.sid)?.reason
      if (reason !== undefined) session.end(fatal(sqlStates.endedByAdministrator, reason), reason)
    }
  }

  /** What the sessions are doing; not all of them when they are very many. */
  describe(): LiveSession[] {
    return [...this.#live].slice(0, mostDescribed).map((session) => session.describe())
  }

  /** Ends all sessions, or those with these nonces. */
  endAll(message: string, nonces?: ReadonlySet<string>): void {
    for (const session of this.#live) {
      if (nonces && !nonces.has(session.nonce)) continue
      session.end(fatal(sqlStates.endedByAdministrator, message, 'Connect again.'), message)
    }
  }

  /** Resolves when there is none left, or after so many milliseconds. */
  async empty(milliseconds: number): Promise<void> {
    if (this.#live.size === 0) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, milliseconds)
      this.#onEmpty.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }
}
