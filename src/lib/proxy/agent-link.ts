import type {Socket} from 'node:net'
import type {TLSSocket} from 'node:tls'
import type {PulseTiming} from '../tunnel/control-channel.js'
import {ControlChannel} from '../tunnel/control-channel.js'
import {
  agentMessageSchema,
  maximumDrainNonces,
  type AgentMessage,
  type ProxyMessage,
} from '../tunnel/control-messages.js'
import type {Nonces} from './nonces.js'

/** A data connection to an agent, ready for a ClientHello. */
export interface DataConnection {
  readonly nonce: string
  readonly hostId: string
  readonly socket: Socket
}

export interface AgentLinkOptions {
  readonly hostId: string
  readonly socket: TLSSocket
  /** `<proxy>.<worker>`, which data connections name in their preamble. */
  readonly place: string
  readonly nonces: Nonces
  readonly pulse: PulseTiming
  /** Called at each ping: why the agent may no longer serve, if so. */
  readonly refusal: () => string | undefined
  readonly onClose: (reason: string) => void
}

interface Spare {
  readonly connection: DataConnection
  readonly recycle: NodeJS.Timeout
  /** Takes the listeners off. */
  readonly detach: () => void
}

/** A spare need not hurry; its order is given up after this. */
const spareMilliseconds = 10_000
/** After a spare was lost unused, so that a broken network does not make agents dial in a loop. */
const refillMilliseconds = 1000
/** Spares are replaced at 90 to 100 % of their age, not all at once. */
const recycleSpread = 0.1

/** The proxy's end of one control connection: orders data connections from the agent and keeps the spare ones. */
export class AgentLink {
  readonly hostId: string
  /** What its latest session took, from the proxy's decision for it to its first byte. */
  latestMilliseconds = 0
  readonly #options: AgentLinkOptions
  readonly #channel: ControlChannel<AgentMessage, ProxyMessage>
  /** Oldest first. */
  readonly #spares: Spare[] = []
  /** Nonces of spares that were ordered and have not come. */
  readonly #ordered = new Set<string>()
  readonly #opening = new Set<string>()
  #wanted = 0
  #recycleMilliseconds = 0
  #refill: NodeJS.Timeout | undefined
  #closed = false

  constructor(options: AgentLinkOptions) {
    this.hostId = options.hostId
    this.#options = options
    this.#channel = new ControlChannel<AgentMessage, ProxyMessage>({
      socket: options.socket,
      schema: agentMessageSchema,
      ...options.pulse,
      onMessage: ({spares, recycle}) => {
        this.#wanted = spares
        this.#recycleMilliseconds = recycle
        this.#order()
      },
      onTick: () => {
        const refusal = options.refusal()
        if (refusal === undefined) return
        this.#channel.send({refused: 'ACCESS_DENIED', message: refusal})
        this.#channel.close(refusal)
      },
      onClose: (reason) => {
        this.#onClosed(reason)
      },
    })
    this.#channel.send({welcome: options.place})
  }

  get spares(): number {
    return this.#spares.length
  }

  /** A spare data connection, if there is one; the agent is told whose session begins on it. */
  takeSpare(source: string): DataConnection | undefined {
    const spare = this.#spares.shift()
    if (!spare) return undefined
    spare.detach()
    this.#channel.send({use: spare.connection.nonce, src: source})
    this.#order()
    return spare.connection
  }

  /** A data connection made for this session; nothing when the agent does not dial back in time. */
  open(source: string, milliseconds: number): Promise<DataConnection | undefined> {
    if (this.#closed) return Promise.resolve(undefined)
    const {nonces, place, hostId} = this.#options
    return new Promise((resolve) => {
      const nonce = nonces.issue(milliseconds, (socket) => {
        this.#opening.delete(nonce)
        resolve(socket && {nonce, hostId, socket})
      })
      this.#opening.add(nonce)
      this.#channel.send({open: nonce, at: place, src: source})
    })
  }

  /** Tells the agent that these sessions have so many milliseconds to end. */
  drain(nonces: readonly string[], deadlineMilliseconds: number): void {
    for (let start = 0; start < nonces.length; start += maximumDrainNonces) {
      this.#channel.send({
        drain: nonces.slice(start, start + maximumDrainNonces),
        deadline: Math.round(deadlineMilliseconds),
      })
    }
  }

  /** Ends the control connection and the spares; sessions that have begun live on. */
  close(reason: string): void {
    this.#channel.close(reason)
  }

  #onClosed(reason: string): void {
    this.#closed = true
    clearTimeout(this.#refill)
    for (const nonce of [...this.#ordered, ...this.#opening]) this.#options.nonces.claim(nonce, undefined)
    for (const spare of this.#spares.splice(0)) {
      spare.detach()
      spare.connection.socket.destroy()
    }
    this.#options.onClose(reason)
  }

  /** Orders what is missing of the spares. */
  #order(): void {
    while (!this.#closed && this.#spares.length + this.#ordered.size < this.#wanted) {
      const nonce = this.#options.nonces.issue(spareMilliseconds, (socket) => {
        this.#ordered.delete(nonce)
        if (socket) this.#keep({nonce, hostId: this.hostId, socket})
        else this.#orderLater()
      })
      this.#ordered.add(nonce)
      this.#channel.send({spare: nonce, at: this.#options.place})
    }
  }

  #orderLater(): void {
    if (this.#closed) return
    this.#refill ??= setTimeout(() => {
      this.#refill = undefined
      this.#order()
    }, refillMilliseconds)
  }

  #keep(connection: DataConnection): void {
    const {socket} = connection
    // The agent's end is a TLS server: it never speaks first, so bytes on an idle connection are as bad as its end.
    const onSpoilt = (): void => {
      this.#drop(spare)
      this.#orderLater()
    }
    const detach = (): void => {
      clearTimeout(spare.recycle)
      socket.off('data', onSpoilt).off('end', onSpoilt).off('close', onSpoilt).pause()
    }
    const recycle = setTimeout(
      () => {
        this.#drop(spare)
        this.#order()
      },
      this.#recycleMilliseconds * (1 - Math.random() * recycleSpread),
    )
    const spare: Spare = {connection, recycle, detach}
    this.#spares.push(spare)
    socket.on('data', onSpoilt).on('end', onSpoilt).on('close', onSpoilt).resume()
  }

  #drop(spare: Spare): void {
    const index = this.#spares.indexOf(spare)
    if (index >= 0) this.#spares.splice(index, 1)
    spare.detach()
    spare.connection.socket.destroy()
  }
}
