import {letHeapGrow} from '../core/heap-growth.js'

/** Bytes a session may move before its neighbours get the event loop; without, a ping beside a bulk transfer took six times as long. */
const busyBytes = 64 * 1024
/** The same while it is alone: turns so short would cost a sixth of its throughput, and somebody may come. */
const aloneBytes = 1024 * 1024
/** Sessions that moved nothing for this long are no neighbours. */
const busyMilliseconds = 1000

/** A process that moves so much within a second is busy, and not only opening sessions. */
const bytesWhenBusy = 128 * 1024
const second = 1000
/** When the second began, and what was moved in it. */
const moved = {since: 0, bytes: 0}

/** The two sessions that moved bytes most recently, which is all it takes to know whether another one is busy. */
let latest: {session: Turns; at: number} | undefined
let previous: {session: Turns; at: number} | undefined

/**
 * Keeps one fast session from starving the others of its process: libuv reads up to 2 MiB from one socket before it
 * looks at the next. One per session, for both directions: a session is no neighbour of its own.
 */
export class Turns {
  #moved = 0

  /** Counts bytes read; true when the reader should pause until the next turn of the event loop. */
  spend(bytes: number, now = performance.now()): boolean {
    if (latest?.session === this) {
      latest.at = now
    } else {
      previous = latest
      latest = {session: this, at: now}
    }
    watchHeap(bytes, now)
    this.#moved += bytes
    const isAlone = previous === undefined || now - previous.at >= busyMilliseconds
    if (this.#moved < (isAlone ? aloneBytes : busyBytes)) return false
    this.#moved = 0
    return true
  }
}

function watchHeap(bytes: number, now: number): void {
  if (now - moved.since >= second) {
    moved.since = now
    moved.bytes = 0
  }
  moved.bytes += bytes
  if (moved.bytes < bytesWhenBusy) return
  moved.bytes = 0
  letHeapGrow()
}
