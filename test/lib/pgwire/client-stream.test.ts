import {describe, expect, it} from '@jest/globals'
import {decodeBind, decodeQuery} from '../../../src/lib/pgwire/client-messages.js'
import {ClientStream} from '../../../src/lib/pgwire/client-stream.js'
import {encodeStartup, sslRequest} from '../../../src/lib/pgwire/first-packet.js'
import {cstring, encodeMessage, int32} from '../../../src/lib/pgwire/message.js'
import {frontend} from '../../../src/lib/pgwire/message-types.js'
import {everySplit} from './chunks.js'

const int16 = (value: number): Buffer => int32(value).subarray(2)
const query = (sql: string): Buffer => encodeMessage(frontend.query, cstring(sql))
const bind = (value: Buffer): Buffer =>
  encodeMessage(frontend.bind, cstring(''), cstring('s1'), int16(0), int16(1), int32(value.length), value, int16(0))
const sync = encodeMessage(frontend.sync)
const stream = (): ClientStream => new ClientStream({captureBytes: 1024})

function typesOf(chunks: readonly Buffer[]): string {
  const reader = stream()
  return chunks.flatMap((chunk) => reader.read(chunk).frames.map(({type}) => String.fromCharCode(type))).join('')
}

describe('a client’s stream', () => {
  it('reports each message but COPY data once, wherever the chunks end', () => {
    const copy = encodeMessage(frontend.copyData, Buffer.from('1\tone\n'))
    const bytes = Buffer.concat([query('select 1'), bind(Buffer.from('x')), sync, copy, query('')])
    for (const chunks of everySplit(bytes)) expect(typesOf(chunks)).toBe('QBSQ')
  })

  it('lets COPY data pass, up to a header that cannot be', () => {
    const copy = encodeMessage(frontend.copyData, Buffer.alloc(500))
    expect(stream().read(Buffer.concat([copy, copy]))).toMatchObject({frames: [], safe: 2 * copy.length})
    const impossible = Buffer.from([frontend.copyData, 0x3f, 0xff, 0xff, 0xff])
    const {safe, violation} = stream().read(Buffer.concat([copy, impossible]))
    expect({safe, sqlState: violation?.sqlState}).toEqual({safe: copy.length, sqlState: '08P01'})
  })

  it('tells where each message ends, so that a relay can stop between two', () => {
    const first = query('select 1')
    const {frames, safe} = stream().read(Buffer.concat([first, sync]))
    expect(frames.map(({end}) => end)).toEqual([first.length, first.length + sync.length])
    expect(safe).toBe(first.length + sync.length)
  })

  it('is not fooled by a parameter that looks like a query', () => {
    const smuggled = query('drop table products')
    const message = bind(Buffer.concat([smuggled, smuggled]))
    for (const chunks of everySplit(Buffer.concat([message, sync]))) expect(typesOf(chunks)).toBe('BS')
    const frame = stream().read(message).frames[0]
    expect(frame && decodeBind(frame)?.parameters).toEqual([Buffer.concat([smuggled, smuggled])])
  })

  it('passes a query above the cap with its beginning kept', () => {
    const frame = stream().read(query('x'.repeat(5000))).frames[0]
    expect(frame?.size).toBe(5001)
    expect(frame && decodeQuery(frame)?.sql).toBe('x'.repeat(1024))
  })

  it.each([
    ['a password', encodeMessage(frontend.password, cstring('secret'))],
    ['a startup message', encodeStartup(0, new Map([['user', 'postgres']]))],
    ['an SSLRequest', sslRequest],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n')],
    ['a query of 4 GiB', Buffer.from([frontend.query, 0xff, 0xff, 0xff, 0xff])],
    ['a query above PostgreSQL’s limit', Buffer.from([frontend.query, 0x3f, 0xff, 0xff, 0xff])],
    ['a Sync above PostgreSQL’s limit for small messages', Buffer.from([frontend.sync, 0, 0, 0x27, 0x11])],
  ])('refuses %s after sign-in and forwards nothing of it', (_, bytes) => {
    const first = query('select 1')
    const {frames, safe, violation} = stream().read(Buffer.concat([first, bytes]))
    expect(frames).toHaveLength(1)
    expect(safe).toBe(first.length)
    expect(violation?.sqlState).toBe('08P01')
  })

  it('takes a query of PostgreSQL’s largest size', () => {
    const reader = stream()
    expect(reader.read(Buffer.from([frontend.query, 0x3f, 0xff, 0xff, 0xfe])).violation).toBeUndefined()
    expect(reader.atBoundary).toBe(false)
  })
})
