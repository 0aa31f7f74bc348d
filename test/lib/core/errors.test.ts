import net from 'node:net'
import tls from 'node:tls'
import {describe, expect, it} from '@jest/globals'
import {isErrorCode, messageOf, PosternError, toPosternError, type ErrorCode} from '../../../src/lib/core/errors.js'

describe('PosternError', () => {
  it.each<[ErrorCode, number, number]>([
    ['FAILED', 1, 500],
    ['INTERNAL', 1, 500],
    ['CONFLICT', 1, 412],
    ['TOO_MANY_REQUESTS', 1, 429],
    ['INVALID', 1, 400],
    ['USAGE', 2, 400],
    ['NOT_LOGGED_IN', 3, 401],
    ['EXPIRED', 3, 401],
    ['ACCESS_DENIED', 4, 403],
    ['NOT_FOUND', 5, 404],
    ['ALREADY_EXISTS', 6, 409],
    ['UNREACHABLE', 7, 502],
    ['UNTRUSTED', 7, 502],
  ])('%s exits with %i and answers with %i', (code, exitCode, httpStatus) => {
    expect(new PosternError(code, 'No.')).toMatchObject({code, exitCode, httpStatus, name: 'PosternError'})
  })

  it.each([
    [undefined, []],
    ['one', ['one']],
    [
      ['one', 'two'],
      ['one', 'two'],
    ],
  ])('takes the hint %j as %j', (hint, hints) => {
    expect(new PosternError('FAILED', 'No.', {hint}).hints).toEqual(hints)
  })
})

describe('isErrorCode', () => {
  it.each([
    ['UNTRUSTED', true],
    ['constructor', false],
    ['__proto__', false],
    ['', false],
    [7, false],
  ])('%j: %j', (value, known) => {
    expect(isErrorCode(value)).toBe(known)
  })
})

describe('toPosternError', () => {
  it('keeps what is one already', () => {
    const error = new PosternError('NOT_FOUND', 'No.')
    expect(toPosternError(error)).toBe(error)
  })

  it('knows a network that does not answer', async () => {
    const error = await new Promise((resolve) => net.connect(1, '127.0.0.1').once('error', resolve))
    expect(toPosternError(error)).toMatchObject({code: 'UNREACHABLE', cause: error})
  })

  it.each([[new TypeError('oops')], ['oops'], [{toString: (): string => 'oops'}]])(
    'takes %p for a defect of ours',
    (thrown) => {
      expect(toPosternError(thrown)).toMatchObject({code: 'INTERNAL', message: 'oops'})
    },
  )

  it.each([[null], [undefined]])('survives %p', (thrown) => {
    expect(toPosternError(thrown).message).toBe(String(thrown))
  })
})

describe('messageOf', () => {
  it('names each address of a connection that failed to all of them', () => {
    const failures = [new Error('connect ECONNREFUSED ::1:1'), new Error('connect ECONNREFUSED 127.0.0.1:1')]
    expect(messageOf(new AggregateError(failures))).toBe('connect ECONNREFUSED ::1:1; connect ECONNREFUSED 127.0.0.1:1')
  })

  it('is the reason of OpenSSL where a handshake fails, without its addresses and files', async () => {
    const server = net.createServer((socket) =>
      socket
        .on('error', () => undefined)
        .resume()
        .end('no TLS here'),
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const {port} = server.address() as net.AddressInfo
    const client = tls.connect({port, host: '127.0.0.1'})
    const error = await new Promise((resolve) => client.once('error', resolve))
    client.destroy()
    await new Promise((resolve) => server.close(resolve))
    expect(messageOf(error)).toMatch(/^[a-z ]+$/)
  })
})
