/**
 * One connection of a local client (psql, a driver, a GUI) on its way to an agent:
 *
 *   client                 local proxy                                 agent
 *     │ SSLRequest ─────────► N (plain on this machine)
 *     │ GSSENCRequest ──────► N
 *     │ StartupMessage ─────► │ TLS through the proxy ───────────────► checks the certificate
 *     │                       │ ◄──────────────────────────── greeting │
 *     │                       │ StartupMessage ──────────────────────► decides, signs in
 *     │                       │ ◄─ ErrorResponse 08001: next agent ────│
 *     │ ◄──────────────────── │ ◄────────────────── AuthenticationOk … │
 *     │ ◄════════════════════ bytes, both ways ══════════════════════► │
 *     │
 *     │ CancelRequest, on a connection of its own ───────────────────► the same way, no answer
 */
import type {Socket} from 'node:net'
import type {TLSSocket} from 'node:tls'
import {PosternError, toPosternError, type ErrorCode} from '../core/errors.js'
import {encodeCancel, readFirstPacket, type FirstPacket} from '../pgwire/first-packet.js'
import type {Secret} from '../core/secret.js'
import {backend} from '../pgwire/message-types.js'
import {decodeServerError, encodeErrorResponse, type ServerError} from '../pgwire/server-error.js'
import {splice} from '../tunnel/splice.js'
import {readUntil} from './first-bytes.js'
import {demandPassword} from './password.js'
import {withAgent, type UpstreamSource} from './upstream.js'

/** sqlclient_unable_to_establish_sqlconnection: this agent cannot reach the database, another one may. */
const cannotReachDatabase = '08001'
const startupLimits = {bytes: 10_000, milliseconds: 10_000}
const errorBytes = 65_536
const headerBytes = 5

type Startup = Extract<FirstPacket, {kind: 'startup' | 'cancel'}> & {readonly bytes: Buffer}

/** Serves one client until either end closes. Never rejects: a failure reaches the client as an ErrorResponse. */
export async function serveClient(client: Socket, source: UpstreamSource, password?: Secret): Promise<void> {
  client.on('error', ignore)
  try {
    const startup = await readStartup(client)
    if (startup.kind === 'cancel') {
      await sendCancel(startup, source)
      client.destroy()
      return
    }
    if (password) await demandPassword(client, password)
    const agent = await withAgent(source, (socket) => openSession(socket, startup.bytes))
    if (client.destroyed) agent.destroy()
    else await splice(client, agent)
  } catch (error) {
    client.end(encodeErrorResponse(describe(error)))
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

/** Sends the startup message; returns once the agent has answered with something other than "not from here". */
async function openSession(agent: TLSSocket, startup: Buffer): Promise<TLSSocket> {
  agent.write(startup)
  const failure = await readUntil(agent, {bytes: errorBytes}, (bytes) => {
    if (bytes[0] !== backend.errorResponse) return {answer: undefined, used: 0}
    if (bytes.length < headerBytes) return undefined
    const size = bytes.readUInt32BE(1) - 4
    if (size < 0 || size > errorBytes - headerBytes) return {answer: undefined, used: 0}
    if (bytes.length < headerBytes + size) return undefined
    const error = decodeServerError({payload: bytes.subarray(headerBytes, headerBytes + size), size})
    return {answer: error.code === cannotReachDatabase ? error : undefined, used: 0}
  })
  if (!failure) return agent
  throw new PosternError('UNREACHABLE', failure.message, {hint: [failure.detail, failure.hint].filter(isText)})
}

/** PostgreSQL answers no cancel request, so there is nothing to wait for but the other end's close. */
async function sendCancel(startup: Startup, source: UpstreamSource): Promise<void> {
  if (startup.kind !== 'cancel') return
  await withAgent(source, (agent) => {
    agent.on('close', ignore)
    agent.end(encodeCancel(startup.key))
    return Promise.resolve()
  }).catch(ignore)
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
    hint: failure.hints.length > 0 ? failure.hints.join(' ') : undefined,
  }
}

function isText(text: string | undefined): text is string {
  return text !== undefined
}

function ignore(): void {
  // The stream's `close` follows; a cancel that cannot be delivered has nobody to be told.
}
