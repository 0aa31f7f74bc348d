/**
 * Copies bytes between two connections, both ways, without looking at them.
 *
 *   left  ──data──► right     paused while more than 1 MiB waits to be sent
 *   left  ──FIN───► right     after everything before it; the other direction goes on
 *   left  ──reset─► right     closed once what is queued has been sent
 */
import type {Socket} from 'node:net'
import {Turns} from './turns.js'

/** Far above Node's 16 KiB mark: obeying that one costs 1.4 times the throughput. */
const maximumQueuedBytes = 1024 * 1024
/** How long a half-closed pair may stay without moving a byte. */
const lingerMilliseconds = 60_000
const keepAliveMilliseconds = 30_000

export interface SpliceCounts {
  readonly leftToRightBytes: number
  readonly rightToLeftBytes: number
}

/** Small writes go out at once, and a peer that vanished is noticed. */
export function tuneSocket(socket: Socket): void {
  socket.setNoDelay(true)
  socket.setKeepAlive(true, keepAliveMilliseconds)
}

/**
 * Joins two connections until both are closed; either may hold bytes that were put back. Open them with
 * `allowHalfOpen`, or one side's end closes the pair. Never rejects: an error on one side closes the other.
 */
export function splice(left: Socket, right: Socket): Promise<SpliceCounts> {
  return new Promise((resolve) => {
    const turns = new Turns()
    const leftToRight = new Pump(left, right, turns)
    const rightToLeft = new Pump(right, left, turns)
    let open = 2
    const onClose = (): void => {
      open -= 1
      if (open === 0) resolve({leftToRightBytes: leftToRight.bytes, rightToLeftBytes: rightToLeft.bytes})
    }
    for (const socket of [left, right]) {
      if (socket.closed) onClose()
      else socket.once('close', onClose)
    }
    tuneSocket(left)
    tuneSocket(right)
    leftToRight.start()
    rightToLeft.start()
  })
}

class Pump {
  bytes = 0
  readonly #from: Socket
  readonly #to: Socket
  readonly #turns: Turns
  #queueFull = false

  constructor(from: Socket, to: Socket, turns: Turns) {
    this.#from = from
    this.#to = to
    this.#turns = turns
  }

  start(): void {
    const from = this.#from
    const to = this.#to
    from.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length
      to.write(chunk)
      if (to.writableLength > maximumQueuedBytes) {
        this.#queueFull = true
        from.pause()
      } else if (this.#turns.spend(chunk.length)) {
        from.pause()
        setImmediate(() => {
          if (!this.#queueFull) from.resume()
        })
      }
    })
    to.on('drain', () => {
      if (!this.#queueFull) return
      this.#queueFull = false
      from.resume()
    })
    from.on('end', () => {
      to.end()
      closeWhenIdle(from)
      closeWhenIdle(to)
    })
    from.on('error', ignore)
    from.on('close', () => {
      if (from.readableEnded) return
      to.destroySoon()
      closeWhenIdle(to)
    })
    from.resume()
    if (from.destroyed) to.destroy()
  }
}

function closeWhenIdle(socket: Socket): void {
  socket.setTimeout(lingerMilliseconds, () => socket.destroy())
}

function ignore(): void {
  // `close` follows, and acts.
}
