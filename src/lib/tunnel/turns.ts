/** Bytes one stream may move before its neighbours get the event loop; without, a ping beside a bulk stream took ten times as long. */
const bytesPerTurn = 128 * 1024
/** Streams that moved nothing for this long are no neighbours. */
const busyMilliseconds = 1000

/** The two streams that moved bytes most recently, which is all it takes to know whether another one is busy. */
let latest: {stream: Turns; at: number} | undefined
let previous: {stream: Turns; at: number} | undefined

/**
 * Keeps one fast stream from starving the others of its process: libuv reads up to 2 MiB from one socket before it
 * looks at the next. One per stream and direction.
 */
export class Turns {
  #moved = 0

  /** Counts bytes read; true when the reader should pause until the next turn of the event loop. */
  spend(bytes: number): boolean {
    const now = performance.now()
    if (latest?.stream === this) {
      latest.at = now
    } else {
      previous = latest
      latest = {stream: this, at: now}
    }
    this.#moved += bytes
    if (this.#moved < bytesPerTurn) return false
    this.#moved = 0
    return previous !== undefined && now - previous.at < busyMilliseconds
  }
}
