/**
 * Reads the ClientHello that opens a TLS connection (RFC 8446 §4.1.2 and §5.1, RFC 6066 §3, RFC 7301 §3.1), without
 * answering it. Two rules keep this reader and the TLS server behind it from seeing different names: every vector has
 * to end exactly where its container says, and an extension may come once.
 */

/** The most bytes of a connection that are looked at, records' headers included. */
export const maximumHelloBytes = 16_384

export type ClientHelloReading =
  | {
      readonly kind: 'incomplete'
      /** Before so many bytes have come there is no use in reading again. */
      readonly needs: number
    }
  | {readonly kind: 'invalid'; readonly reason: string}
  | {readonly kind: 'hello'; readonly serverName: string | undefined; readonly protocols: readonly string[]}

const invalid = (reason: string): ClientHelloReading => ({kind: 'invalid', reason})

const recordHeaderBytes = 5
const handshakeRecord = 0x16
const tlsMajorVersion = 3
const handshakeHeaderBytes = 4
const clientHelloMessage = 1
const versionAndRandomBytes = 2 + 32
const extensionTypes = {serverName: 0, protocols: 16} as const
const hostNameKind = 0
/** A DNS name is no longer (RFC 1035 §2.3.4), and no route of ours either. */
const maximumNameBytes = 255
const visibleAscii = /^[\x21-\x7e]+$/

/** What a connection's first bytes say; `incomplete` asks to be called again with more of them. */
export function readClientHello(bytes: Buffer, limitBytes: number = maximumHelloBytes): ClientHelloReading {
  const message = readHandshake(bytes.subarray(0, limitBytes), limitBytes)
  if (Buffer.isBuffer(message)) return readMessage(message)
  if (message.kind === 'incomplete' && bytes.length >= limitBytes) return tooLong(limitBytes)
  return message
}

function tooLong(limitBytes: number): ClientHelloReading {
  return invalid(`the ClientHello is longer than ${limitBytes} bytes`)
}

/** The body of the ClientHello message, put together from the records it was cut into. */
function readHandshake(bytes: Buffer, limitBytes: number): Buffer | ClientHelloReading {
  const fragments: Buffer[] = []
  let collected = 0
  let end: number | undefined
  for (let offset = 0; offset < bytes.length;) {
    if (bytes[offset] !== handshakeRecord) return invalid('a record is not a TLS handshake')
    if (offset + 1 < bytes.length && bytes[offset + 1] !== tlsMajorVersion) return invalid('the TLS version is unknown')
    const start = offset + recordHeaderBytes
    if (start > bytes.length) break
    const length = bytes.readUInt16BE(offset + 3)
    if (length === 0) return invalid('a handshake record is empty')
    const fragment = bytes.subarray(start, start + length)
    fragments.push(fragment)
    collected += fragment.length
    offset = start + length
    if (collected > 0 && fragments[0]?.[0] !== clientHelloMessage)
      return invalid('it does not begin with a ClientHello')
    if (end === undefined && collected >= handshakeHeaderBytes) {
      end = handshakeHeaderBytes + Buffer.concat(fragments, handshakeHeaderBytes).readUIntBE(1, 3)
      if (end + recordHeaderBytes > limitBytes) return tooLong(limitBytes)
    }
    if (end !== undefined && collected >= end) return Buffer.concat(fragments, end).subarray(handshakeHeaderBytes)
  }
  const missing = (end ?? handshakeHeaderBytes) - collected
  return {kind: 'incomplete', needs: Math.min(limitBytes, bytes.length + missing)}
}

function readMessage(body: Buffer): ClientHelloReading {
  const cursor = new Cursor(body)
  cursor.take(versionAndRandomBytes)
  cursor.vector(1) // session id
  cursor.vector(2) // cipher suites
  cursor.vector(1) // compression methods
  // TLS 1.2 may leave the extensions out.
  const extensions = cursor.left === 0 ? undefined : readExtensions(cursor.vector(2))
  if (cursor.broken || cursor.left > 0) return invalid('the ClientHello is malformed')
  if (extensions === 'malformed') return invalid('an extension of the ClientHello is malformed')

  const nameExtension = extensions?.get(extensionTypes.serverName)
  const serverName = nameExtension && readServerName(nameExtension)
  if (serverName?.malformed) return invalid('the server name is malformed')
  const protocolExtension = extensions?.get(extensionTypes.protocols)
  const protocols = protocolExtension ? readProtocols(protocolExtension) : []
  if (!protocols) return invalid('the list of protocols is malformed')
  return {kind: 'hello', serverName: serverName?.name, protocols}
}

function readExtensions(bytes: Buffer): ReadonlyMap<number, Buffer> | 'malformed' {
  const extensions = new Map<number, Buffer>()
  const cursor = new Cursor(bytes)
  while (cursor.left > 0) {
    const type = cursor.number(2)
    const body = cursor.vector(2)
    if (cursor.broken || extensions.has(type)) return 'malformed'
    extensions.set(type, body)
  }
  return extensions
}

/** The one host name; names of other kinds are passed over, as nobody defined any. */
function readServerName(extension: Buffer): {readonly malformed: boolean; readonly name?: string} {
  const malformed = {malformed: true}
  const outer = new Cursor(extension)
  const list = new Cursor(outer.vector(2))
  if (outer.broken || outer.left > 0 || list.left === 0) return malformed
  let name: string | undefined
  while (list.left > 0) {
    const kind = list.number(1)
    const value = list.vector(2)
    if (list.broken) return malformed
    if (kind !== hostNameKind) continue
    const text = value.toString('latin1')
    if (name !== undefined || value.length > maximumNameBytes || !visibleAscii.test(text)) return malformed
    name = text
  }
  return name === undefined ? {malformed: false} : {malformed: false, name}
}

function readProtocols(extension: Buffer): string[] | undefined {
  const outer = new Cursor(extension)
  const list = new Cursor(outer.vector(2))
  if (outer.broken || outer.left > 0 || list.left === 0) return undefined
  const protocols: string[] = []
  while (list.left > 0) {
    const protocol = list.vector(1)
    if (list.broken || protocol.length === 0) return undefined
    protocols.push(protocol.toString('latin1'))
  }
  return protocols
}

/** Walks over bytes; a read past their end gives nothing and leaves `broken` set. */
class Cursor {
  broken = false
  readonly #bytes: Buffer
  #offset = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.#offset
  }

  take(count: number): Buffer {
    if (count > this.left) {
      this.broken = true
      count = this.left
    }
    const taken = this.#bytes.subarray(this.#offset, this.#offset + count)
    this.#offset += count
    return taken
  }

  number(width: 1 | 2): number {
    const bytes = this.take(width)
    return bytes.length < width ? 0 : bytes.readUIntBE(0, width)
  }

  /** Bytes behind their own length, which is `width` bytes wide. */
  vector(width: 1 | 2): Buffer {
    return this.take(this.number(width))
  }
}
