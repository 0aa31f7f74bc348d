import {randomBytes, timingSafeEqual} from 'node:crypto'
import type {Clock} from '../core/clock.js'
import type {BackendKey} from '../pgwire/server-messages.js'

/** Protocol 3.0 knows secrets of 4 bytes only; from 3.2 on they may be long. */
const shortSecretBytes = 4
const longSecretBytes = 32
const firstMinorWithLongSecrets = 2

/** Cancel requests of one user: so many at once, and so many more each second. */
const rate = {burst: 20, perSecond: 10} as const
/** Users whose allowance is full again are forgotten when there are more than this. */
const rememberedUsers = 1000

interface Cancellable {
  readonly user: string
  readonly secret: Buffer
  readonly cancel: () => Promise<void>
}

interface Allowance {
  left: number
  at: number
}

/** Which queries can be cancelled, by the process id of the server and a secret of our own. */
export class Cancels {
  readonly #clock: Clock
  readonly #byPid = new Map<number, Set<Cancellable>>()
  readonly #allowances = new Map<string, Allowance>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Makes the key that a client of this protocol version may present later, until `forget`. */
  register(
    session: {readonly user: string; readonly pid: number; readonly minor: number},
    cancel: () => Promise<void>,
  ): {readonly key: BackendKey; forget(): void} {
    const {user, pid, minor} = session
    const secret = randomBytes(minor >= firstMinorWithLongSecrets ? longSecretBytes : shortSecretBytes)
    const entry: Cancellable = {user, secret, cancel}
    const entries = this.#byPid.get(pid) ?? new Set()
    this.#byPid.set(pid, entries.add(entry))
    return {
      key: {pid, secret},
      forget: () => {
        entries.delete(entry)
        if (entries.size === 0 && this.#byPid.get(pid) === entries) this.#byPid.delete(pid)
      },
    }
  }

  /** Cancels what the key belongs to, if it belongs to this user. Says nothing about whether it did. */
  async present(user: string, {pid, secret}: BackendKey): Promise<void> {
    if (this.admits(user)) await this.cancel(user, {pid, secret})
  }

  /** The same without a limit, for whoever has asked `admits`. Whether it is a key of theirs. */
  async cancel(user: string, {pid, secret}: BackendKey): Promise<boolean> {
    for (const entry of this.#byPid.get(pid) ?? []) {
      const matches = entry.secret.length === secret.length && timingSafeEqual(entry.secret, secret)
      if (!matches || entry.user !== user) continue
      await entry.cancel()
      return true
    }
    return false
  }

  /** Whether the user may present one more key now, which counts: guessing must not pay. */
  admits(user: string): boolean {
    const now = this.#clock.monotonic()
    const refill = ({left, at}: Allowance): number => Math.min(rate.burst, left + ((now - at) / 1000) * rate.perSecond)
    if (this.#allowances.size > rememberedUsers) {
      for (const [name, allowance] of this.#allowances) {
        if (refill(allowance) === rate.burst) this.#allowances.delete(name)
      }
    }
    const left = refill(this.#allowances.get(user) ?? {left: rate.burst, at: now})
    const allowed = left >= 1
    this.#allowances.set(user, {left: allowed ? left - 1 : left, at: now})
    return allowed
  }
}
