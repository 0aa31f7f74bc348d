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
import {createServer, type AddressInfo, type Server, type Socket} from 'node:net'
import {PosternError} from '../core/errors.js'
import {formatAddress, type Address} from '../resources/endpoint.js'
import {formatSource} from '../tunnel/hand-over.js'
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
  open(): Promise<number> {
    const {host, port} = this.#options.listen
    return new Promise((resolve, reject) => {
      const onError = (error: Error): void => {
        const message = `The agent cannot listen on ${formatAddress({host, port})}: ${error.message}.`
        const hint = 'Stop what uses the port, or set another one as db_service.direct_addr.'
        reject(new PosternError('UNREACHABLE', message, {hint, cause: error}))
      }
      this.#server.once('error', onError)
      this.#server.listen({host, port}, () => {
        this.#server.off('error', onError).on('error', (error) => {
          this.#options.logger.error('A connection could not be accepted.', {error: error.message})
        })
        resolve((this.#server.address() as AddressInfo).port)
      })
    })
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
