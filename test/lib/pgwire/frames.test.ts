import {describe, expect, it} from '@jest/globals'
import {FrameWalker, type Frame, type FrameRule, type Walked} from '../../../src/lib/pgwire/frames.js'
import {encodeMessage} from '../../../src/lib/pgwire/message.js'
import {backend} from '../../../src/lib/pgwire/message-types.js'
import {encodeErrorResponse} from '../../../src/lib/pgwire/server-error.js'
import {encodeReadyForQuery} from '../../../src/lib/pgwire/server-messages.js'
import {walkServer} from '../../../src/lib/pgwire/server-stream.js'
import {everySplit, randomChunks, seededRandom} from './chunks.js'

const row = (bytes: number): Buffer => encodeMessage(backend.dataRow, Buffer.alloc(bytes, 0x5a))
const failure = encodeErrorResponse({severity: 'ERROR', code: '42P01', message: 'no such table'})
const ready = encodeReadyForQuery('I')
const stream = Buffer.concat([row(0), row(7), failure, row(300), encodeMessage(backend.parseComplete), ready])

interface Seen {
  readonly frames: {type: number; size: number; payload: string}[]
  readonly forwarded: Buffer
  readonly last: Walked
}

function run(walker: FrameWalker, chunks: readonly Buffer[]): Seen {
  const frames: Seen['frames'] = []
  const forwarded: Buffer[] = []
  let last: Walked = {safe: 0}
  for (const chunk of chunks) {
    last = walker.walk(chunk, ({type, size, payload}) => frames.push({type, size, payload: payload.toString('latin1')}))
    forwarded.push(chunk.subarray(0, last.safe))
  }
  return {frames, forwarded: Buffer.concat(forwarded), last}
}

const wanted = [backend.errorResponse, backend.readyForQuery]

const payloadOf = (message: Buffer): string => message.subarray(5).toString('latin1')

describe('walking a stream of messages', () => {
  const expected = [
    {type: backend.errorResponse, size: failure.length - 5, payload: payloadOf(failure)},
    {type: backend.readyForQuery, size: 1, payload: 'I'},
  ]

  it('finds the same messages wherever the chunks end, and lets every byte pass', () => {
    for (const chunks of everySplit(stream)) {
      const walker = walkServer(wanted)
      const {frames, forwarded} = run(walker, chunks)
      expect(frames).toEqual(expected)
      expect(forwarded.equals(stream)).toBe(true)
      expect(walker.atBoundary).toBe(true)
    }
  })

  it('finds the messages of two streams joined in one chunk', () => {
    const {frames} = run(walkServer(wanted), [Buffer.concat([stream, stream])])
    expect(frames).toEqual([...expected, ...expected])
  })

  it('forwards exactly what came in for any chunking of random messages', () => {
    const random = seededRandom(20)
    for (let round = 0; round < 200; round += 1) {
      const messages = Array.from({length: 30}, () => {
        const type = 0x31 + Math.floor(random() * 70)
        return encodeMessage(type, Buffer.alloc(Math.floor(random() ** 4 * 3000), Math.floor(random() * 256)))
      })
      const bytes = Buffer.concat(messages)
      const report = messages.map((message) => message.readUInt8(0))
      const {frames, forwarded} = run(walkServer(report), randomChunks(bytes, random, 1 + Math.floor(random() * 900)))
      expect(forwarded.equals(bytes)).toBe(true)
      expect(frames.map(({type}) => type)).toEqual(report)
      expect(frames.every(({payload}, index) => payload === payloadOf(messages[index] ?? bytes))).toBe(true)
    }
  })

  it('gives a payload that lies whole in its chunk without copying it', () => {
    const chunk = Buffer.concat([row(3), ready])
    const seen: Frame[] = []
    walkServer(wanted).walk(chunk, (frame) => seen.push(frame))
    expect(seen[0]?.payload.buffer).toBe(chunk.buffer)
    expect(seen[0]?.end).toBe(chunk.length)
  })

  it('keeps no more of a payload than the cap, and tells the true size', () => {
    const large = encodeMessage(backend.errorResponse, Buffer.alloc(5000, 0x41))
    for (const chunks of [[large], [large.subarray(0, 9), large.subarray(9)], everySplit(large).at(-1) ?? []]) {
      const {frames} = run(walkServer(wanted, 100), chunks)
      expect(frames).toEqual([{type: backend.errorResponse, size: 5000, payload: 'A'.repeat(100)}])
    }
  })

  it('reserves room for what has arrived, never for what is announced', () => {
    const header = Buffer.from([backend.errorResponse, 0x7f, 0xff, 0xff, 0xff])
    const before = process.memoryUsage().arrayBuffers
    const walkers = Array.from({length: 50}, () => {
      const walker = walkServer(wanted, 64 * 1024 * 1024)
      walker.walk(header, () => undefined)
      walker.walk(Buffer.from('x'), () => undefined)
      return walker
    })
    expect(walkers).toHaveLength(50)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * 1024 * 1024)
  })

  it('knows whether it stands between messages', () => {
    const walker = walkServer(wanted)
    expect(walker.atBoundary).toBe(true)
    walker.walk(ready.subarray(0, 2), () => undefined)
    expect(walker.atBoundary).toBe(false)
    walker.walk(ready.subarray(2, 5), () => undefined)
    expect(walker.atBoundary).toBe(false)
    walker.walk(ready.subarray(5), () => undefined)
    expect(walker.atBoundary).toBe(true)
  })

  it('lets messages of a type it does not know pass from a server', () => {
    const odd = Buffer.concat([encodeMessage(0x01, Buffer.from('new')), ready])
    const {frames, forwarded} = run(walkServer(wanted), [odd])
    expect(frames).toHaveLength(1)
    expect(forwarded.equals(odd)).toBe(true)
  })
})

describe('impossible headers', () => {
  const rule: FrameRule = {maximumLength: 100, report: 'capture'}
  const strict = (): FrameWalker =>
    new FrameWalker({sender: 'client', captureBytes: 50, ruleOf: (type) => (type === 0x51 ? rule : undefined)})
  const good = encodeMessage(0x51, Buffer.from('select 1\0'))
  const header = (type: number, length: number): Buffer => {
    const bytes = Buffer.alloc(5)
    bytes.writeUInt8(type)
    bytes.writeUInt32BE(length, 1)
    return bytes
  }
  const lengths = [0, 1, 2, 3, 101, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]

  it.each(lengths)('holds back a message of length %d and all that follows', (length) => {
    const bytes = Buffer.concat([good, header(0x51, length), good])
    const {frames, last} = run(strict(), [bytes])
    expect(frames).toHaveLength(1)
    expect(last).toEqual({
      safe: good.length,
      violation: {
        reason: `The client sent a message of type 'Q' with the impossible length ${length}.`,
        sqlState: '08P01',
      },
    })
  })

  it('holds back a message of an unknown type on its first byte', () => {
    const {last} = run(strict(), [Buffer.concat([good, Buffer.from([0])])])
    expect(last.safe).toBe(good.length)
    expect(last.violation?.reason).toBe('The client sent a message of the unknown type 0x00.')
  })

  it('lets at most a part of the bad header pass, however the chunks end', () => {
    const bytes = Buffer.concat([good, header(0x51, 3), good])
    for (const chunks of everySplit(bytes)) {
      const walker = strict()
      const {frames, forwarded} = run(walker, chunks)
      expect(frames).toHaveLength(1)
      expect(forwarded.length).toBeGreaterThanOrEqual(good.length)
      expect(forwarded.length).toBeLessThan(good.length + 5)
      expect(walker.walk(good, () => undefined).safe).toBe(0)
    }
  })

  it('takes the largest legal length', () => {
    const largest = encodeMessage(0x51, Buffer.alloc(96))
    expect(run(strict(), [largest]).frames).toHaveLength(1)
  })

  it('ends a server’s stream on a length that is negative to the protocol', () => {
    const {last} = run(walkServer([]), [Buffer.concat([ready, header(backend.dataRow, 0x8000_0000)])])
    expect(last.safe).toBe(ready.length)
    expect(last.violation?.reason).toContain('The server sent')
  })
})
