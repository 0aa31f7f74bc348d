import type {Clock} from '../core/clock.js'

export interface Rate {
  readonly perSecond: number
  /** How many may come at once. */
  readonly burst: number
}

/** A bucket that fills at a steady rate. */
export class RateLimit {
  readonly #rate: Rate
  readonly #clock: Clock
  #room: number
  #at: number

  constructor(rate: Rate, clock: Clock) {
    this.#rate = rate
    this.#clock = clock
    this.#room = rate.burst
    this.#at = clock.monotonic()
  }

  hasRoom(): boolean {
    const now = this.#clock.monotonic()
    this.#room = Math.min(this.#rate.burst, this.#room + ((now - this.#at) / 1000) * this.#rate.perSecond)
    this.#at = now
    return this.#room >= 1
  }

  take(): void {
    if (this.hasRoom()) this.#room -= 1
  }
}
