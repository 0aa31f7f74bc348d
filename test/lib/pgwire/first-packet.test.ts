import {describe, expect, it} from '@jest/globals'
import {
  encodeCancel,
  encodeStartup,
  gssencRequest,
  readFirstPacket,
  sslRequest,
  type FirstPacket,
} from '../../../src/lib/pgwire/first-packet.js'
import {encodeUntyped, int32} from '../../../src/lib/pgwire/message.js'

const version = (major: number, minor: number): Buffer => int32(major * 65_536 + minor)
const startup = (body: string | Buffer): Buffer => encodeUntyped(version(3, 0), Buffer.from(body))
const lengthOf = (length: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(length)
  return bytes
}
const alice = encodeStartup(
  2,
  new Map([
    ['user', 'alice'],
    ['database', 'app'],
    ['application_name', ''],
    ['_pq_.test', '1'],
  ]),
)

function invalidState(packet: FirstPacket): string {
  return packet.kind === 'invalid' ? packet.sqlState : packet.kind
}

describe('a startup message', () => {
  it('is read with its parameters, extensions apart', () => {
    const packet = readFirstPacket(Buffer.concat([alice, Buffer.from('behind')]))
    expect(packet).toEqual({
      kind: 'startup',
      size: alice.length,
      message: {
        minor: 2,
        user: 'alice',
        database: 'app',
        parameters: new Map([
          ['user', 'alice'],
          ['database', 'app'],
          ['application_name', ''],
        ]),
        protocolOptions: ['_pq_.test'],
      },
    })
  })

  it('is incomplete until its last byte', () => {
    for (let length = 0; length < alice.length; length += 1) {
      expect(readFirstPacket(alice.subarray(0, length))).toEqual({kind: 'incomplete'})
    }
    expect(readFirstPacket(alice).kind).toBe('startup')
  })

  it.each([['user\0alice\0\0'], ['user\0alice\0database\0\0\0']])(
    'takes the user’s name for a database that %j does not name',
    (body) => {
      expect(readFirstPacket(startup(body))).toMatchObject({message: {user: 'alice', database: 'alice'}})
    },
  )

  it('keeps names that objects give a meaning as plain parameters', () => {
    const packet = readFirstPacket(startup('__proto__\0polluted\0user\0alice\0constructor\0x\0\0'))
    const parameters = packet.kind === 'startup' ? packet.message.parameters : new Map<string, string>()
    expect([...parameters.keys()]).toEqual(['__proto__', 'user', 'constructor'])
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })

  it.each([
    ['no terminator', 'user\0alice\0', '08P01'],
    ['no NUL at all', 'user', '08P01'],
    ['no body', '', '08P01'],
    ['a key without a value', 'user\0alice\0database\0\0', '08P01'],
    ['something behind the terminator', 'user\0alice\0\0database\0app\0\0', '08P01'],
    ['a second terminator', 'user\0alice\0\0\0\0', '08P01'],
    ['two users', 'user\0alice\0user\0postgres\0\0', '08P01'],
    ['two databases', 'user\0alice\0database\0a\0database\0b\0\0', '08P01'],
    ['no user', 'database\0app\0\0', '28000'],
    ['no parameters', '\0', '28000'],
    ['an empty user', 'user\0\0database\0app\0\0', '28000'],
    ['invalid UTF-8', Buffer.from('user\0al\xffce\0\0', 'latin1'), '08P01'],
    ['an overlong encoding', Buffer.from('user\0\xc0\xafx\0\0', 'latin1'), '08P01'],
  ])('with %s is refused', (_, body, state) => {
    expect(invalidState(readFirstPacket(startup(body)))).toBe(state)
  })

  it.each([
    [2, 0],
    [4, 0],
    [0, 0],
    [1234, 1],
  ])('of protocol %d.%d is refused on its header', (major, minor) => {
    const header = Buffer.concat([lengthOf(500), version(major, minor)])
    expect(invalidState(readFirstPacket(header))).toBe('0A000')
  })

  it('of protocol 3.9999 is read, for the answer to say what is spoken', () => {
    const packet = readFirstPacket(encodeStartup(9999, new Map([['user', 'alice']])))
    expect(packet).toMatchObject({kind: 'startup', message: {minor: 9999}})
  })

  it('of 10,000 bytes is the largest', () => {
    const filler = 10_000 - startup('user\0alice\0x\0\0\0').length
    const largest = startup(`user\0alice\0x\0${'y'.repeat(filler)}\0\0`)
    expect(largest).toHaveLength(10_000)
    expect(readFirstPacket(largest).kind).toBe('startup')
    expect(invalidState(readFirstPacket(startup(`user\0alice\0x\0${'y'.repeat(filler + 1)}\0\0`)))).toBe('08P01')
  })
})

describe('the length of a first packet', () => {
  it.each([0, 1, 3, 4, 7, 10_001, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff])('%d is refused', (length) => {
    expect(invalidState(readFirstPacket(lengthOf(length)))).toBe('08P01')
  })

  it('is refused on the first byte that makes it too long', () => {
    expect(invalidState(readFirstPacket(Buffer.from('G')))).toBe('08P01')
    expect(invalidState(readFirstPacket(Buffer.from([0, 1])))).toBe('08P01')
    expect(readFirstPacket(Buffer.from([0, 0])).kind).toBe('incomplete')
  })
})

describe('requests in the place of a startup message', () => {
  it.each([
    ['ssl-request', sslRequest],
    ['gssenc-request', gssencRequest],
  ])('%s is told by its code, with nothing behind it counted in', (kind, bytes) => {
    expect(readFirstPacket(Buffer.concat([bytes, alice]))).toEqual({kind, size: 8})
    expect(readFirstPacket(bytes.subarray(0, 7))).toEqual({kind: 'incomplete'})
    const padded = Buffer.concat([lengthOf(9), bytes.subarray(4), Buffer.from([0])])
    expect(invalidState(readFirstPacket(padded))).toBe('08P01')
  })

  it.each([4, 32, 256])('a cancel request carries a secret of %d bytes', (length) => {
    const key = {pid: -7, secret: Buffer.alloc(length, 9)}
    const bytes = encodeCancel(key)
    expect(readFirstPacket(bytes)).toEqual({kind: 'cancel', key, size: 12 + length})
    expect(readFirstPacket(bytes.subarray(0, -1)).kind).toBe('incomplete')
  })

  it.each([0, 3, 257])('a cancel request with a secret of %d bytes is refused', (length) => {
    expect(invalidState(readFirstPacket(encodeCancel({pid: 1, secret: Buffer.alloc(length)})))).toBe('08P01')
  })

  it('a TLS handshake is told by its first byte', () => {
    expect(readFirstPacket(Buffer.from([0x16]))).toEqual({kind: 'tls'})
  })

  it('the requests are PostgreSQL’s own bytes', () => {
    expect(sslRequest.toString('hex')).toBe('0000000804d2162f')
    expect(gssencRequest.toString('hex')).toBe('0000000804d21630')
    expect(encodeCancel({pid: 1, secret: Buffer.from('abcd')}).toString('hex')).toBe('0000001004d2162e0000000161626364')
  })
})

it('a startup message cannot carry a NUL inside a name', () => {
  expect(() => encodeStartup(0, new Map([['user', 'admin\0x']]))).toThrow('NUL')
})
