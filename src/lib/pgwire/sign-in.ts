/**
 * Signs in to a PostgreSQL server as its client, over a connected stream that TLS has already secured (PostgreSQL
 * documentation, "Start-up"):
 *
 *   us                                          server (not trusted)
 *    ── StartupMessage 3.0, or newer ─────────────►
 *    ◄─ [NegotiateProtocolVersion] ────────────────
 *    ◄─ Authentication… ───────────────────────────   one method, in order: authenticator.ts
 *    ── PasswordMessage or SASL messages ─────────►
 *    ◄─ AuthenticationOk ──────────────────────────
 *    ◄─ ParameterStatus* [BackendKeyData] ─────────
 *    ◄─ ReadyForQuery ─────────────────────────────   later bytes stay in the stream
 *    ◄─ NoticeResponse at any time; ErrorResponse ends it
 */
import type {Duplex} from 'node:stream'
import {PosternError} from '../core/errors.js'
import {decodeAuthentication} from './authentication.js'
import {Authenticator, type AuthenticationMethod} from './authenticator.js'
import {readExactly, withDeadline} from './exact-read.js'
import {encodeStartup} from './first-packet.js'
import {backend, describeType} from './message-types.js'
import type {Payload} from './payload.js'
import {decodeNegotiateProtocolVersion} from './protocol-version.js'
import {decodeServerError, type ServerError} from './server-error.js'
import {
  decodeBackendKeyData,
  decodeParameterStatus,
  decodeReadyForQuery,
  type BackendKey,
  type TransactionStatus,
} from './server-messages.js'

export interface SignInRequest {
  readonly user: string
  readonly database: string
  /** Further startup parameters, such as application_name. */
  readonly parameters: ReadonlyMap<string, string>
  readonly authenticator: AuthenticationMethod
  /** Whether the password may be sent as it is: only where TLS has verified the server. */
  readonly allowCleartext: boolean
  /** Minor version of protocol 3 to ask for; 0 unless told, which every server and pooler speaks. */
  readonly minor?: number | undefined
}

/** What the server said on the way to its first ReadyForQuery. */
export interface SignedIn {
  readonly ok: true
  /** In the server's order. */
  readonly parameterStatus: readonly (readonly [name: string, value: string])[]
  /** Absent when the server gave none: its queries cannot be cancelled (RDS Proxy). */
  readonly backendKey?: BackendKey
  readonly transactionStatus: TransactionStatus
  readonly notices: readonly ServerError[]
}

/** The server's own refusal. */
export interface SignInRefused {
  readonly ok: false
  readonly error: ServerError
}

const headerBytes = 5
const smallestLength = 4
const largestMessage = 65_536
const largestHandshake = 1_048_576

/**
 * Signs in within `timeout` milliseconds. Afterwards the stream stands right behind ReadyForQuery; on any failure it is
 * destroyed.
 * @throws PosternError UNREACHABLE when the connection fails or the time runs out, UNTRUSTED when the server breaks the
 * protocol, FAILED when it asks for a method that does not fit, INVALID when the request itself cannot be.
 */
export async function signIn(
  socket: Duplex,
  request: SignInRequest,
  {timeout}: {readonly timeout: number},
): Promise<SignedIn | SignInRefused> {
  const sentence = 'The database server did not finish the sign-in in time.'
  return withDeadline(socket, {timeout, sentence}, async () => {
    const result = await converse(socket, request)
    if (!result.ok) socket.destroy()
    return result
  })
}

async function converse(socket: Duplex, request: SignInRequest): Promise<SignedIn | SignInRefused> {
  const {user, database, minor = 0} = request
  const authenticator = new Authenticator({user, method: request.authenticator, allowCleartext: request.allowCleartext})
  const parameterStatus: (readonly [string, string])[] = []
  const notices: ServerError[] = []
  let backendKey: BackendKey | undefined
  let negotiated = false

  socket.write(encodeStartup(minor, new Map([...request.parameters, ['user', user], ['database', database]])))
  const messages = receive(socket)
  for (;;) {
    const message = await messages.next()
    const {type} = message
    if (type === backend.errorResponse) return {ok: false, error: decodeServerError(message)}
    else if (type === backend.noticeResponse) notices.push(decodeServerError(message))
    else if (type === backend.negotiateProtocolVersion && authenticator.untouched && !negotiated) {
      checkVersion(message, minor)
      negotiated = true
    } else if (type === backend.authentication && !authenticator.done) {
      const answer = await authenticator.answer(decodeAuthentication(message) ?? malformed(type))
      if (answer) socket.write(answer)
    } else if (!authenticator.done) throw unexpected(type)
    else if (type === backend.parameterStatus) {
      const {name, value} = decodeParameterStatus(message) ?? malformed(type)
      parameterStatus.push([name, value])
    } else if (type === backend.backendKeyData && !backendKey) {
      backendKey = decodeBackendKeyData(message) ?? malformed(type)
    } else if (type === backend.readyForQuery) {
      const transactionStatus = decodeReadyForQuery(message) ?? malformed(type)
      return {ok: true, parameterStatus, transactionStatus, notices, ...(backendKey && {backendKey})}
    } else throw unexpected(type)
  }
}

interface Message extends Payload {
  readonly type: number
}

/** The server's messages, one at a time and none read ahead, within the caps of a handshake. */
function receive(socket: Duplex): {readonly next: () => Promise<Message>} {
  let received = 0
  const next = async (): Promise<Message> => {
    const header = await readExactly(socket, headerBytes)
    const type = header.readUInt8(0)
    const size = header.readUInt32BE(1) - smallestLength
    if (size < 0) malformed(type)
    received += headerBytes + size
    if (size > largestMessage || received > largestHandshake) {
      throw new PosternError('UNTRUSTED', 'The database server sent more than a sign-in can take.')
    }
    return {type, size, payload: await readExactly(socket, size)}
  }
  return {next}
}

/** A server may speak an older version than we asked for, never a newer one; of extensions we ask for none. */
function checkVersion(message: Message, askedMinor: number): void {
  const offer = decodeNegotiateProtocolVersion(message)
  if (offer && offer.minor <= askedMinor && offer.unknownOptions.length === 0) return
  throw new PosternError('UNTRUSTED', 'The database server offers a protocol version that nobody asked it for.')
}

function malformed(type: number): never {
  throw new PosternError('UNTRUSTED', `The database server sent a malformed message of type ${describeType(type)}.`)
}

function unexpected(type: number): PosternError {
  return new PosternError(
    'UNTRUSTED',
    `The database server sent a message of type ${describeType(type)} where none belongs in a sign-in.`,
  )
}
