/**
 * Where clients come in: raw connections from the tunnel, their first byte ready.
 *
 *   tunnel ── raw ──► peek ─► <host-id>.agent.<cluster>    TLS, ALPN postern/1     the agent speaks first
 *                         └─► <database>.db.<cluster>      TLS, ALPN postgresql    psql and others with a certificate;
 *                                                                                  the server's names this database alone
 *
 * One TLS server per route, each with ticket keys of its own: a ticket of one route is nothing on the other. Neither
 * server judges certificates; that is done after every handshake, resumed or not, by whoever takes the arrival.
 */
import type {X509Certificate} from 'node:crypto'
import type {Socket} from 'node:net'
import {createServer, type SecureContext, type Server, type TlsOptions, type TLSSocket} from 'node:tls'
import type {Logger} from '../core/log.js'
import type {Credentials} from '../pki/credentials.js'
import {parseRoute} from '../resources/route.js'
import {Anteroom} from '../tunnel/anteroom.js'
import type {SessionSource} from '../tunnel/data-connections.js'
import {greetingProtocol} from '../tunnel/greeting.js'
import {destroyFailedHandshakes, handOver} from '../tunnel/hand-over.js'
import {peek} from '../tunnel/peek.js'

/** A client after its TLS handshake, not judged yet. */
export interface Arrival extends SessionSource {
  readonly socket: TLSSocket
  /** The leaf that the client showed. */
  readonly certificate: X509Certificate | undefined
  readonly route: {readonly kind: 'agent'} | {readonly kind: 'direct'; readonly database: string}
}

export interface EntranceOptions {
  readonly cluster: string
  readonly hostId: string
  /** The host certificate, asked for at each connection so that a renewed one is taken up. */
  readonly credentials: () => Credentials
  /** What to show on the direct route to a database, named in lower case; undefined when there is nothing. */
  readonly directContext: (database: string) => Promise<SecureContext | undefined>
  readonly onArrival: (arrival: Arrival) => void
  readonly logger: Logger
}

const handshakeMilliseconds = 10_000
/** Of those who have proved nothing: anybody can begin a handshake and let the agent wait for the rest (CVE-2026-7776). */
export const unprovenLimits = {total: 1024, perAddress: 256} as const
const directProtocol = 'postgresql'

/** Certificates shared between sessions. */
const maximumCertificates = 1024

export class Entrance {
  /** Connections that never came as far as a session. */
  turnedAway = 0
  readonly #options: EntranceOptions
  readonly #agent: Door
  readonly #direct: Door
  /** Connections before the end of their handshake, by their pair of addresses: what TLS gives back has no other name. */
  readonly #unfinished = new Map<string, SessionSource>()
  /** By fingerprint. */
  readonly #certificates = new Map<string, X509Certificate>()
  readonly #anteroom = new Anteroom(unprovenLimits)
  /** Of the direct route, by database. */
  readonly #contexts = new Map<string, SecureContext>()

  constructor(options: EntranceOptions) {
    this.#options = options
    const onFailure = (error: Error): void => {
      this.#turnAway('The TLS handshake of a client failed.', error.message)
    }
    this.#agent = new Door({protocol: greetingProtocol}, onFailure, (socket) => {
      // Without the protocol the client would take the greeting for a server's message.
      if (socket.alpnProtocol === greetingProtocol) this.#arrive(socket, {kind: 'agent'})
      else socket.destroy()
    })
    this.#direct = new Door({protocol: directProtocol, contextOf: this.#contextOf}, onFailure, (socket) => {
      const {servername} = socket as TLSSocket & {readonly servername?: string | false}
      const route = parseRoute(servername || undefined, options.cluster)
      if (route.kind === 'database') this.#arrive(socket, {kind: 'direct', database: route.database})
      else socket.destroy()
    })
  }

  readonly #contextOf = (serverName: string): SecureContext | undefined => {
    const route = parseRoute(serverName, this.#options.cluster)
    return route.kind === 'database' ? this.#contexts.get(route.database) : undefined
  }

  /** Takes a paused connection that holds a client's first bytes. */
  accept(raw: Socket, session: SessionSource): void {
    const key = addressPair(raw)
    this.#unfinished.set(key, session)
    this.#anteroom.enter(key, raw, addressOf(session))
    raw.once('close', () => {
      if (this.#unfinished.get(key) === session) this.#unfinished.delete(key)
    })
    void this.#receive(raw)
  }

  /** Closes the connections that are in their handshake. */
  close(): void {
    this.#anteroom.close()
  }

  async #receive(raw: Socket): Promise<void> {
    const {cluster, hostId, credentials, directContext} = this.#options
    const peeking = peek(raw)
    // It comes paused, with bytes that were put back.
    raw.resume()
    const peeked = await peeking
    const route = peeked.kind === 'tls' ? parseRoute(peeked.serverName, cluster) : undefined
    if (peeked.kind === 'tls' && route?.kind === 'agent' && route.hostId === hostId) {
      this.#agent.use(credentials())
      handOver(raw, peeked.head, this.#agent.server)
      return
    }
    const context = route?.kind === 'database' ? await directContext(route.database) : undefined
    if (peeked.kind === 'tls' && route?.kind === 'database' && context) {
      this.#contexts.set(route.database, context)
      handOver(raw, peeked.head, this.#direct.server)
      return
    }
    if (peeked.kind !== 'closed') this.#turnAway('A client asked for something else than this agent.')
    raw.destroy()
  }

  #arrive(socket: TLSSocket, route: Arrival['route']): void {
    const key = addressPair(socket)
    const session = this.#unfinished.get(key)
    this.#unfinished.delete(key)
    this.#anteroom.leave(key)
    if (!session) {
      socket.destroy()
      return
    }
    const certificate = socket.getPeerX509Certificate()
    this.#options.onArrival({socket, certificate: certificate && this.#share(certificate), route, ...session})
  }

  /** Sessions of one person hold one certificate: parsed, it takes several kB. */
  #share(certificate: X509Certificate): X509Certificate {
    const {fingerprint256: fingerprint} = certificate
    const known = this.#certificates.get(fingerprint)
    if (known) return known
    if (this.#certificates.size >= maximumCertificates) this.#certificates.clear()
    this.#certificates.set(fingerprint, certificate)
    return certificate
  }

  #turnAway(message: string, reason?: string): void {
    this.turnedAway += 1
    this.#options.logger.debug(message, reason === undefined ? {} : {reason})
  }
}

/** The TLS server of one route; it never listens. */
class Door {
  readonly server: Server
  #certificate = ''

  constructor(
    {
      protocol,
      contextOf,
    }: {readonly protocol: string; readonly contextOf?: (name: string) => SecureContext | undefined},
    onFailure: (error: Error) => void,
    onSocket: (socket: TLSSocket) => void,
  ) {
    this.server = createServer({
      ...tlsOptions,
      requestCert: true,
      // A refused certificate gets a sentence from us instead of an alert that TLS 1.3 clients see too late.
      rejectUnauthorized: false,
      ALPNProtocols: [protocol],
      ...(contextOf && {
        SNICallback: (name: string, done: (error: Error | null, context?: SecureContext) => void) => {
          done(null, contextOf(name))
        },
      }),
      handshakeTimeout: handshakeMilliseconds,
    })
    destroyFailedHandshakes(this.server, onFailure)
    this.server.on('secureConnection', onSocket)
  }

  use({certificate, privateKey}: Credentials): void {
    if (certificate === this.#certificate) return
    this.#certificate = certificate
    this.server.setSecureContext({...tlsOptions, cert: certificate, key: privateKey.reveal()})
  }
}

/** No roots: certificates are judged elsewhere, and clients get no list of authorities to choose by. */
const tlsOptions: TlsOptions = {minVersion: 'TLSv1.3', ca: []}

/** The client's address without its port. */
export function addressOf({source}: SessionSource): string {
  return source.slice(0, source.lastIndexOf(':'))
}

function addressPair(socket: Socket): string {
  return [socket.localAddress, socket.localPort, socket.remoteAddress, socket.remotePort].join('|')
}
