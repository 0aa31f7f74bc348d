/** Spreads new sign-ins over time: databases on AWS refuse those that come too fast, and do not say that this is why. */
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import type {ServerError} from '../pgwire/server-error.js'

/** Sign-ins in one window. AWS advises fewer than 200 a second. */
const usualLimit = 100
const windowMilliseconds = 1100
/** Between sign-ins to an instance that refused one: small ones take 10 a second. */
const carefulMilliseconds = 110
/** It is left alone for so long first: what is under way still counts. */
const pauseMilliseconds = 500
/** How long it is treated with care. */
const careMilliseconds = 30_000
/** Who would have to wait longer is told so at once: clients give up after half a minute. */
const longestWait = 25_000
/** More sign-ins in one window than this may be what a small instance refuses. */
const fewSignIns = 5
/** Of so many it is known when they came. */
const mostKept = 1000
/** A refusal may come so late after its sign-in. */
const longestSignIn = 60_000

export interface PacerOptions {
  readonly clock: Clock
  /** Processes that sign in to the same instances at the same pace; 1 unless told. */
  readonly workers?: number | undefined
}

interface Waiter {
  /** Whether nobody waits for the sign-in any more. */
  readonly isGone: () => boolean
  /** @param at its time */
  readonly begin: (at: number) => void
  readonly dismiss: () => void
}

interface Instance {
  /** Monotonic times of the newest sign-ins, in order. */
  readonly turns: number[]
  waiters: readonly Waiter[]
  timer: NodeJS.Timeout | undefined
  /** When care began, and when it ends. */
  carefulFrom: number
  carefulUntil: number
}

export class Pacer {
  readonly #clock: Clock
  readonly #workers: number
  readonly #limit: number
  readonly #careful: number
  readonly #instances = new Map<string, Instance>()

  constructor({clock, workers = 1}: PacerOptions) {
    this.#clock = clock
    this.#workers = workers
    this.#limit = Math.max(1, Math.floor(usualLimit / workers))
    this.#careful = carefulMilliseconds * workers
  }

  /**
   * Resolves when it is the caller's turn to sign in to this instance, with its time; turns come in the order of the calls.
   * @param isGone whether the client has left: then the turn is somebody else's
   * @throws PosternError UNREACHABLE with the cause 53300 when too many wait already, or when the client has left
   */
  async turn(name: string, isGone: () => boolean): Promise<number> {
    const now = this.#clock.monotonic()
    const instance = this.#instanceOf(name, now)
    dismissGone(instance)
    const wait = this.#nextTurn(instance, now) - now
    const {length} = instance.waiters
    const ahead =
      now < instance.carefulUntil ? length * this.#careful : Math.floor(length / this.#limit) * windowMilliseconds
    if (wait + ahead > longestWait) throw tooManyWait(name)
    if (length === 0 && wait <= 0) {
      this.#take(instance, now)
      return now
    }
    return new Promise<number>((resolve, reject) => {
      const dismiss = (): void => {
        reject(new PosternError('UNREACHABLE', 'The client left before the database was ready for it.'))
      }
      instance.waiters = [...instance.waiters, {isGone, begin: resolve, dismiss}]
      this.#schedule(instance)
    })
  }

  /**
   * Whether sign-ins to this instance came so close together that it may refuse them for it.
   * @param at the turn of one of them: however late its refusal comes, what counts is who came with it
   */
  isBusy(name: string, at: number): boolean {
    const turns = this.#instances.get(name)?.turns ?? []
    const together = turns.filter((other) => Math.abs(other - at) < windowMilliseconds).length
    return together * this.#workers > fewSignIns
  }

  /** The instance refused a sign-in as it does when they come too fast. */
  slowDown(name: string): void {
    const known = this.#instances.get(name)
    if (!known) return
    const now = this.#clock.monotonic()
    if (now >= known.carefulUntil) known.carefulFrom = now
    known.carefulUntil = now + careMilliseconds
  }

  #instanceOf(name: string, now: number): Instance {
    for (const [other, {turns, waiters, carefulUntil}] of this.#instances) {
      const isQuiet = waiters.length === 0 && now > carefulUntil && now > (turns.at(-1) ?? now) + longestSignIn
      if (isQuiet) this.#instances.delete(other)
    }
    const known = this.#instances.get(name)
    if (known) return known
    const fresh: Instance = {
      turns: [],
      waiters: [],
      timer: undefined,
      carefulFrom: -Infinity,
      carefulUntil: -Infinity,
    }
    this.#instances.set(name, fresh)
    return fresh
  }

  /** When the next sign-in may come. */
  #nextTurn({turns, carefulFrom, carefulUntil}: Instance, now: number): number {
    return now < carefulUntil
      ? Math.max(now, (turns.at(-1) ?? -Infinity) + this.#careful, carefulFrom + pauseMilliseconds)
      : Math.max(now, (turns.at(-this.#limit) ?? -Infinity) + windowMilliseconds)
  }

  #take({turns}: Instance, now: number): void {
    turns.push(now)
    if (turns.length > mostKept) turns.shift()
  }

  #schedule(instance: Instance): void {
    if (instance.timer || instance.waiters.length === 0) return
    const now = this.#clock.monotonic()
    instance.timer = setTimeout(
      () => {
        instance.timer = undefined
        this.#giveTurns(instance)
      },
      Math.ceil(this.#nextTurn(instance, now) - now),
    )
  }

  #giveTurns(instance: Instance): void {
    dismissGone(instance)
    const now = this.#clock.monotonic()
    for (let [first] = instance.waiters; first && this.#nextTurn(instance, now) <= now; [first] = instance.waiters) {
      instance.waiters = instance.waiters.slice(1)
      this.#take(instance, now)
      first.begin(now)
    }
    this.#schedule(instance)
  }
}

/** Who left gives their turn on. */
function dismissGone(instance: Instance): void {
  const gone = new Set(instance.waiters.filter(({isGone}) => isGone()))
  if (gone.size === 0) return
  instance.waiters = instance.waiters.filter((waiter) => !gone.has(waiter))
  for (const {dismiss} of gone) dismiss()
}

function tooManyWait(instance: string): PosternError {
  const message = `Too many new connections wait for ${instance} already.`
  const cause: ServerError = {severity: 'FATAL', code: '53300', message}
  return new PosternError('UNREACHABLE', message, {
    cause,
    hint: 'The instance takes few sign-ins at a time; try again in half a minute, or use a connection pool.',
  })
}
