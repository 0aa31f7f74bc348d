/**
 * One connection of a local client (psql, a driver, a GUI) on its way to an agent:
 *
 *   client                 local proxy                                 agent
 *     │ SSLRequest ─────────► N (plain on this machine)
 *     │ GSSENCRequest ──────► N
 *     │ StartupMessage ─────► │ TLS through the proxy ───────────────► checks the certificate
 *     │                       │ ◄──────────────────────────── greeting │
 *     │                       │ StartupMessage ──────────────────────► decides, signs in
 *     │                       │ ◄───────────── "still opening" ────────│ (while that lasts)
 *     │                       │ ◄─ ErrorResponse 08001: next agent ────│
 *     │ ◄──────────────────── │ ◄────────────────── AuthenticationOk … │
 *     │ ◄════════════════════ bytes, both ways ══════════════════════► │
 *     │
 *     │ CancelRequest, on a connection of its own ───────────────────► the same way, no answer
 */
import type {Socket} from 'node:net'
import {PosternError, toPosternError, type ErrorCode} from '../core/errors.js'
import {encodeCancel, readFirstPacket, type FirstPacket} from '../pgwire/first-packet.js'
import type {Secret} from '../core/secret.js'
import {backend} from '../pgwire/message-types.js'
import {decodeServerError, encodeErrorResponse, type ServerError} from '../pgwire/server-error.js'
import {endSoon} from '../tunnel/farewell.js'
import {onDeparture} from '../tunnel/departure.js'
import {openingPulse, stillOpening} from '../tunnel/greeting.js'
import {splice} from '../tunnel/splice.js'
import type {AgentConnections, UseConnection} from './agent-connections.js'
import type {AgentConnection} from './agent-dialer.js'
import {readUntil} from './first-bytes.js'
import {demandPassword} from './password.js'

/** sqlclient_unable_to_establish_sqlconnection: this agent cannot reach the database, another one may. */
const cannotReachDatabase = '08001'
const startupLimits = {bytes: 10_000, milliseconds: 10_000}
/** For a client that was refused, to read why. */
const errorBytes = 65_536
const headerBytes = 5

type Startup = Extract<FirstPacket, {kind: 'startup' | 'cancel'}> & {readonly bytes: Buffer}

/** Milliseconds of one connection's way to a database. */
export interface ConnectTimes extends Omit<AgentConnection, 'socket'> {
  /** When the client's startup message was there; as `performance.now()`. */
  readonly startedAt: number
  /** From the startup message on its way to the agent to the first byte of the answer. */
  readonly signInMilliseconds: number
}

export interface ServeOptions {
  readonly agents: AgentConnections
  /** Resolves false when the client may not use this tunnel; nothing of it goes anywhere before. */
  readonly admitted: Promise<boolean>
  readonly password?: Secret | undefined
  /** A session has begun; its first bytes have not been passed on yet. */
  readonly onSession?: ((times: ConnectTimes) => void) | undefined
}

/** Serves one client until either end closes. Never rejects: a failure reaches the client as an ErrorResponse. */
export async function serveClient(client: Socket, options: ServeOptions): Promise<void> {
  const {agents, admitted, password, onSession} = options
  client.on('error', ignore)
  try {
    // Who may not come in hears it at once, whether they have said anything or not.
    const startup = await Promise.race([readStartup(client), refusal(admitted)])
    if (!(await admitted)) throw notTheirs()
    if (startup.kind === 'cancel') {
      await sendCancel(startup, agents)
      client.destroy()
      return
    }
    if (password) await demandPassword(client, password)
    const startedAt = performance.now()
    const {connection, signInMilliseconds} = await agents.with(whileThere(client, openSession(startup.bytes)))
    onSession?.({...connection, startedAt, signInMilliseconds})
    await splice(client, connection.socket)
  } catch (error) {
    endSoon(client, encodeErrorResponse(describe(error)))
  }
}

/** The packet that says what the client wants, after as many refusals of encryption as it asks for, each kind once. */
async function readStartup(client: Socket): Promise<Startup> {
  const refused = new Set<string>()
  for (;;) {
    const packet = await readUntil(client, startupLimits, (bytes) => {
      const answer = readFirstPacket(bytes)
      if (answer.kind === 'incomplete') return undefined
      const used = 'size' in answer ? answer.size : 0
      return {answer: {...answer, bytes: Buffer.from(bytes.subarray(0, used))}, used}
    })
    switch (packet.kind) {
      case 'startup':
      case 'cancel':
        return packet
      case 'ssl-request':
      case 'gssenc-request':
        if (refused.has(packet.kind)) throw new PosternError('INVALID', 'The client asked twice for encryption.')
        refused.add(packet.kind)
        client.write('N')
        break
      case 'tls':
        throw new PosternError('INVALID', 'This local port speaks PostgreSQL without TLS.', {
          hint: 'Set sslmode=disable (or prefer): the way from this machine on is encrypted.',
        })
      case 'invalid':
        throw new PosternError('INVALID', packet.reason)
    }
  }
}

/** Gives up a connection whose client leaves meanwhile: the agent sees that, and opens no session for nobody. */
function whileThere<T>(client: Socket, use: UseConnection<T>): UseConnection<T> {
  return async (...connection) => {
    let forget = ignore
    const left = new Promise<never>((_, reject) => {
      forget = onDeparture(client, () => {
        reject(new PosternError('FAILED', 'The client has left.'))
      })
    })
    try {
      return await Promise.race([left, use(...connection)])
    } finally {
      forget()
    }
  }
}

interface OpenedSession {
  readonly connection: AgentConnection
  readonly signInMilliseconds: number
}

/** Sends the startup message; done once the agent has answered with something other than "not from here". */
function openSession(startup: Buffer): UseConnection<OpenedSession> {
  return async (connection, patience = openingPulse.silence) => {
    const begun = performance.now()
    const {socket} = connection
    socket.write(startup)
    let milliseconds = patience
    // An agent that is there ends its attempt itself, whether it gets in or not; one that hangs falls silent.
    while (await readUntil(socket, {bytes: errorBytes, milliseconds}, readStillOpening)) {
      milliseconds = openingPulse.silence
    }
    const failure = await readUntil(socket, {bytes: errorBytes, milliseconds}, readFailure)
    if (!failure) return {connection, signInMilliseconds: performance.now() - begun}
    const {message, detail, hint} = failure
    throw new PosternError('UNREACHABLE', message, {detail, hint})
  }
}

type Judged<T> = {readonly answer: T; readonly used: number} | undefined

/** Whether the first bytes of the agent say that opening the session takes a while. */
function readStillOpening(bytes: Buffer): Judged<boolean> {
  const {length} = stillOpening
  if (bytes[0] !== stillOpening[0]) return {answer: false, used: 0}
  if (bytes.length < length) return undefined
  const said = bytes.subarray(0, length).equals(stillOpening)
  return {answer: said, used: said ? length : 0}
}

/** Whether this agent cannot reach the database; whatever else it says is for the client. */
function readFailure(bytes: Buffer): Judged<ServerError | undefined> {
  if (bytes[0] !== backend.errorResponse) return {answer: undefined, used: 0}
  if (bytes.length < headerBytes) return undefined
  const size = bytes.readUInt32BE(1) - 4
  if (size < 0 || size > errorBytes - headerBytes) return {answer: undefined, used: 0}
  if (bytes.length < headerBytes + size) return undefined
  const error = decodeServerError({payload: bytes.subarray(headerBytes, headerBytes + size), size})
  return {answer: error.code === cannotReachDatabase ? error : undefined, used: 0}
}

/** PostgreSQL answers no cancel request, so there is nothing to wait for but the other end's close. */
async function sendCancel(startup: Startup, agents: AgentConnections): Promise<void> {
  if (startup.kind !== 'cancel') return
  const send: UseConnection<void> = ({socket}) => {
    socket.on('close', ignore)
    socket.end(encodeCancel(startup.key))
    return Promise.resolve()
  }
  await agents.with(send).catch(ignore)
}

/** Rejects for somebody who may not use this tunnel (case D09), and else never settles. */
async function refusal(admitted: Promise<boolean>): Promise<never> {
  if (!(await admitted)) throw notTheirs()
  return new Promise(() => undefined)
}

function notTheirs(): PosternError {
  return new PosternError('ACCESS_DENIED', 'This tunnel serves only the user who started it.', {
    hint: 'Start your own with `postern proxy db --tunnel`.',
  })
}

const sqlStates: Partial<Readonly<Record<ErrorCode, string>>> = {
  ACCESS_DENIED: '28000',
  EXPIRED: '28000',
  NOT_LOGGED_IN: '28000',
  NOT_FOUND: '3D000',
  INVALID: '08P01',
}
const connectionFailure = '08006'

function describe(error: unknown): ServerError {
  const failure = toPosternError(error)
  return {
    severity: 'FATAL',
    code: sqlStates[failure.code] ?? connectionFailure,
    message: failure.message,
    detail: failure.detail,
    hint: failure.hints.length > 0 ? failure.hints.join(' ') : undefined,
  }
}

function ignore(): void {
  // The stream's `close` follows; a cancel that cannot be delivered has nobody to be told.
}
