/** Spreads new sign-ins over time: databases on AWS refuse those that come too fast, and do not say that this is why. */
import {setTimeout as sleep} from 'node:timers/promises'
import type {Clock} from '../core/clock.js'

/** Sign-ins in one window. AWS advises fewer than 200 a second. */
const usualLimit = 100
const windowMilliseconds = 1100
/** Between sign-ins to an instance that refused one: small ones take 10 a second. */
const carefulMilliseconds = 110
/** It is left alone for so long first: what is under way still counts. */
const pauseMilliseconds = 500
/** How long it is treated with care. */
const careMilliseconds = 30_000

interface Instance {
  /** Monotonic times of the newest sign-ins, those still to come among them; in order. */
  readonly turns: number[]
  /** When care began, and when it ends. */
  carefulFrom: number
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
    if (!known) return
    const now = this.#clock.monotonic()
    if (now >= known.carefulUntil) known.carefulFrom = now
    known.carefulUntil = now + careMilliseconds
  }

  #reserve(name: string): number {
    const now = this.#clock.monotonic()
    this.#forget(now)
    const instance = this.#instances.get(name) ?? {turns: [], carefulFrom: -Infinity, carefulUntil: -Infinity}
    this.#instances.set(name, instance)
    const {turns, carefulFrom, carefulUntil} = instance
    const last = turns.at(-1) ?? -Infinity
    const at =
      now < carefulUntil
        ? Math.max(now, last + carefulMilliseconds, carefulFrom + pauseMilliseconds)
        : Math.max(now, last, (turns.at(-usualLimit) ?? -Infinity) + windowMilliseconds)
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
