/** ClientHellos that no honest client sends, made from one that does. */

const recordHeader = 5
const handshakeHeader = 4
const versionAndRandom = 2 + 32
export const extensionTypes = {serverName: 0, padding: 21} as const

/** Where the length of the extensions stands. */
function extensionsAt(hello: Buffer): number {
  let offset = recordHeader + handshakeHeader + versionAndRandom
  offset += 1 + hello.readUInt8(offset) // session id
  offset += 2 + hello.readUInt16BE(offset) // cipher suites
  return offset + 1 + hello.readUInt8(offset) // compression methods
}

/** The ClientHello with one more extension at its end. */
export function withExtension(hello: Buffer, type: number, body: Buffer): Buffer {
  const header = Buffer.alloc(4)
  header.writeUInt16BE(type)
  header.writeUInt16BE(body.length, 2)
  const longer = Buffer.concat([hello, header, body])
  const at = extensionsAt(longer)
  longer.writeUInt16BE(longer.length - recordHeader, 3)
  longer.writeUIntBE(longer.length - recordHeader - handshakeHeader, recordHeader + 1, 3)
  longer.writeUInt16BE(longer.length - at - 2, at)
  return longer
}

/** The ClientHello made exactly so many bytes long, its record's header included. */
export function padded(hello: Buffer, bytes: number): Buffer {
  return withExtension(hello, extensionTypes.padding, Buffer.alloc(bytes - hello.length - 4))
}

/** The extension that names a server, of any length. */
export function serverNameBody(name: string): Buffer {
  const text = Buffer.from(name, 'latin1')
  const body = Buffer.alloc(5)
  body.writeUInt16BE(text.length + 3)
  body.writeUInt16BE(text.length, 3)
  return Buffer.concat([body, text])
}
