import type {Clock} from '../core/clock.js'
import {describeDuration} from '../core/duration.js'
import {PosternError} from '../core/errors.js'

const minute = 60_000
/** Bad attempts that lock the logins of a user, and for how long; attempts further apart do not add up. */
const userLimit = {attempts: 5, period: 20 * minute}
/** The same for one client address, which may try many names. */
const addressLimit = {attempts: 25, period: 20 * minute}
/** Names that attackers make up must not fill the memory; the oldest are forgotten first. */
const maximumTracked = 100_000

interface Failures {
  count: number
  until: number
}

/**
 * Slows down guessing of passwords, per user and per address. An address counts only where it is the client's own: a
 * proxy on another host splices connections without a word about their source, so behind its address are all of its
 * users, and one of them must not lock out the rest. There the limit per user, and the one on passwords checked at the
 * same time (passwords.ts), have to do.
 */
export class LoginLimits {
  readonly #clock: Clock
  readonly #users = new Map<string, Failures>()
  readonly #addresses = new Map<string, Failures>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * Before a password is checked. The attempt counts as a bad one until it is cleared, so that many at the same time do
   * not all get through.
   * @throws PosternError TOO_MANY_REQUESTS, no matter whether there is such a user
   */
  begin(user: string, address: string | undefined): void {
    this.#check(this.#users, user, userLimit)
    if (address !== undefined) this.#check(this.#addresses, address, addressLimit)
    this.#count(this.#users, user, userLimit)
    if (address !== undefined) this.#count(this.#addresses, address, addressLimit)
  }

  /** The password was right. */
  clear(user: string, address: string | undefined): void {
    this.#users.delete(user)
    const failures = address === undefined ? undefined : this.#addresses.get(address)
    if (failures) failures.count--
  }

  /** Whether the user's logins are locked by the attempts so far. */
  isLocked(user: string): boolean {
    return (this.#live(this.#users, user)?.count ?? 0) >= userLimit.attempts
  }

  #check(tracked: Map<string, Failures>, key: string, {attempts, period}: typeof userLimit): void {
    const failures = this.#live(tracked, key)
    if (failures && failures.count >= attempts) {
      throw new PosternError('TOO_MANY_REQUESTS', 'Logins are locked after too many failed attempts.', {
        hint: `Try again in ${describeDuration(period)}, or ask an administrator to reset the password.`,
      })
    }
  }

  #count(tracked: Map<string, Failures>, key: string, {period}: typeof userLimit): void {
    const count = (this.#live(tracked, key)?.count ?? 0) + 1
    tracked.delete(key)
    tracked.set(key, {count, until: this.#clock.monotonic() + period})
    for (const oldest of tracked.keys()) {
      if (tracked.size <= maximumTracked) break
      tracked.delete(oldest)
    }
  }

  #live(tracked: Map<string, Failures>, key: string): Failures | undefined {
    const failures = tracked.get(key)
    return failures && failures.until > this.#clock.monotonic() ? failures : undefined
  }
}
