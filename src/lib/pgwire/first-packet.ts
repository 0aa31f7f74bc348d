/**
 * The first packet of a connection, which has no type byte (PostgreSQL documentation, "Start-up" and "Message Formats"):
 *
 *   Int32 length, counting itself │ Int32 code │ …
 *     code 3.x       StartupMessage   key \0 value \0 … \0
 *     code 1234.5678 CancelRequest    Int32 process id, secret
 *     code 1234.5679 SSLRequest
 *     code 1234.5680 GSSENCRequest
 *   0x16             a TLS ClientHello
 *
 * Anybody can send it, so nothing is allocated from its length and it is refused as soon as its first bytes cannot be right.
 */
import {isUtf8} from 'node:buffer'
import {cstring, encodeUntyped, endOfList, int32} from './message.js'
import {isSecretLength, type BackendKey} from './server-messages.js'

export interface StartupMessage {
  /** Minor version of protocol 3 that the client asks for. */
  readonly minor: number
  /** Never empty. */
  readonly user: string
  /** The user's name when the client named no database, as the server does. */
  readonly database: string
  /** All parameters in the client's order, `user` and `database` among them. */
  readonly parameters: ReadonlyMap<string, string>
  /** Names of protocol extensions (`_pq_.…`) that the client asks for; none is known here. */
  readonly protocolOptions: readonly string[]
}

export interface InvalidPacket {
  readonly kind: 'invalid'
  /** One sentence. */
  readonly reason: string
  readonly sqlState: '08P01' | '0A000' | '28000'
}

export type FirstPacket =
  | {readonly kind: 'incomplete'}
  | {readonly kind: 'tls'}
  | {readonly kind: 'ssl-request' | 'gssenc-request'; readonly size: number}
  | {readonly kind: 'startup'; readonly message: StartupMessage; readonly size: number}
  | {readonly kind: 'cancel'; readonly key: BackendKey; readonly size: number}
  | InvalidPacket

const tlsHandshake = 0x16
const headerBytes = 8
const maximumBytes = 10_000
const requestMajor = 1234
const requestMinors = {cancel: 5678, ssl: 5679, gssenc: 5680} as const
const spokenMajor = 3
const extensionPrefix = '_pq_.'

const incomplete: FirstPacket = {kind: 'incomplete'}

function invalid(sqlState: InvalidPacket['sqlState'], reason: string): InvalidPacket {
  return {kind: 'invalid', reason, sqlState}
}

/** What the connection's first bytes are. `size` tells how many of them the packet takes; later ones belong to what follows. */
export function readFirstPacket(bytes: Buffer): FirstPacket {
  if (bytes[0] === tlsHandshake) return {kind: 'tls'}
  if (smallestLength(bytes) > maximumBytes)
    return invalid('08P01', 'The first packet is too long for a startup message.')
  if (bytes.length < 4) return incomplete
  const size = bytes.readUInt32BE(0)
  if (size < headerBytes) return invalid('08P01', `The first packet has the impossible length ${size}.`)
  if (bytes.length < headerBytes) return incomplete
  const major = bytes.readUInt16BE(4)
  const minor = bytes.readUInt16BE(6)
  if (major === requestMajor) return readRequest(bytes, size, minor)
  if (major !== spokenMajor) return invalid('0A000', `Protocol version ${major}.${minor} is not supported, only 3.`)
  return bytes.length < size ? incomplete : readStartup(bytes.subarray(headerBytes, size), minor, size)
}

/** The least that the length can be when only some of its bytes are there. */
function smallestLength(bytes: Buffer): number {
  const prefix = Buffer.alloc(4)
  bytes.copy(prefix, 0, 0, 4)
  return prefix.readUInt32BE(0)
}

function readRequest(bytes: Buffer, size: number, minor: number): FirstPacket {
  switch (minor) {
    case requestMinors.ssl:
    case requestMinors.gssenc: {
      if (size !== headerBytes) return invalid('08P01', `An encryption request has the impossible length ${size}.`)
      return {kind: minor === requestMinors.ssl ? 'ssl-request' : 'gssenc-request', size}
    }
    case requestMinors.cancel: {
      const secretStart = headerBytes + 4
      if (!isSecretLength(size - secretStart)) {
        return invalid('08P01', `A cancel request has the impossible length ${size}.`)
      }
      if (bytes.length < size) return incomplete
      const key = {pid: bytes.readInt32BE(headerBytes), secret: bytes.subarray(secretStart, size)}
      return {kind: 'cancel', key, size}
    }
    default:
      return invalid('0A000', `The request code ${requestMajor}.${minor} is not known.`)
  }
}

function readStartup(body: Buffer, minor: number, size: number): FirstPacket {
  if (!isUtf8(body)) return invalid('08P01', 'The startup message is not valid UTF-8.')
  const texts = body.toString('utf8').split('\0')
  // A well-formed body is `key \0 value \0 … \0`: split at NUL it ends in two empty texts, the list's end and nothing after it.
  const pairs = texts.slice(0, -2)
  const endsProperly = texts.length >= 2 && texts.at(-1) === '' && texts.at(-2) === '' && pairs.length % 2 === 0
  if (!endsProperly) return invalid('08P01', 'The startup message does not end after its last parameter.')

  const parameters = new Map<string, string>()
  const protocolOptions: string[] = []
  for (let index = 0; index < pairs.length; index += 2) {
    const key = pairs[index] ?? ''
    if (key === '') return invalid('08P01', 'The startup message goes on after the end of its parameters.')
    if (parameters.has(key) || protocolOptions.includes(key)) {
      return invalid('08P01', 'The startup message names a parameter twice.')
    }
    if (key.startsWith(extensionPrefix)) protocolOptions.push(key)
    else parameters.set(key, pairs[index + 1] ?? '')
  }
  const user = parameters.get('user') ?? ''
  if (user === '') return invalid('28000', 'The startup message names no user.')
  const database = parameters.get('database') ?? ''
  const message = {minor, user, database: database === '' ? user : database, parameters, protocolOptions}
  return {kind: 'startup', message, size}
}

function encodeCode(major: number, minor: number): Buffer {
  return int32(major * 65_536 + minor)
}

export const sslRequest = encodeUntyped(encodeCode(requestMajor, requestMinors.ssl))
export const gssencRequest = encodeUntyped(encodeCode(requestMajor, requestMinors.gssenc))

/** A StartupMessage of protocol 3; parameters are sent in the map's order. */
export function encodeStartup(minor: number, parameters: ReadonlyMap<string, string>): Buffer {
  const pairs = [...parameters].flatMap(([key, value]) => [cstring(key), cstring(value)])
  return encodeUntyped(encodeCode(spokenMajor, minor), ...pairs, endOfList)
}

export function encodeCancel({pid, secret}: BackendKey): Buffer {
  return encodeUntyped(encodeCode(requestMajor, requestMinors.cancel), int32(pid), secret)
}
