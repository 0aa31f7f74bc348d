/**
 * Every connection that ends at the Auth Service, whether it came to our port or was spliced by a proxy:
 *
 *   client          proxy (blind)        listener
 *     │ ClientHello ──────►│ splice ──────►│ peek: server name?
 *     │                                    ├─ auth.<cluster>: API; TLS that asks for a client certificate
 *     │ ◄──────────── TLS 1.3 ────────────►├─ any other: web; TLS that asks for none
 *     │ HTTP ─────────────────────────────►│ one table of routes behind both (route.ts)
 *
 * Neither handshake refuses anyone: each request checks the certificate for itself (caller.ts).
 */
import {constants} from 'node:crypto'
import {createServer as createTcpServer, type AddressInfo, type Server, type Socket} from 'node:net'
import {
  createServer,
  type SecureContextOptions,
  type Server as TlsServer,
  type TlsOptions,
  type TLSSocket,
} from 'node:tls'
import type {Logger} from '../core/log.js'
import type {Credentials} from '../pki/credentials.js'
import type {Address} from '../resources/endpoint.js'
import {parseRoute} from '../resources/route.js'
import {Anteroom} from '../tunnel/anteroom.js'
import {readClientHello} from '../tunnel/client-hello.js'
import {destroyFailedHandshakes, formatSource, handOver, remoteAddressOf} from '../tunnel/hand-over.js'
import {listenAs} from '../tunnel/listening.js'
import {peek} from '../tunnel/peek.js'
import type {Client} from './route.js'
import type {WebCertificates} from './web-certificates.js'

export interface ListenerOptions {
  readonly listen: Address
  readonly cluster: string
  /** The API's certificate, for `auth.<cluster>`. */
  readonly apiCredentials: Credentials
  /** Authorities named to clients, so that they choose the right certificate; PEM. */
  readonly clientAuthorities: readonly string[]
  readonly webCertificates: WebCertificates
  /** Takes connections whose handshake is done. */
  readonly serve: (socket: TLSSocket) => void
  readonly logger: Logger
}

/** From the first byte to the end of the handshake. */
const handshakeDeadline = 10_000
/** Connections before the end of their handshake. A proxy on another host is one address for all of its clients. */
const unfinishedLimits = {total: 1024, perAddress: 1024} as const
/** Connections to the web endpoint, where nobody shows a certificate. */
const maximumWeb = 4096

export class Listener {
  readonly #options: ListenerOptions
  readonly #tcp: Server
  readonly #api: TlsServer
  readonly #web: TlsServer
  readonly #sockets = new Set<Socket>()
  /** Connections before the end of their handshake. */
  readonly #unfinished = new Anteroom(unfinishedLimits)
  /** Connections handed over inside this process: their remote address is the client's own. */
  readonly #direct = new Set<string>()
  #webConnections = 0
  #closed = false

  private constructor(options: ListenerOptions) {
    this.#options = options
    const {webCertificates} = options
    this.#api = this.#createTlsServer({
      ...this.#apiContext(options.apiCredentials),
      requestCert: true,
      rejectUnauthorized: false,
    })
    this.#web = this.#createTlsServer({
      ...contextOptions(webCertificates.fallback()),
      SNICallback: (serverName, callback) => {
        callback(null, webCertificates.contextFor(serverName))
      },
    })
    this.#tcp = createTcpServer((socket) => {
      this.#receive(socket)
    })
  }

  /** @throws PosternError UNREACHABLE when the address is taken */
  static async open(options: ListenerOptions): Promise<Listener> {
    const listener = new Listener(options)
    await listenAs(listener.#tcp, options.listen, {
      service: 'The Auth Service',
      hint: 'Set another auth_service.listen_addr, or stop what listens there.',
      logger: options.logger,
    })
    return listener
  }

  get address(): Address {
    const {address, port} = this.#tcp.address() as AddressInfo
    return {host: address, port}
  }

  /** A connection of a proxy in this process: `head` is its ClientHello and what came after it. */
  accept(socket: Socket, head: Buffer): void {
    const key = keyOf(socket)
    this.#direct.add(key)
    socket.once('close', () => this.#direct.delete(key))
    if (this.#admit(socket)) this.#route(socket, head)
  }

  /** Where a connection comes from. */
  clientOf(socket: TLSSocket): Client {
    // A proxy on another host splices: behind its address are all of its users.
    const address = this.#direct.has(keyOf(socket)) ? remoteAddressOf(socket) : undefined
    return {source: formatSource(socket), address}
  }

  /** From now on new connections see these certificates; web certificates are asked for anew in any case. */
  renew(apiCredentials: Credentials): void {
    this.#api.setSecureContext(this.#apiContext(apiCredentials))
    this.#web.setSecureContext(contextOptions(this.#options.webCertificates.fallback()))
  }

  async close(): Promise<void> {
    this.#closed = true
    const closed = new Promise((resolve) => this.#tcp.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #receive(socket: Socket): void {
    if (!this.#admit(socket)) return
    void peek(socket, {timeoutMilliseconds: handshakeDeadline}).then((peeked) => {
      if (peeked.kind === 'tls') {
        this.#route(socket, peeked.head)
        return
      }
      if (peeked.kind === 'rubbish') {
        const source = formatSource(socket)
        this.#options.logger.info('A connection was closed.', {source, reason: peeked.reason})
      }
      socket.destroy()
    })
  }

  /** Keeps count of a new connection. */
  #admit(socket: Socket): boolean {
    socket.on('error', ignore)
    if (this.#closed) {
      socket.destroy()
      return false
    }
    socket.setNoDelay(true)
    const key = keyOf(socket)
    this.#sockets.add(socket)
    this.#unfinished.enter(key, socket, remoteAddressOf(socket))
    socket.once('close', () => this.#sockets.delete(socket))
    return true
  }

  #route(socket: Socket, head: Buffer): void {
    const hello = readClientHello(head)
    const serverName = hello.kind === 'hello' ? hello.serverName : undefined
    if (parseRoute(serverName, this.#options.cluster).kind === 'auth') {
      handOver(socket, head, this.#api)
      return
    }
    if (this.#webConnections >= maximumWeb) {
      socket.destroy()
      return
    }
    this.#webConnections++
    socket.once('close', () => {
      this.#webConnections--
    })
    handOver(socket, head, this.#web)
  }

  #createTlsServer(options: TlsOptions): TlsServer {
    const server = createServer({...options, ALPNProtocols: ['http/1.1'], handshakeTimeout: handshakeDeadline})
    destroyFailedHandshakes(server, (error, source) => {
      this.#options.logger.debug('A TLS handshake failed.', {source, reason: error.message})
    })
    server.on('secureConnection', (socket) => {
      this.#unfinished.leave(keyOf(socket))
      socket.on('error', ignore)
      this.#options.serve(socket)
    })
    return server
  }

  #apiContext(credentials: Credentials): SecureContextOptions {
    return {
      ...contextOptions(credentials),
      ca: [...this.#options.clientAuthorities],
      // No session to resume: one that was authenticated elsewhere must not count here.
      secureOptions: constants.SSL_OP_NO_TICKET,
    }
  }
}

function contextOptions({certificate, privateKey}: Credentials): SecureContextOptions {
  return {cert: certificate, key: privateKey.reveal(), minVersion: 'TLSv1.3'}
}

/** The same for a raw connection and the TLS on it; Node does not lead from one to the other. */
function keyOf(socket: Socket): string {
  return `${formatSource(socket)} ${socket.localPort ?? 0}`
}

function ignore(): void {
  // A socket without an error listener would end the process; its `close` says all we need.
}
