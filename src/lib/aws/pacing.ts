/** Spreads new sign-ins over time: databases on AWS refuse those that come too fast, and do not say that this is why. */
import {setTimeout as sleep} from 'node:timers/promises'
import type {Clock} from '../core/clock.js'

/** Sign-ins in one window. AWS advises fewer than 200 a second; small instances refuse more than 10. */
const usualLimit = 100
const carefulLimit = 10
/** A little more than the second that is counted: connections do not all take the same time to arrive. */
const windowMilliseconds = 1100
/** How long an instance that refused one is treated with care. */
const carefulMilliseconds = 30_000

interface Instance {
  /** Monotonic times of the newest sign-ins, those still to come among them; in order. */
  readonly turns: number[]
  carefulUntil: number
}

export class Pacer {
  readonly #clock: Clock
  readonly #instances = new Map<string, Instance>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Resolves when it is the caller's turn to sign in to this instance; turns come in the order of the calls. */
  async turn(instance: string): Promise<void> {
    const wait = this.#reserve(instance)
    if (wait > 0) await sleep(wait)
  }

  /** The instance refused a sign-in as it does when they come too fast. */
  slowDown(instance: string): void {
    const known = this.#instances.get(instance)
    if (known) known.carefulUntil = this.#clock.monotonic() + carefulMilliseconds
  }

  #reserve(name: string): number {
    const now = this.#clock.monotonic()
    this.#forget(now)
    const instance = this.#instances.get(name) ?? {turns: [], carefulUntil: -Infinity}
    this.#instances.set(name, instance)
    const {turns, carefulUntil} = instance
    const limit = now < carefulUntil ? carefulLimit : usualLimit
    const blocking = turns.at(-limit)
    const at = Math.max(now, turns.at(-1) ?? now, blocking === undefined ? now : blocking + windowMilliseconds)
    turns.push(at)
    if (turns.length > usualLimit) turns.shift()
    return at - now
  }

  #forget(now: number): void {
    for (const [name, {turns, carefulUntil}] of this.#instances) {
      if (now > carefulUntil && now > (turns.at(-1) ?? now) + windowMilliseconds) this.#instances.delete(name)
    }
  }
}
