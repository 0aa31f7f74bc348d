import {afterEach, beforeAll, describe, expect, it} from '@jest/globals'
import {maximumHelloBytes, readClientHello} from '../../../src/lib/tunnel/client-hello.js'
import {captureClientHello, closeOpened} from './sockets.js'

afterEach(closeOpened)

const u8 = (value: number): Buffer => Buffer.from([value])
const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff])
const vector16 = (...parts: Buffer[]): Buffer => {
  const body = Buffer.concat(parts)
  return Buffer.concat([u16(body.length), body])
}
const extension = (type: number, ...parts: Buffer[]): Buffer => Buffer.concat([u16(type), vector16(...parts)])
const hostName = (name: string | Buffer, kind = 0): Buffer =>
  Buffer.concat([u8(kind), vector16(Buffer.isBuffer(name) ? name : Buffer.from(name, 'latin1'))])
const serverName = (...names: Buffer[]): Buffer => extension(0, vector16(...names))

function handshake(body: Buffer, type = 1): Buffer {
  const length = Buffer.alloc(3)
  length.writeUIntBE(body.length, 0, 3)
  return Buffer.concat([u8(type), length, body])
}

/** A ClientHello message with the given bytes where its extensions are. */
function message(extensions?: Buffer): Buffer {
  const start = [u16(0x0303), Buffer.alloc(32, 7), u8(0), vector16(u16(0x1301)), u8(1), u8(0)]
  return handshake(Buffer.concat([...start, ...(extensions ? [vector16(extensions)] : [])]))
}

const record = (fragment: Buffer): Buffer => Buffer.concat([Buffer.from([0x16, 3, 1]), vector16(fragment)])

/** The message cut into records of so many bytes. */
function records(bytes: Buffer, size: number): Buffer {
  const parts: Buffer[] = []
  for (let offset = 0; offset < bytes.length; offset += size) parts.push(record(bytes.subarray(offset, offset + size)))
  return Buffer.concat(parts)
}

describe('readClientHello', () => {
  let real: Buffer
  const expected = {kind: 'hello', serverName: 'orders.db.example.com', protocols: ['postgresql', 'postern/1']}

  beforeAll(async () => {
    real = await captureClientHello({servername: expected.serverName, ALPNProtocols: expected.protocols})
  })

  it('reads name and protocols of a real ClientHello', () => {
    expect(readClientHello(real)).toEqual(expected)
  })

  it('asks for more at every byte before the end', () => {
    for (let length = 0; length < real.length; length += 1) {
      const reading = readClientHello(real.subarray(0, length))
      expect(reading.kind).toBe('incomplete')
      if (reading.kind === 'incomplete') expect(reading.needs).toBeGreaterThan(length)
    }
  })

  it('puts a ClientHello together from records of any size', () => {
    const whole = real.subarray(5)
    for (const size of [1, 2, 3, 4, 5, 7, 100, 1000]) {
      const cut = records(whole, size)
      expect(readClientHello(cut)).toEqual(expected)
      expect(readClientHello(cut.subarray(0, -1))).toEqual({kind: 'incomplete', needs: cut.length})
    }
  })

  it('does not mind bytes after the ClientHello', () => {
    expect(readClientHello(Buffer.concat([real, Buffer.alloc(70_000, 1)]))).toEqual(expected)
    expect(readClientHello(Buffer.concat([real, record(Buffer.from('more'))]))).toEqual(expected)
    const together = record(Buffer.concat([real.subarray(5), Buffer.from('more')]))
    expect(readClientHello(together)).toEqual(expected)
  })

  it('asks for so many bytes that a trickle is not read over and over', () => {
    const trickle = records(real.subarray(5), 1)
    let readings = 0
    for (let length = 0; length < trickle.length; readings += 1) {
      const reading = readClientHello(trickle.subarray(0, length))
      length = reading.kind === 'incomplete' ? reading.needs : trickle.length
    }
    expect(readings).toBeLessThan(80)
  })

  it('takes a ClientHello without extensions, or without name', () => {
    const nameless = {kind: 'hello', serverName: undefined, protocols: []}
    expect(readClientHello(record(message()))).toEqual(nameless)
    expect(readClientHello(record(message(Buffer.alloc(0))))).toEqual(nameless)
    expect(readClientHello(record(message(extension(23))))).toEqual(nameless)
  })

  it('passes over names of an unknown kind', () => {
    const both = serverName(hostName('who knows', 9), hostName('a.example.com'))
    expect(readClientHello(record(message(both)))).toMatchObject({serverName: 'a.example.com'})
    expect(readClientHello(record(message(serverName(hostName('x', 9)))))).toMatchObject({serverName: undefined})
  })

  it.each([
    ['an empty name', serverName(hostName(''))],
    ['an empty list', extension(0, vector16())],
    ['no list', extension(0)],
    ['two names', serverName(hostName('a.example.com'), hostName('b.example.com'))],
    ['a NUL byte in it', serverName(hostName('a.example.com\0.evil.com'))],
    ['a space', serverName(hostName('a example.com'))],
    ['letters outside ASCII', serverName(hostName(Buffer.from('ä.example.com')))],
    ['256 bytes', serverName(hostName('a'.repeat(256)))],
    ['10 kB', serverName(hostName('a'.repeat(10_000)))],
    ['a length above what is there', extension(0, u16(100), hostName('a.example.com'))],
    ['a name longer than its list', extension(0, vector16(u8(0), u16(500), Buffer.from('a')))],
    ['bytes after the list', extension(0, vector16(hostName('a.example.com')), u8(0))],
  ])('refuses a server name with %s', (_, bytes) => {
    expect(readClientHello(record(message(bytes)))).toEqual({kind: 'invalid', reason: 'the server name is malformed'})
  })

  it.each([
    ['an empty list', extension(16, vector16())],
    ['an empty protocol', extension(16, vector16(u8(0)))],
    ['a protocol longer than its list', extension(16, vector16(u8(9), Buffer.from('a')))],
  ])('refuses protocols with %s', (_, bytes) => {
    expect(readClientHello(record(message(bytes)))).toMatchObject({kind: 'invalid'})
  })

  it('refuses an extension that comes twice', () => {
    const twice = Buffer.concat([serverName(hostName('a.example.com')), serverName(hostName('b.example.com'))])
    expect(readClientHello(record(message(twice)))).toMatchObject({kind: 'invalid'})
  })

  it('refuses extensions that end before or after their place', () => {
    const good = message(serverName(hostName('a.example.com'))).subarray(4)
    const longer = handshake(Buffer.concat([good, u8(0)]))
    const shorter = handshake(good.subarray(0, -1))
    const cutOff = message(Buffer.from([0, 0, 0]))
    for (const bytes of [longer, shorter, cutOff]) {
      expect(readClientHello(record(bytes))).toMatchObject({kind: 'invalid'})
    }
  })

  it.each([
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n')],
    ['another record type', Buffer.from([0x17, 3, 3, 0, 1, 0])],
    ['another version', Buffer.from([0x16, 2])],
    ['an empty record', Buffer.from([0x16, 3, 1, 0, 0])],
    ['a ServerHello', record(handshake(Buffer.alloc(40), 2))],
  ])('refuses %s', (_, bytes) => {
    expect(readClientHello(bytes)).toMatchObject({kind: 'invalid'})
  })

  it('refuses a length beyond the limit before its bytes are there', () => {
    const announced = record(Buffer.from([1, 0xff, 0xff, 0xff]))
    expect(readClientHello(announced)).toMatchObject({kind: 'invalid'})
  })

  it('takes 16 KiB and not a byte more', () => {
    const padded = (total: number): Buffer => {
      const rest = total - record(message(extension(21))).length
      return record(message(extension(21, Buffer.alloc(rest))))
    }
    const whole = padded(maximumHelloBytes)
    expect(whole.length).toBe(maximumHelloBytes)
    expect(readClientHello(whole)).toMatchObject({kind: 'hello'})
    expect(readClientHello(padded(maximumHelloBytes + 1))).toMatchObject({kind: 'invalid'})
  })

  it('refuses 16 KiB of records that never make a ClientHello', () => {
    const endless = records(Buffer.concat([Buffer.from([1, 0, 0x30, 0]), Buffer.alloc(0x2fff)]), 1)
    expect(readClientHello(endless.subarray(0, maximumHelloBytes - 1))).toMatchObject({kind: 'incomplete'})
    expect(readClientHello(endless.subarray(0, maximumHelloBytes))).toMatchObject({kind: 'invalid'})
  })

  it('survives any change of one byte', () => {
    for (let index = 0; index < real.length; index += 1) {
      for (const bit of [0x01, 0x80, 0xff]) {
        const changed = Buffer.from(real)
        changed.writeUInt8(changed.readUInt8(index) ^ bit, index)
        expect(['hello', 'invalid', 'incomplete']).toContain(readClientHello(changed).kind)
      }
    }
  })
})
