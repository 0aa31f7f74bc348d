import {describe, expect, it} from '@jest/globals'
import {renderParameters} from '../../../src/lib/pgwire/parameter-text.js'
import {
  decodeBind,
  decodeExecute,
  decodeFunctionCall,
  decodeParse,
  decodeQuery,
  decodeTarget,
} from '../../../src/lib/pgwire/client-messages.js'
import {cstring, int32} from '../../../src/lib/pgwire/message.js'
import type {Payload} from '../../../src/lib/pgwire/payload.js'
import {seededRandom} from './chunks.js'

const int16 = (value: number): Buffer => int32(value).subarray(2)
const whole = (...parts: readonly Buffer[]): Payload => {
  const payload = Buffer.concat(parts)
  return {payload, size: payload.length}
}
const value = (bytes: Buffer | null): Buffer => (bytes ? Buffer.concat([int32(bytes.length), bytes]) : int32(-1))
const cutTo = (payload: Payload, length: number): Payload => ({
  ...payload,
  payload: payload.payload.subarray(0, length),
})

const bind = whole(
  cstring('p1'),
  cstring('s1'),
  ...[int16(3), int16(0), int16(1), int16(0)],
  ...[int16(3), value(Buffer.from('42')), value(Buffer.from([0, 255])), value(null)],
  ...[int16(1), int16(1)],
)

describe('messages of the simple and the extended protocol', () => {
  it('a query is its text', () => {
    expect(decodeQuery(whole(cstring('select ’1’')))).toMatchObject({sql: 'select ’1’'})
  })

  it('a parse names its statement, its text and its types', () => {
    const payload = whole(cstring('s1'), cstring('select $1'), int16(1), int32(23))
    expect(decodeParse(payload)).toMatchObject({statement: 's1', sql: 'select $1', parameterTypes: [23]})
  })

  it('a bind keeps portal and statement apart, and NULL apart from an empty value', () => {
    expect(decodeBind(bind)).toEqual({
      portal: 'p1',
      statement: 's1',
      formats: [0, 1, 0],
      parameters: [Buffer.from('42'), Buffer.from([0, 255]), null],
      resultFormats: [1],
    })
    const empty = whole(cstring(''), cstring(''), int16(0), int16(1), value(Buffer.alloc(0)), int16(0))
    expect(decodeBind(empty)?.parameters).toEqual([Buffer.alloc(0)])
  })

  it('an execute names its portal and its row limit', () => {
    expect(decodeExecute(whole(cstring('p1'), int32(50)))).toEqual({portal: 'p1', maximumRows: 50})
    expect(decodeExecute(whole(cstring(''), int32(-1)))).toEqual({portal: '', maximumRows: 0})
  })

  it('a close or describe tells statements from portals', () => {
    expect(decodeTarget(whole(cstring('Ss1')))).toEqual({kind: 'statement', name: 's1'})
    expect(decodeTarget(whole(cstring('P')))).toEqual({kind: 'portal', name: ''})
    expect(decodeTarget(whole(cstring('X1')))).toBeUndefined()
  })

  it('a function call has parameters like a bind', () => {
    const payload = whole(int32(1598), int16(1), int16(1), int16(2), value(Buffer.from('a')), value(null), int16(0))
    expect(decodeFunctionCall(payload)).toEqual({
      functionOid: 1598,
      formats: [1],
      parameters: [Buffer.from('a'), null],
      resultFormat: 0,
    })
  })
})

describe('a message that lies about itself is none', () => {
  const names = [cstring(''), cstring('')]
  it.each([
    ['no terminator', decodeQuery(whole(Buffer.from('select 1')))],
    ['bytes behind its last field', decodeQuery(whole(cstring('select 1'), Buffer.from('x')))],
    ['fewer types than it counts', decodeParse(whole(...names, int16(2), int32(23)))],
    ['fewer parameters than it counts', decodeBind(whole(...names, int16(0), int16(2), value(null), int16(0)))],
    ['a parameter longer than the message', decodeBind(whole(...names, int16(0), int16(1), int32(500), int16(0)))],
    ['a length of -2', decodeBind(whole(...names, int16(0), int16(1), int32(-2), int16(0)))],
    ['a length of -2147483648', decodeBind(whole(...names, int16(0), int16(1), int32(-2_147_483_648), int16(0)))],
    [
      'two formats for three parameters',
      decodeBind(
        whole(...names, int16(2), int16(0), int16(0), int16(3), value(null), value(null), value(null), int16(0)),
      ),
    ],
    ['65,535 parameters announced and none there', decodeBind(whole(...names, int16(0), int16(-1)))],
    ['no row limit', decodeExecute(whole(cstring('p1')))],
    ['nothing', decodeTarget(whole())],
  ])('%s', (_, decoded) => {
    expect(decoded).toBeUndefined()
  })

  it('at whatever byte it ends', () => {
    for (let length = 0; length < bind.size; length += 1) {
      const payload = bind.payload.subarray(0, length)
      expect(decodeBind({payload, size: length})).toBeUndefined()
    }
  })

  it('and random bytes never throw', () => {
    const random = seededRandom(7)
    const decoders = [decodeQuery, decodeParse, decodeBind, decodeExecute, decodeTarget, decodeFunctionCall]
    for (let round = 0; round < 5000; round += 1) {
      const bytes = Buffer.from(Array.from({length: Math.floor(random() * 40)}, () => Math.floor(random() ** 3 * 256)))
      for (const decode of decoders) {
        expect(() => decode(whole(bytes))).not.toThrow()
        expect(() => decode({payload: bytes, size: 1000})).not.toThrow()
      }
    }
  })
})

describe('a message that was captured in part', () => {
  it('gives what there is of its text, without half a character', () => {
    const payload = whole(cstring('select ’1’'))
    expect(decodeQuery(cutTo(payload, 8))).toMatchObject({sql: 'select '})
    expect(decodeQuery(cutTo(payload, 9))).toMatchObject({sql: 'select '})
    expect(decodeQuery(cutTo(payload, 10))).toMatchObject({sql: 'select ’'})
  })

  it('gives its names and the parameters up to the cut', () => {
    const payload = whole(
      cstring('p1'),
      cstring('s1'),
      int16(0),
      int16(2),
      value(Buffer.alloc(9, 65)),
      value(null),
      int16(0),
    )
    expect(decodeBind(cutTo(payload, 17))).toMatchObject({
      portal: 'p1',
      statement: 's1',
      parameters: [Buffer.from('AAA')],
    })
  })

  it('is still none when a length in it is impossible', () => {
    const payload = whole(cstring(''), cstring(''), int16(0), int16(1), int32(-9), int16(0))
    expect(decodeBind({...payload, size: 5000})).toBeUndefined()
  })
})

describe('names in another encoding', () => {
  it('stay apart when their bytes differ', () => {
    const names = [[0xe9], [0xe8], [0xc3, 0xa9], [0xef, 0xbf, 0xbd], [0xff], [0xed, 0xb3, 0xa9]].map(
      (bytes) => decodeQuery(whole(Buffer.from(bytes), Buffer.alloc(1)))?.sql,
    )
    expect(new Set(names).size).toBe(names.length)
    expect(names[2]).toBe('é')
  })
})

describe('parameters for the audit', () => {
  const parameters = [Buffer.from('é'), Buffer.from([0, 1, 2]), null]

  it.each([
    ['no format is text for all', [], ['é', '\0\u0001\u0002', null]],
    ['one format is for all', [1], ['w6k=', 'AAEC', null]],
    ['one format each', [0, 1, 1], ['é', 'AAEC', null]],
  ])('%s', (_, formats, rendered) => {
    expect(renderParameters({formats, parameters})).toEqual(rendered)
  })
})
