/** Agreeing on a minor version and on protocol extensions (PostgreSQL documentation, "Protocol Versions"). */
import {cstring, encodeMessage, int32} from './message.js'
import {backend} from './message-types.js'
import type {StartupMessage} from './first-packet.js'
import {PayloadCursor, type Payload} from './payload.js'

/** Newest minor version of protocol 3 that we speak to clients; 3.2 allows long cancel secrets. */
const newestMinor = 2
const major = 3

export interface ProtocolOffer {
  readonly minor: number
  /** Extensions that the server does not know. */
  readonly unknownOptions: readonly string[]
}

export interface Negotiated {
  /** The minor version of the session. */
  readonly minor: number
  /** The NegotiateProtocolVersion to send before any authentication message; absent when the client gets all it asked for. */
  readonly answer?: Buffer
}

/**
 * Answers what a client asked for. A client that asks for more and hears nothing would believe that it got it.
 * @param unheard extensions whose clients take silence for a no, and an answer for an error
 */
export function negotiateProtocol(
  startup: Pick<StartupMessage, 'minor' | 'protocolOptions'>,
  unheard: readonly string[] = [],
): Negotiated {
  const minor = Math.min(startup.minor, newestMinor)
  const unknownOptions = startup.protocolOptions.filter((name) => !unheard.includes(name))
  if (minor === startup.minor && unknownOptions.length === 0) return {minor}
  return {minor, answer: encodeNegotiateProtocolVersion({minor, unknownOptions})}
}

/** The documentation speaks of the minor version, but PostgreSQL sends, and libpq reads, major and minor. */
export function encodeNegotiateProtocolVersion({minor, unknownOptions}: ProtocolOffer): Buffer {
  const version = int32(major * 65_536 + minor)
  return encodeMessage(
    backend.negotiateProtocolVersion,
    version,
    int32(unknownOptions.length),
    ...unknownOptions.map(cstring),
  )
}

/** A server's offer; undefined when it is malformed or for another major version. */
export function decodeNegotiateProtocolVersion(payload: Payload): ProtocolOffer | undefined {
  const cursor = new PayloadCursor(payload)
  if (cursor.uint16() !== major) return undefined
  const minor = cursor.uint16()
  const count = cursor.uint32()
  const unknownOptions: string[] = []
  while (unknownOptions.length < count) {
    const name = cursor.text()
    if (cursor.stopped) break
    unknownOptions.push(name)
  }
  return cursor.finish({minor, unknownOptions})
}
