/**
 * How many sessions a user may have at a time, in the whole cluster:
 *
 *   agent                          control plane                        agents
 *     │ {sid, user, most} ──────────►│ one question of a user at a time
 *     │                              │ ── which sessions are there? ──────►│ all of them, this one too
 *     │                              │ ◄────────── those that run and those that are being opened
 *     │ ◄─────────────── {admitted} ─│ a place is held until its agent says that its session is over, or not being opened any
 *                                      more; or until the agent is gone
 */
import type {AdmitSessionRequest} from '../api/requests.js'
import type {HostCaller} from './caller.js'
import type {Watches} from './watch.js'

export class SessionPlaces {
  readonly #watches: Pick<Watches, 'sessions'>
  /** The hosts of sessions that were admitted, or ran when they were last looked for; by user and id. */
  readonly #held = new Map<string, Map<string, string>>()
  /** The newest question of each user. */
  readonly #asking = new Map<string, Promise<unknown>>()

  constructor(watches: Pick<Watches, 'sessions'>) {
    this.#watches = watches
  }

  /** Whether one more session of a user may begin; agents that do not answer count with the places that they held before. */
  async admit(request: AdmitSessionRequest, caller: HostCaller): Promise<{readonly admitted: boolean}> {
    const {user} = request
    const before = this.#asking.get(user)
    const answer = (before ?? Promise.resolve()).catch(() => undefined).then(() => this.#admit(request, caller))
    this.#asking.set(user, answer)
    try {
      return {admitted: await answer}
    } finally {
      if (this.#asking.get(user) === answer) this.#asking.delete(user)
    }
  }

  async #admit({sid, user, most}: AdmitSessionRequest, {hostId}: HostCaller): Promise<boolean> {
    const {sessions, opening, silent} = await this.#watches.sessions()
    const held = this.#held.get(user) ?? new Map<string, string>()
    const running = new Map(sessions.filter((session) => session.user === user).map((each) => [each.sid, each.hostId]))
    for (const [place, host] of held) {
      if (!running.has(place) && !opening.has(place) && !silent.includes(host)) held.delete(place)
    }
    for (const [place, host] of running) held.set(place, host)
    const isAdmitted = held.size < most
    if (isAdmitted) held.set(sid, hostId)
    if (held.size > 0) this.#held.set(user, held)
    else this.#held.delete(user)
    return isAdmitted
  }
}
