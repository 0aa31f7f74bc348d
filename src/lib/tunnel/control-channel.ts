import type {TLSSocket} from 'node:tls'
import type {z} from 'zod'
import {pulseSchema} from './control-messages.js'
import {endSoon} from './farewell.js'
import {Lines} from './lines.js'
import {tuneSocket} from './splice.js'

const maximumLineBytes = 64 * 1024
/** More than this unsent means that the other end stopped reading. */
const maximumQueuedBytes = 1024 * 1024

export interface PulseTiming {
  /** Between two pings. */
  readonly pingMilliseconds: number
  /** Age of the newest answered ping at which the other end counts as dead; as many pings are sent in that time. */
  readonly deadMilliseconds: number
}

export const defaultPulse: PulseTiming = {pingMilliseconds: 5000, deadMilliseconds: 10_000}

export interface ControlChannelOptions<Incoming> extends PulseTiming {
  readonly socket: TLSSocket
  readonly schema: z.ZodType<Incoming>
  readonly onMessage: (message: Incoming) => void
  /** Called once, with a reason for the log. */
  readonly onClose: (reason: string) => void
  /** Called at each ping, for checks that have to be repeated. */
  readonly onTick?: () => void
}

/**
 * JSON lines over an authenticated connection, with pings both ways. It closes on anything malformed, on a line above
 * 64 KiB, and when the other end no longer answers pings: bytes alone are no sign of life, a slow drip would be enough.
 */
export class ControlChannel<Incoming, Outgoing> {
  readonly #options: ControlChannelOptions<Incoming>
  readonly #timer: NodeJS.Timeout
  readonly #lines = new Lines(maximumLineBytes)
  /** The newest ping that was sent. */
  #pings = 0
  /** And the newest one that was answered. */
  #answered = 0
  #closed = false

  constructor(options: ControlChannelOptions<Incoming>) {
    this.#options = options
    const {socket} = options
    tuneSocket(socket)
    socket.on('data', (chunk: Buffer) => {
      this.#receive(chunk)
    })
    socket.on('error', (error: Error) => {
      this.close(error.message)
    })
    socket.on('end', () => {
      this.close('the other end closed it')
    })
    socket.on('close', () => {
      this.close('the connection closed')
    })
    this.#timer = setInterval(() => {
      // After the poll phase: a process that was held up finds the answer in its socket before it judges.
      setImmediate(() => {
        this.#tick()
      })
    }, options.pingMilliseconds)
    this.#ping()
  }

  send(message: Outgoing): void {
    this.#write(message)
  }

  /** Closes the connection after what was sent. */
  close(reason: string): void {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#timer)
    endSoon(this.#options.socket)
    this.#options.onClose(reason)
  }

  #write(message: unknown): void {
    if (this.#closed) return
    const {socket} = this.#options
    socket.write(`${JSON.stringify(message)}\n`)
    if (socket.writableLength > maximumQueuedBytes) this.#abort('the other end stopped reading')
  }

  #abort(reason: string): void {
    this.close(reason)
    this.#options.socket.destroy()
  }

  #tick(): void {
    if (this.#closed) return
    const {pingMilliseconds, deadMilliseconds} = this.#options
    // Counted in pings, not by the clock: one that we were too busy to send nobody could answer.
    if ((this.#pings - this.#answered + 1) * pingMilliseconds >= deadMilliseconds) {
      this.#abort('the other end no longer answers')
      return
    }
    this.#ping()
    this.#options.onTick?.()
  }

  #ping(): void {
    this.#pings += 1
    this.#write({ping: this.#pings})
  }

  #receive(chunk: Buffer): void {
    const lines = this.#lines.push(chunk)
    if (!lines) this.#abort(`a line is longer than ${maximumLineBytes} bytes`)
    for (const line of lines ?? []) {
      if (this.#closed) return
      this.#readLine(line)
    }
  }

  #readLine(line: Buffer): void {
    const value = parseJson(line)
    const pulse = pulseSchema.safeParse(value)
    if (pulse.success) {
      if ('ping' in pulse.data) this.#write({pong: pulse.data.ping})
      else if (pulse.data.pong <= this.#pings) this.#answered = Math.max(this.#answered, pulse.data.pong)
      return
    }
    const message = this.#options.schema.safeParse(value)
    if (message.success) this.#options.onMessage(message.data)
    else this.#abort('it sent a message that makes no sense')
  }
}

function parseJson(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString('utf8'))
  } catch {
    return undefined
  }
}
