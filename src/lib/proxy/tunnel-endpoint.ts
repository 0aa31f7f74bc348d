import {constants} from 'node:crypto'
import type {Socket} from 'node:net'
import {createServer, type Server, type TLSSocket} from 'node:tls'
import type {Clock} from '../core/clock.js'
import {PosternError, toPosternError} from '../core/errors.js'
import type {Credentials} from '../pki/credentials.js'
import type {HostIdentity} from '../pki/identity.js'
import {verifySocket} from '../pki/peer.js'
import type {ProxyMessage} from '../tunnel/control-messages.js'
import {endSoon} from '../tunnel/farewell.js'
import {destroyFailedHandshakes, formatSource, handOver} from '../tunnel/hand-over.js'

/** An agent whose certificate was checked. */
export interface AdmittedAgent {
  readonly socket: TLSSocket
  readonly identity: HostIdentity
  /** Wall-clock milliseconds. */
  readonly certificateEnds: number
}

export interface TunnelEndpointOptions {
  readonly credentials: () => Credentials
  readonly hostAuthorities: () => readonly string[]
  readonly mayServe: (identity: HostIdentity) => boolean
  readonly clock: Clock
  readonly handshakeMilliseconds: number
  readonly onAgent: (agent: AdmittedAgent) => void
  readonly onRefused: (source: string, reason: string) => void
}

/** The only TLS that the proxy ends: agents' control connections, both sides with host certificates. */
export class TunnelEndpoint {
  readonly #options: TunnelEndpointOptions
  readonly #server: Server
  /** What to call when a handshake has ended, by the client's `ip:port`. */
  readonly #handshakes = new Map<string, () => void>()
  #certificate: string
  #authorities: string

  constructor(options: TunnelEndpointOptions) {
    this.#options = options
    const context = this.#context()
    this.#certificate = context.cert
    this.#authorities = context.ca.join('')
    this.#server = createServer({
      ...context,
      handshakeTimeout: options.handshakeMilliseconds,
      requestCert: true,
      // With TLS 1.3 a certificate refused here looks to the agent like a connection that was accepted and then
      // ended. #admit checks it, and says why not.
      rejectUnauthorized: false,
    })
    this.#server.on('secureConnection', (socket) => {
      this.#admit(socket)
    })
    destroyFailedHandshakes(this.#server, (error, source) => {
      options.onRefused(source, `the TLS handshake failed: ${error.message}`)
    })
  }

  /** Takes a connection whose ClientHello asks for the tunnel; `onSettled` follows when it was admitted or closed. */
  accept(socket: Socket, head: Buffer, onSettled: () => void): void {
    const source = formatSource(socket)
    this.#handshakes.set(source, onSettled)
    socket.once('close', () => {
      this.#settle(source)
    })
    const context = this.#context()
    if (context.cert !== this.#certificate || context.ca.join('') !== this.#authorities) {
      this.#certificate = context.cert
      this.#authorities = context.ca.join('')
      this.#server.setSecureContext(context)
    }
    handOver(socket, head, this.#server)
  }

  #settle(source: string): void {
    this.#handshakes.get(source)?.()
    this.#handshakes.delete(source)
  }

  #context(): {cert: string; key: string; ca: string[]; minVersion: 'TLSv1.3'; secureOptions: number} {
    const {certificate, privateKey} = this.#options.credentials()
    return {
      cert: certificate,
      key: privateKey.reveal(),
      ca: [...this.#options.hostAuthorities()],
      minVersion: 'TLSv1.3',
      // A resumed session would repeat no check of the certificate.
      secureOptions: constants.SSL_OP_NO_TICKET,
    }
  }

  #admit(socket: TLSSocket): void {
    const {onAgent, onRefused} = this.#options
    const source = formatSource(socket)
    this.#settle(source)
    socket.on('error', () => socket.destroy())
    try {
      onAgent(this.#verify(socket))
    } catch (error) {
      const {code, message} = toPosternError(error)
      onRefused(source, message)
      const answer: ProxyMessage = {refused: code, message}
      socket.write(`${JSON.stringify(answer)}\n`)
      socket.resume()
      endSoon(socket)
    }
  }

  #verify(socket: TLSSocket): AdmittedAgent {
    const {clock, hostAuthorities, mayServe} = this.#options
    const authorities = hostAuthorities()
    const {identity, certificate} = verifySocket(socket, {authorities, purpose: 'client', now: clock.now()})
    if (identity.kind !== 'host' || !identity.systemRoles.includes('Db')) {
      throw new PosternError('ACCESS_DENIED', 'The certificate is not that of a Database Service.')
    }
    if (!mayServe(identity)) throw new PosternError('ACCESS_DENIED', 'This Database Service is locked or was removed.')
    return {socket, identity, certificateEnds: Date.parse(certificate.validTo)}
  }
}
