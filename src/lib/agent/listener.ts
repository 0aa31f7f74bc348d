/**
 * Where clients reach the agent without the proxy (`db_service.direct_addr`):
 *
 *   client ── ClientHello for <host-id>.agent.<cluster> ──► entrance of its own ──► the same checks as through the tunnel
 *          ── anything else, or nothing ─────────────────► closed
 *
 * Anybody on the network may come here. The entrance limits, by address and altogether, what is not through its handshake;
 * having one of its own, the listener takes no place from clients that come through the tunnel.
 */
import {randomUUID} from 'node:crypto'
import {createServer, type Server, type Socket} from 'node:net'
import type {Address} from '../resources/endpoint.js'
import {formatSource} from '../tunnel/hand-over.js'
import {listenAs} from '../tunnel/listening.js'
import {tuneSocket} from '../tunnel/splice.js'
import {Entrance, type EntranceOptions} from './entrance.js'

export interface ListenerOptions extends Omit<EntranceOptions, 'directContext'> {
  readonly listen: Address
}

export class Listener {
  readonly #options: ListenerOptions
  readonly #server: Server
  readonly #entrance: Entrance

  constructor(options: ListenerOptions) {
    this.#options = options
    // The route of databases, for clients that are not ours, leads through the proxy only.
    this.#entrance = new Entrance({...options, directContext: () => Promise.resolve(undefined)})
    this.#server = createServer({pauseOnConnect: true}, (socket) => {
      this.#accept(socket)
    })
  }

  get turnedAway(): number {
    return this.#entrance.turnedAway
  }

  /** The port that it listens on. @throws PosternError UNREACHABLE when it cannot */
  async open(): Promise<number> {
    const {listen, logger} = this.#options
    const {port} = await listenAs(this.#server, listen, {
      service: 'The agent',
      hint: 'Stop what uses the port, or set another one as db_service.direct_addr.',
      logger,
    })
    return port
  }

  /** Lets nobody in any more; those who are in stay. */
  close(): void {
    this.#server.close()
    this.#entrance.close()
  }

  #accept(socket: Socket): void {
    socket.on('error', ignore)
    tuneSocket(socket)
    this.#entrance.accept(socket, {source: formatSource(socket), nonce: `direct-${randomUUID()}`})
  }
}

function ignore(): void {
  // `close` follows, and acts.
}
