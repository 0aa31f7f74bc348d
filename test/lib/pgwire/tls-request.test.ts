import {once} from 'node:events'
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import {PosternError} from '../../../src/lib/core/errors.js'
import {sslRequest} from '../../../src/lib/pgwire/first-packet.js'
import {encodeErrorResponse} from '../../../src/lib/pgwire/server-error.js'
import {requestTls} from '../../../src/lib/pgwire/tls-request.js'
import {openSocketPair, playServer, type SocketPair} from './socket-pair.js'

let pair: SocketPair
beforeEach(async () => {
  pair = await openSocketPair()
})
afterEach(() => {
  pair.close()
})

async function failureOf(request: Promise<void>): Promise<PosternError> {
  const error = await request.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof PosternError)) throw new Error('did not fail')
  return error
}

describe('asking a server for TLS', () => {
  it('sends the request and takes one byte', async () => {
    const {heard} = playServer(pair.server, [Buffer.from('S')])
    await requestTls(pair.client, {timeout: 60_000})
    expect(heard().equals(sslRequest)).toBe(true)
    expect(pair.client.destroyed).toBe(false)
    expect(pair.client.readableLength).toBe(0)
  })

  it('leaves what comes later to the TLS handshake', async () => {
    playServer(pair.server, [Buffer.from('S')])
    await requestTls(pair.client, {timeout: 60_000})
    pair.server.write('ServerHello')
    const [chunk] = (await once(pair.client, 'data')) as [Buffer]
    expect(chunk.toString()).toBe('ServerHello')
  })

  it('ends with unencrypted bytes behind the agreement, as somebody may have put them there', async () => {
    playServer(pair.server, [Buffer.from('SR\0\0\0\x08\0\0\0\0')])
    const error = await failureOf(requestTls(pair.client, {timeout: 60_000}))
    expect(error.code).toBe('UNTRUSTED')
    expect(error.message).toContain('possible man in the middle')
    expect(pair.client.destroyed).toBe(true)
  })

  it('ends with a server that has no TLS', async () => {
    const {heard} = playServer(pair.server, [Buffer.from('N')])
    const error = await failureOf(requestTls(pair.client, {timeout: 60_000}))
    expect(error.message).toContain('does not offer TLS')
    expect(pair.client.destroyed).toBe(true)
    expect(heard().equals(sslRequest)).toBe(true)
  })

  it('does not repeat what an error says in clear', async () => {
    const lure = {severity: 'FATAL', code: '28000', message: 'send your password to evil.example'}
    playServer(pair.server, [encodeErrorResponse(lure)])
    const error = await failureOf(requestTls(pair.client, {timeout: 60_000}))
    expect(error.message).not.toContain('evil')
    expect(error.hints.join()).not.toContain('evil')
    expect(pair.client.destroyed).toBe(true)
  })

  it.each([
    ['something that is no PostgreSQL', Buffer.from('HTTP/1.1 400 Bad Request'), 'UNREACHABLE'],
    ['a server that hangs up', 'end' as const, 'UNREACHABLE'],
  ])('ends with %s', async (_, step, code) => {
    playServer(pair.server, [step])
    expect((await failureOf(requestTls(pair.client, {timeout: 60_000}))).code).toBe(code)
    expect(pair.client.destroyed).toBe(true)
  })

  it('ends with a server that stays silent, at the deadline', async () => {
    playServer(pair.server, ['silence'])
    const error = await failureOf(requestTls(pair.client, {timeout: 50}))
    expect(error.message).toContain('in time')
    expect(pair.client.destroyed).toBe(true)
  })
})
