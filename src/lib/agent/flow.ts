import type {TLSSocket} from 'node:tls'
import type {Turns} from '../tunnel/turns.js'

/** Far above Node's 16 KiB mark: obeying that one costs 1.4 times the throughput. */
const maximumQueuedBytes = 1024 * 1024

/** One direction of a session: reads chunks from one connection, as fast as the other takes what is written to it. */
export class Flow {
  bytes = 0
  readonly #from: TLSSocket
  readonly #to: TLSSocket
  readonly #onChunk: (chunk: Buffer) => void
  readonly #turns: Turns
  #queueFull = false
  #held = false
  #stopped = false
  /** Nobody takes anything any more. */
  #forgotten = false

  constructor(from: TLSSocket, to: TLSSocket, turns: Turns, onChunk: (chunk: Buffer) => void) {
    this.#from = from
    this.#to = to
    this.#turns = turns
    this.#onChunk = onChunk
  }

  start(): void {
    this.#from.on('data', (chunk: Buffer) => {
      if (this.#stopped) return
      this.bytes += chunk.length
      this.#onChunk(chunk)
      if (this.#to.writableLength > maximumQueuedBytes && !this.#forgotten) {
        this.#queueFull = true
        this.#from.pause()
      } else if (this.#turns.spend(chunk.length)) {
        this.#from.pause()
        setImmediate(() => {
          this.#resume()
        })
      }
    })
    this.#to.on('drain', () => {
      if (!this.#queueFull) return
      this.#queueFull = false
      this.#resume()
    })
    this.#from.resume()
  }

  /** Nothing is read because the other end does not take what is there. */
  get blocked(): boolean {
    return this.#queueFull
  }

  /** Reads nothing more, until `release`. */
  hold(): void {
    if (this.#stopped) return
    this.#held = true
    this.#from.pause()
  }

  release(): void {
    if (!this.#held) return
    this.#held = false
    this.#resume()
  }

  /** The other end is gone, and what comes is read for its own sake. */
  forget(): void {
    this.#forgotten = true
    this.#queueFull = false
    this.#resume()
  }

  /** Whatever comes from now on is dropped. */
  stop(): void {
    this.#stopped = true
    this.#queueFull = false
    this.#held = false
    this.#from.resume()
  }

  #resume(): void {
    if (!this.#queueFull && !this.#held) this.#from.resume()
  }
}
