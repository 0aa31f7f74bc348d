import type {ServerError} from '../pgwire/server-error.js'
import type {Guest} from './admission.js'
import {fatal, sqlStates} from './failure.js'
import type {Gate} from './gate.js'

/** A session that is under way. */
export interface LiveSession {
  readonly sid: string
  /** Its name between proxy and agent. */
  readonly nonce: string
  readonly guest: Guest
  end(error: ServerError, reason: string): void
}

/** The sessions of this agent. */
export class Sessions {
  readonly #live = new Set<LiveSession>()
  #onEmpty: (() => void)[] = []

  get count(): number {
    return this.#live.size
  }

  add(session: LiveSession): void {
    this.#live.add(session)
  }

  delete(session: LiveSession): void {
    this.#live.delete(session)
    if (this.#live.size > 0) return
    for (const resolve of this.#onEmpty.splice(0)) resolve()
  }

  /** Ends the sessions that what is known now forbids. */
  recheck(gate: Gate): void {
    for (const session of this.#live) {
      const objection = gate.objection(session.guest)
      if (objection === undefined) continue
      const reason = `Access was withdrawn: ${objection}`
      session.end(fatal(sqlStates.endedByAdministrator, reason), reason)
    }
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
