/** What a server asks for before it lets a client in (PostgreSQL documentation, "Message Formats", Authentication…). */
import {PayloadCursor, type Payload} from './payload.js'

export type AuthenticationRequest =
  | {readonly kind: 'ok' | 'cleartext'}
  | {readonly kind: 'md5'; readonly salt: Buffer}
  | {readonly kind: 'sasl'; readonly mechanisms: readonly string[]}
  | {readonly kind: 'sasl-continue' | 'sasl-final'; readonly data: string}
  /** A method that is not spoken here. */
  | {readonly kind: 'unknown'; readonly name: string}

const codes = {ok: 0, cleartext: 3, md5: 5, sasl: 10, saslContinue: 11, saslFinal: 12} as const
const saltBytes = 4

const otherMethods: ReadonlyMap<number, string> = new Map([
  [2, 'Kerberos V5'],
  [6, 'SCM credentials'],
  [7, 'GSSAPI'],
  [8, 'GSSAPI'],
  [9, 'SSPI'],
])

/** What the server asks for; undefined when the payload is malformed. */
export function decodeAuthentication(payload: Payload): AuthenticationRequest | undefined {
  const cursor = new PayloadCursor(payload)
  const code = cursor.uint32()
  switch (code) {
    case codes.ok:
      return cursor.finish({kind: 'ok'})
    case codes.cleartext:
      return cursor.finish({kind: 'cleartext'})
    case codes.md5:
      return cursor.finish({kind: 'md5', salt: cursor.bytes(saltBytes)})
    case codes.sasl:
      return cursor.finish({kind: 'sasl', mechanisms: readMechanisms(cursor)})
    case codes.saslContinue:
      return cursor.finish({kind: 'sasl-continue', data: cursor.rest().toString('utf8')})
    case codes.saslFinal:
      return cursor.finish({kind: 'sasl-final', data: cursor.rest().toString('utf8')})
    default:
      return {kind: 'unknown', name: otherMethods.get(code) ?? `authentication type ${code}`}
  }
}

/** Names up to an empty one. */
function readMechanisms(cursor: PayloadCursor): string[] {
  const mechanisms: string[] = []
  while (!cursor.stopped) {
    const mechanism = cursor.text()
    if (mechanism === '') break
    mechanisms.push(mechanism)
  }
  return mechanisms
}
