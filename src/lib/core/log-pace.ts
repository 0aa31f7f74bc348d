import type {LogFields} from './log.js'

/** Far above what people and clients that try again cause, far below what fills a disk. */
const mostLines = 200
const periodMilliseconds = 10_000

/** Holds down the lines that strangers can cause: so many in a period, and the first one of the next says how many were left out. */
export class LogPace {
  readonly #now: () => number
  #began = -Infinity
  #lines = 0
  #leftOut = 0

  /** @param now monotonic, in milliseconds */
  constructor(now: () => number) {
    this.#now = now
  }

  /** What to add to the fields of the next line; undefined when it is left out. */
  take(): LogFields | undefined {
    const now = this.#now()
    if (now - this.#began >= periodMilliseconds) {
      this.#began = now
      this.#lines = 0
    }
    if (this.#lines >= mostLines) {
      this.#leftOut += 1
      return undefined
    }
    this.#lines += 1
    const leftOut = this.#leftOut
    this.#leftOut = 0
    return leftOut > 0 ? {left_out: leftOut} : {}
  }
}
