/**
 * A fake database endpoint in front of a real PostgreSQL (PostgreSQL documentation, "Message Flow", Start-up):
 *
 *   client                        this                                   real server
 *    ── [GSSENCRequest] ───────────►   ◄─ N
 *    ── SSLRequest ────────────────►   ◄─ S, TLS under the endpoint's name
 *    ── StartupMessage ────────────►
 *    ◄─ asks for password or token ──      door keeper: AWS's rules
 *    ── PasswordMessage ───────────►
 *                                      ── StartupMessage, the real user ──►
 *    ◄─ AuthenticationOk … ReadyForQuery, rewritten by the door keeper ────
 *    ◄══════════════════════ bytes as they are ══════════════════════════►
 *    ── CancelRequest, alone ──────►   ── CancelRequest ──────────────────►
 */
import {createServer, type Server, type Socket} from 'node:net'
import {createServer as createTlsServer, type SecureContextOptions, type Server as TlsServer} from 'node:tls'
import {messageOf} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import {readExactly, withDeadline} from '../pgwire/exact-read.js'
import {encodeCancel, readFirstPacket, type FirstPacket} from '../pgwire/first-packet.js'
import {encodeErrorResponse} from '../pgwire/server-error.js'
import type {BackendKey} from '../pgwire/server-messages.js'
import {splice} from '../tunnel/splice.js'
import type {DoorKeeper} from './admission.js'
import {OpenSessions} from './open-sessions.js'
import type {RealPostgres} from './real-postgres.js'
import {openSession} from './real-session.js'
import {SignInDialogue} from './sign-in-dialogue.js'
import type {World} from './world.js'

/** Milliseconds; PostgreSQL's authentication_timeout is a minute. */
const signInDeadline = 60_000
const longestFirstPacket = 10_000

export interface DatabaseListenerOptions {
  readonly world: World
  readonly postgres: RealPostgres
  readonly keeper: DoorKeeper
  /** Name of the endpoint, for the log. */
  readonly host: string
  readonly credentials: Required<Pick<SecureContextOptions, 'cert' | 'key'>>
  readonly logger: Logger
}

/** A listener for one endpoint; it does not listen yet. */
export function createDatabaseListener(options: DatabaseListenerOptions): Server {
  const endpoint = new DatabaseEndpoint(options)
  return createServer((socket) => {
    endpoint.accept(socket)
  })
}

class DatabaseEndpoint {
  readonly #options: DatabaseListenerOptions
  readonly #logger: Logger
  readonly #sessions = new OpenSessions()
  /** Never listens: it ends the TLS of connections that asked for it. */
  readonly #tls: TlsServer

  constructor(options: DatabaseListenerOptions) {
    this.#options = options
    this.#logger = options.logger.with({endpoint: options.host})
    this.#tls = createTlsServer({...options.credentials, minVersion: 'TLSv1.2', handshakeTimeout: signInDeadline})
    this.#tls.on('secureConnection', (socket) => {
      socket.on('error', ignore)
      this.#begin(socket, true)
    })
    this.#tls.on('tlsClientError', (error, socket) => {
      this.#logger.info('a client broke off TLS', {error: error.message})
      socket.destroy()
    })
  }

  accept(socket: Socket): void {
    socket.setNoDelay(true).on('error', ignore)
    if (this.#options.world.switches.outages.has('databases')) socket.destroy()
    else this.#begin(socket, false)
  }

  #begin(socket: Socket, secure: boolean): void {
    this.#serve(socket, secure).catch((error: unknown) => {
      this.#logger.info('dropped a database connection', {error: messageOf(error)})
      socket.destroy()
    })
  }

  async #serve(socket: Socket, secure: boolean): Promise<void> {
    const limit = {timeout: signInDeadline, sentence: 'The client did not finish the sign-in in time.'}
    const upstream = await withDeadline(socket, limit, () => this.#receive(socket, secure))
    if (upstream) await splice(socket, upstream)
  }

  /** The real server's end of a session that is open; undefined when none is wanted. */
  async #receive(socket: Socket, secure: boolean): Promise<Socket | undefined> {
    const packet = await readPacket(socket)
    switch (packet.kind) {
      case 'gssenc-request':
        socket.write('N')
        return this.#receive(socket, secure)
      case 'ssl-request':
        if (secure) break
        socket.write('S')
        this.#tls.emit('connection', socket)
        return undefined
      case 'cancel':
        await this.#cancel(packet.key)
        break
      case 'startup':
        return this.#signIn(socket, secure, packet)
      case 'invalid':
        socket.write(encodeErrorResponse({severity: 'FATAL', code: packet.sqlState, message: packet.reason}))
        break
      case 'incomplete':
      case 'tls':
        break
    }
    socket.end()
    return undefined
  }

  async #signIn(
    socket: Socket,
    secure: boolean,
    {message: startup}: FirstPacket & {kind: 'startup'},
  ): Promise<Socket | undefined> {
    const {keeper, postgres} = this.#options
    const who = {user: startup.user, database: startup.database}
    const admission = await keeper.admit({startup, secure, dialogue: new SignInDialogue(socket)})
    if (!admission.admitted) {
      const {code, message, reason} = admission
      this.#logger.info('refused a database sign-in', {...who, reason})
      socket.end(encodeErrorResponse({severity: 'FATAL', code, message}))
      return undefined
    }
    const session = await openSession(postgres, {...who, user: admission.user}, startup, keeper.ownParameters)
    this.#logger.debug('a database session begins', who)
    const forward = (bytes: Buffer | undefined): void => {
      if (bytes) socket.write(bytes)
    }
    const key = await session.greet((message) => {
      forward(keeper.rewrite(message))
    })
    if (key) this.#sessions.add(key, {...who, user: admission.user}, socket)
    return session.socket
  }

  /** Only a key that was given out here reaches the real server. */
  async #cancel(key: BackendKey): Promise<void> {
    const session = this.#sessions.find(key)
    if (!session) return
    const socket = await this.#options.postgres.connectAs(session.user, session.database)
    socket.on('error', ignore).end(encodeCancel(key))
  }
}

/** The first packet of a connection; what follows it stays in the stream. */
async function readPacket(socket: Socket): Promise<FirstPacket> {
  const header = await readExactly(socket, 8)
  const early = readFirstPacket(header)
  const size = header.readUInt32BE(0)
  if (early.kind !== 'incomplete' || size > longestFirstPacket) return early
  return readFirstPacket(Buffer.concat([header, await readExactly(socket, size - header.length)]))
}

function ignore(): void {
  // `close` follows, and whoever reads from the socket sees that.
}
