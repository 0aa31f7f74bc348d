import {setTimeout as sleep} from 'node:timers/promises'
import type {Clock} from '../core/clock.js'

/** One that is about to come back waits for a fifth of a second, and connects. */
const patienceMilliseconds = 2000
const lookMilliseconds = 20

/** Processes of agents whose watch stream has just ended. Most come back at once; until then nobody tells of their sessions. */
export class Absences {
  readonly #clock: Pick<Clock, 'monotonic'>
  /** By host and follower. */
  readonly #left = new Map<string, {readonly hostId: string; readonly at: number}>()

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  begin(hostId: string, follower: string): void {
    this.#left.set(`${hostId}/${follower}`, {hostId, at: this.#clock.monotonic()})
  }

  end(hostId: string, follower: string): void {
    this.#left.delete(`${hostId}/${follower}`)
  }

  /** Settles when nobody is away any more, of one host or of all, who may yet come back. */
  async over(hostId?: string): Promise<void> {
    while (this.#isAnybodyAway(hostId)) await sleep(lookMilliseconds)
  }

  #isAnybodyAway(hostId: string | undefined): boolean {
    const now = this.#clock.monotonic()
    for (const [key, {at}] of this.#left) if (now - at > patienceMilliseconds) this.#left.delete(key)
    return [...this.#left.values()].some((absent) => (hostId ?? absent.hostId) === absent.hostId)
  }
}
