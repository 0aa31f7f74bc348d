import {letHeapGrow} from '../core/heap-growth.js'

/** Bytes a session may move before its neighbours get the event loop; without, a ping beside a bulk transfer took six times as long. */
const busyBytes = 64 * 1024
/** The same while it is alone: turns so short would cost a sixth of its throughput, and somebody may come. */
const aloneBytes = 1024 * 1024
/** Sessions that moved nothing for this long are no neighbours. */
const busyMilliseconds = 1000

/** A session that moves so much within a second carries bulk. */
const bulkBytes = 8 * 1024 * 1024
const bulkMilliseconds = 1000

/** The two sessions that moved bytes most recently, which is all it takes to know whether another one is busy. */
let latest: {session: Turns; at: number} | undefined
let previous: {session: Turns; at: number} | undefined

/**
 * Keeps one fast session from starving the others of its process: libuv reads up to 2 MiB from one socket before it
 * looks at the next. One per session, for both directions: a session is no neighbour of its own.
 */
export class Turns {
  #moved = 0
  /** When the second began in which it is counted what may be bulk. */
  #second = 0
  #movedInSecond = 0

  /** Counts bytes read; true when the reader should pause until the next turn of the event loop. */
  spend(bytes: number, now = performance.now()): boolean {
    if (latest?.session === this) {
      latest.at = now
    } else {
      previous = latest
      latest = {session: this, at: now}
    }
    this.#watchForBulk(bytes, now)
    this.#moved += bytes
    const isAlone = previous === undefined || now - previous.at >= busyMilliseconds
    if (this.#moved < (isAlone ? aloneBytes : busyBytes)) return false
    this.#moved = 0
    return true
  }

  #watchForBulk(bytes: number, now: number): void {
    if (now - this.#second >= bulkMilliseconds) {
      this.#second = now
      this.#movedInSecond = 0
    }
    this.#movedInSecond += bytes
    if (this.#movedInSecond < bulkBytes) return
    this.#movedInSecond = 0
    letHeapGrow()
  }
}
