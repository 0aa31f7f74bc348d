import {connect, type Socket} from 'node:net'
import type {Logger} from '../core/log.js'
import {afterRunning} from '../core/running-time.js'
import {formatPreamble} from './preamble.js'
import {tuneSocket} from './splice.js'

export interface ProxyAddress {
  readonly host: string
  readonly port: number
}

export interface SessionSource {
  /** `ip:port` of the client, as the proxy saw it. */
  readonly source: string
  /** The session's name between proxy and agent, as in a drain. */
  readonly nonce: string
}

/** The socket is paused and still holds the first bytes: give it to a TLS server, or read it. */
export type OnConnection = (socket: Socket, session: SessionSource) => void

/** Where the proxy's orders for data connections go. */
export interface DataDialer {
  /** Dials back under a nonce; without a source the connection stays idle until `use`. */
  dial(nonce: string, place: string, source?: string): void
  /** The proxy's word that a session begins on a spare. */
  use(nonce: string, source: string): void
  /** Closes all that carry no session yet. */
  close(): void
}

/** A hostile proxy must not make an agent dial without end. */
const maximumWaiting = 1024
/** From dialling to the first byte, and between a spare's first byte and its `use`. */
const startMilliseconds = 10_000
/** The proxy recycles spares; one that outlives its time this often was forgotten. */
const forgottenFactor = 3

interface Waiting {
  readonly socket: Socket
  /** Forgets its deadline. */
  forget: () => void
  source: string | undefined
  hasBytes: boolean
}

/**
 * The agent's data connections that carry no session yet. A session starts when two things came together: the proxy's
 * word on the control connection that the nonce is in use, and the client's first byte on the connection itself.
 */
export class DataConnections implements DataDialer {
  readonly #proxy: ProxyAddress
  readonly #onConnection: OnConnection
  readonly #logger: Logger
  readonly #idleMilliseconds: number
  readonly #onClosed: (nonce: string) => void
  readonly #waiting = new Map<string, Waiting>()

  /** @param onClosed called when a connection has ended, whether it carried a session or not */
  constructor(
    proxy: ProxyAddress,
    recycleMilliseconds: number,
    onConnection: OnConnection,
    logger: Logger,
    onClosed: (nonce: string) => void = () => undefined,
  ) {
    this.#onClosed = onClosed
    this.#proxy = proxy
    this.#onConnection = onConnection
    this.#logger = logger
    this.#idleMilliseconds = recycleMilliseconds * forgottenFactor
  }

  dial(nonce: string, place: string, source?: string): void {
    if (this.#waiting.size >= maximumWaiting || this.#waiting.has(nonce)) {
      this.#logger.warn('The proxy asks for more data connections than an agent may open.', {
        limit: maximumWaiting,
      })
      this.#onClosed(nonce)
      return
    }
    const socket = connect({host: this.#proxy.host, port: this.#proxy.port, allowHalfOpen: false})
    const limit = source === undefined ? this.#idleMilliseconds : startMilliseconds
    const entry: Waiting = {socket, source, hasBytes: false, forget: expire(socket, limit)}
    this.#waiting.set(nonce, entry)
    socket.on('error', (error) => {
      this.#logger.debug('A data connection failed.', {error: error.message})
    })
    socket.once('close', () => {
      this.#forget(nonce, entry)
      this.#onClosed(nonce)
    })
    socket.once('connect', () => {
      tuneSocket(socket)
    })
    socket.write(formatPreamble(place, nonce))
    socket.once('data', (bytes: Buffer) => {
      socket.pause()
      socket.unshift(bytes)
      entry.hasBytes = true
      this.#startWhenMatched(nonce, entry)
    })
  }

  use(nonce: string, source: string): void {
    const entry = this.#waiting.get(nonce)
    if (!entry || entry.source !== undefined) return
    entry.source = source
    this.#startWhenMatched(nonce, entry)
  }

  close(): void {
    for (const {socket} of this.#waiting.values()) socket.destroy()
  }

  #startWhenMatched(nonce: string, entry: Waiting): void {
    entry.forget()
    if (entry.source === undefined || !entry.hasBytes) {
      entry.forget = expire(entry.socket, startMilliseconds)
      return
    }
    this.#forget(nonce, entry)
    this.#onConnection(entry.socket, {source: entry.source, nonce})
  }

  #forget(nonce: string, entry: Waiting): void {
    entry.forget()
    if (this.#waiting.get(nonce) === entry) this.#waiting.delete(nonce)
  }
}

/** @returns forgets the deadline */
function expire(socket: Socket, milliseconds: number): () => void {
  return afterRunning(milliseconds, () => {
    socket.destroy()
  })
}
