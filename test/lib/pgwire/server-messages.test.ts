import {describe, expect, it} from '@jest/globals'
import {decodeAuthentication} from '../../../src/lib/pgwire/authentication.js'
import {terminate} from '../../../src/lib/pgwire/client-messages.js'
import {cstring, int32} from '../../../src/lib/pgwire/message.js'
import type {Payload} from '../../../src/lib/pgwire/payload.js'
import {decodeServerError, encodeErrorResponse, encodeNoticeResponse} from '../../../src/lib/pgwire/server-error.js'
import {
  authenticationOk,
  decodeBackendKeyData,
  decodeCommandComplete,
  decodeParameterStatus,
  decodeReadyForQuery,
  decodeRowDescription,
  encodeBackendKeyData,
  encodeParameterStatus,
  encodeReadyForQuery,
} from '../../../src/lib/pgwire/server-messages.js'

const int16 = (value: number): Buffer => int32(value).subarray(2)
const whole = (...parts: readonly Buffer[]): Payload => {
  const payload = Buffer.concat(parts)
  return {payload, size: payload.length}
}
const bodyOf = (message: Buffer): Payload => {
  expect(message.readUInt32BE(1)).toBe(message.length - 1)
  return whole(message.subarray(5))
}

describe('what we send is what a client reads', () => {
  it('in PostgreSQL’s own bytes', () => {
    expect(authenticationOk.toString('hex')).toBe('520000000800000000')
    expect(encodeReadyForQuery('T').toString('hex')).toBe('5a0000000554')
    expect(terminate.toString('hex')).toBe('5800000004')
    expect(encodeParameterStatus('a', 'b').toString('hex')).toBe('530000000861006200')
    expect(encodeBackendKeyData({pid: 258, secret: Buffer.from('wxyz')}).toString('hex')).toBe(
      '4b0000000c000001027778797a',
    )
  })

  it('parameter status and state of the transaction', () => {
    expect(decodeParameterStatus(bodyOf(encodeParameterStatus('TimeZone', 'Etc/UTC')))).toEqual({
      name: 'TimeZone',
      value: 'Etc/UTC',
    })
    for (const status of ['I', 'T', 'E'] as const) {
      expect(decodeReadyForQuery(bodyOf(encodeReadyForQuery(status)))).toBe(status)
    }
    expect(decodeReadyForQuery(whole(Buffer.from('X')))).toBeUndefined()
    expect(decodeReadyForQuery(whole(Buffer.from('II')))).toBeUndefined()
  })

  it.each([4, 32, 256])('a cancel key with a secret of %d bytes', (length) => {
    const key = {pid: -3, secret: Buffer.alloc(length, 7)}
    expect(decodeBackendKeyData(bodyOf(encodeBackendKeyData(key)))).toEqual(key)
  })

  it.each([0, 3, 257])('but none with a secret of %d bytes', (length) => {
    expect(decodeBackendKeyData(whole(int32(1), Buffer.alloc(length)))).toBeUndefined()
  })
})

describe('errors and notices', () => {
  const error = {severity: 'FATAL', code: '28000', message: 'no', detail: 'because', hint: 'ask'}

  it('carry severity twice, code, message, detail and hint', () => {
    const bytes = encodeErrorResponse(error)
    expect(bytes.subarray(5).toString()).toBe('SFATAL\0VFATAL\0C28000\0Mno\0Dbecause\0Hask\0\0')
    expect(decodeServerError(bodyOf(bytes))).toEqual(error)
    expect(encodeNoticeResponse(error)[0]).toBe(0x4e)
  })

  it('cannot be broken by a NUL in a text', () => {
    const bytes = encodeErrorResponse({severity: 'ERROR', code: 'XX000', message: 'a\0Cb'})
    expect(decodeServerError(bodyOf(bytes)).message).toBe('a Cb')
  })

  it('are read in spite of missing fields, translated severities and a cut', () => {
    expect(decodeServerError(whole(Buffer.from([0])))).toMatchObject({severity: 'ERROR', code: 'XX000'})
    expect(decodeServerError(whole(cstring('SFEHLER'), cstring('VERROR'), Buffer.from([0]))).severity).toBe('ERROR')
    expect(decodeServerError(whole(cstring('SFEHLER'), Buffer.from([0]))).severity).toBe('FEHLER')
    expect(decodeServerError({payload: Buffer.from('C42P01\0Mno such ta'), size: 900})).toMatchObject({
      code: '42P01',
      message: 'no such ta',
    })
    expect(decodeServerError(whole(Buffer.from('Mno terminator'))).message).toBe('no terminator')
    expect(decodeServerError(whole()).code).toBe('XX000')
  })
})

describe('results', () => {
  it.each([
    ['SELECT 5', {command: 'SELECT', rows: 5}],
    ['INSERT 0 17', {command: 'INSERT', rows: 17}],
    ['COPY 100000', {command: 'COPY', rows: 100_000}],
    ['CREATE TABLE', {command: 'CREATE TABLE'}],
    ['CREATE TABLE AS 3', {command: 'CREATE TABLE AS', rows: 3}],
    ['', {command: ''}],
    ['7', {command: '7'}],
  ])('the tag %j', (tag, expected) => {
    expect(decodeCommandComplete(whole(cstring(tag)))).toEqual(expected)
  })

  it('columns have names and types', () => {
    const column = (name: string, type: number): Buffer =>
      Buffer.concat([cstring(name), int32(16_384), int16(1), int32(type), int16(-1), int32(-1), int16(0)])
    const description = whole(int16(2), column('id', 23), column('name', 25))
    expect(decodeRowDescription(description)).toEqual([
      {name: 'id', type: 23},
      {name: 'name', type: 25},
    ])
    expect(decodeRowDescription(whole(int16(3), column('id', 23)))).toBeUndefined()
    expect(decodeRowDescription({...description, payload: description.payload.subarray(0, 30)})).toEqual([
      {name: 'id', type: 23},
    ])
  })

  it('the columns of a row, as Redshift describes them to its own drivers', () => {
    const column = (name: string, type: number, ...origin: readonly string[]): Buffer =>
      Buffer.concat([
        ...[cstring(name), int32(16_384), int16(1), int32(type), int16(-1), int32(-1), int16(0)],
        ...[...origin.map(cstring), int16(0x1101)],
      ])
    const columns = [column('id', 23, 'public', 'items', 'id', 'dev'), column('?column?', 1043, '', '', '', '')]
    expect(decodeRowDescription(whole(int16(2), ...columns))).toEqual([
      {name: 'id', type: 23},
      {name: '?column?', type: 1043},
    ])
    expect(decodeRowDescription(whole(int16(3), ...columns))).toBeUndefined()
  })
})

describe('authentication requests', () => {
  it.each([
    ['ok', whole(int32(0)), {kind: 'ok'}],
    ['a password', whole(int32(3)), {kind: 'cleartext'}],
    ['MD5', whole(int32(5), Buffer.from('salt')), {kind: 'md5', salt: Buffer.from('salt')}],
    [
      'SASL',
      whole(int32(10), cstring('SCRAM-SHA-256-PLUS'), cstring('SCRAM-SHA-256'), Buffer.alloc(1)),
      {kind: 'sasl', mechanisms: ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256']},
    ],
    ['a challenge', whole(int32(11), Buffer.from('r=x')), {kind: 'sasl-continue', data: 'r=x'}],
    ['a signature', whole(int32(12), Buffer.from('v=x')), {kind: 'sasl-final', data: 'v=x'}],
    ['GSSAPI', whole(int32(7)), {kind: 'unknown', name: 'GSSAPI'}],
    ['what nobody knows', whole(int32(99)), {kind: 'unknown', name: 'authentication type 99'}],
  ])('for %s', (_, payload, request) => {
    expect(decodeAuthentication(payload)).toEqual(request)
  })

  it.each([
    ['an empty payload', whole()],
    ['a short salt', whole(int32(5), Buffer.from('abc'))],
    ['a long salt', whole(int32(5), Buffer.from('abcde'))],
    ['mechanisms without an end', whole(int32(10), cstring('SCRAM-SHA-256'))],
    ['bytes behind ok', whole(int32(0), Buffer.from('x'))],
  ])('but not %s', (_, payload) => {
    expect(decodeAuthentication(payload)).toBeUndefined()
  })
})
