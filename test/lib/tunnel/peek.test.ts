import {once} from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import {afterEach, beforeAll, describe, expect, it} from '@jest/globals'
import {destroyFailedHandshakes, handOver} from '../../../src/lib/tunnel/hand-over.js'
import {peek, type Peeked, type PeekOptions} from '../../../src/lib/tunnel/peek.js'
import {cluster, issue, newAuthority} from './certificates.js'
import {captureClientHello, closeOpened, listen, readAll, socketPair, track} from './sockets.js'

afterEach(closeOpened)

const everything: PeekOptions = {postgres: true, preamble: true, timeoutMilliseconds: 120_000}
const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])
const gssRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30])
const nonce = '0123456789abcdef0123456789abcdef'

/** A client's socket, and what the other end learns from it. */
async function peeked(options: PeekOptions = everything): Promise<{client: net.Socket; result: Promise<Peeked>}> {
  const {near, far} = await socketPair()
  return {client: near, result: peek(far, options)}
}

async function peekAt(bytes: Buffer | string, options?: PeekOptions): Promise<Peeked> {
  const {client, result} = await peeked(options)
  client.write(bytes)
  return result
}

describe('peek', () => {
  let hello: Buffer

  beforeAll(async () => {
    hello = await captureClientHello({servername: 'orders.db.example.com'})
  })

  it('finds the server name and keeps every byte', async () => {
    const bytes = Buffer.concat([hello, Buffer.from([0x16, 3, 1, 0, 1, 1])])
    expect(await peekAt(bytes)).toEqual({
      kind: 'tls',
      serverName: 'orders.db.example.com',
      protocols: [],
      direct: true,
      head: bytes,
    })
  })

  it('leaves the socket paused with an error listener and no other', async () => {
    const {near, far} = await socketPair()
    const before = far.eventNames().map((name) => [name, far.listenerCount(name)])
    const result = peek(far, everything)
    near.write(hello)
    await result
    const added = far.listenerCount('error')
    near.write('more')
    expect(far.isPaused()).toBe(true)
    expect(added).toBe(2)
    for (const [name, count] of before) if (name !== 'error') expect(far.listenerCount(name as string)).toBe(count)
    for (const name of ['data', 'readable', 'close']) expect(far.listenerCount(name)).toBe(0)
  })

  it('answers N to GSSENCRequest and S to SSLRequest', async () => {
    const {client, result} = await peeked()
    client.write(gssRequest)
    expect(String((await once(client, 'data'))[0])).toBe('N')
    client.write(sslRequest)
    expect(String((await once(client, 'data'))[0])).toBe('S')
    client.write(hello)
    expect(await result).toMatchObject({kind: 'tls', serverName: 'orders.db.example.com', head: hello})
  })

  it('reads requests that come byte by byte', async () => {
    const {client, result} = await peeked()
    client.setNoDelay(true)
    for (const byte of gssRequest) {
      client.write(Buffer.from([byte]))
      await new Promise(setImmediate)
    }
    expect(String((await once(client, 'data'))[0])).toBe('N')
    client.write(hello)
    expect(await result).toMatchObject({kind: 'tls'})
  })

  it('takes GSSENCRequest and SSLRequest in one segment', async () => {
    const {client, result} = await peeked()
    client.write(Buffer.concat([gssRequest, sslRequest]))
    let answers = ''
    while (answers.length < 2) answers += String((await once(client, 'data'))[0])
    expect(answers).toBe('NS')
    client.write(hello)
    expect(await result).toMatchObject({kind: 'tls'})
  })

  it('refuses bytes that came with the SSLRequest, and does not answer it', async () => {
    const {client, result} = await peeked()
    const answer = readAll(client)
    client.end(Buffer.concat([sslRequest, hello]))
    expect(await result).toEqual({kind: 'rubbish', reason: `${hello.length} bytes came before TLS was agreed`})
    expect((await answer).length).toBe(0)
  })

  it.each([
    ['a second GSSENCRequest', [gssRequest, gssRequest]],
    ['a second SSLRequest', [sslRequest, sslRequest]],
    ['a GSSENCRequest after S', [sslRequest, gssRequest]],
    ['a preamble after S', [sslRequest, Buffer.from(`POSTERN/1 a.0.${nonce}\n`)]],
    ['a preamble after N', [gssRequest, Buffer.from(`POSTERN/1 a.0.${nonce}\n`)]],
  ])('refuses %s', async (_, [first, second]) => {
    const {client, result} = await peeked()
    client.write(first ?? '')
    await once(client, 'data')
    client.write(second ?? '')
    expect(await result).toMatchObject({kind: 'rubbish'})
  })

  it.each([
    ['HTTP', 'GET / HTTP/1.1\r\n\r\n'],
    ['a POST', 'POST / HTTP/1.1\r\n\r\n'],
    ['a startup message', Buffer.from('0000001100030000757365720061000000', 'hex')],
    ['a cancel request', Buffer.from([0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e, 0, 0, 0, 1, 0, 0, 0, 1])],
    ['a huge length', Buffer.from([0, 0xff, 0xff, 0xff, 0, 0, 0, 0])],
    ['an unknown request', Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x31])],
    ['a preamble with a short nonce', 'POSTERN/1 a.0.abc\n'],
    ['a preamble without end', `POSTERN/1 ${'a'.repeat(200)}`],
    ['a preamble of another version', `POSTERN/2 a.0.${nonce}\n`],
  ])('calls %s rubbish', async (_, bytes) => {
    expect(await peekAt(bytes)).toMatchObject({kind: 'rubbish'})
  })

  it('takes a preamble at every split, with what follows', async () => {
    const line = `POSTERN/1 0a1b-22.3.${nonce}\n`
    expect(await peekAt(`${line}rest`)).toEqual({
      kind: 'preamble',
      proxy: '0a1b-22',
      worker: '3',
      nonce,
      head: Buffer.from('rest'),
    })
    const {client, result} = await peeked()
    client.setNoDelay(true)
    for (const letter of line) {
      client.write(letter)
      await new Promise(setImmediate)
    }
    expect(await result).toMatchObject({kind: 'preamble', nonce, head: Buffer.alloc(0)})
  })

  it('takes neither requests nor preambles unless told to', async () => {
    for (const bytes of [sslRequest, gssRequest, `POSTERN/1 a.0.${nonce}\n`]) {
      expect(await peekAt(bytes, {timeoutMilliseconds: 120_000})).toMatchObject({kind: 'rubbish'})
    }
  })

  it('gives up on silence, and on a message that never ends', async () => {
    const brief = {...everything, timeoutMilliseconds: 30}
    const {result} = await peeked(brief)
    expect(await result).toEqual({kind: 'rubbish', reason: 'it stayed silent'})
    const {far} = await socketPair()
    // There before the time begins to run.
    far.unshift(hello.subarray(0, 20))
    expect(await peek(far, brief)).toEqual({
      kind: 'rubbish',
      reason: 'its first message never ended',
    })
  })

  it('looks at no more bytes than the limit', async () => {
    expect(await peekAt(hello, {...everything, limitBytes: 64})).toMatchObject({kind: 'rubbish'})
  })

  it('notices an end, a reset, and a socket that was gone before', async () => {
    const ended = await peeked()
    ended.client.end(hello.subarray(0, 10))
    expect(await ended.result).toEqual({kind: 'closed'})
    const reset = await peeked()
    reset.client.resetAndDestroy()
    expect(await reset.result).toEqual({kind: 'closed'})
    const {far} = await socketPair()
    far.destroy()
    expect(await peek(far)).toEqual({kind: 'closed'})
  })
})

describe('handOver', () => {
  async function tlsServer(options: tls.TlsOptions = {}): Promise<{server: tls.Server; ca: string}> {
    const authority = await newAuthority()
    const {certificate, privateKey} = await issue(authority, 'test', {hosts: [cluster]})
    const server = tls.createServer({cert: certificate, key: privateKey.reveal(), ...options}, (socket) => {
      track(socket).pipe(socket)
    })
    return {server, ca: authority.certificate}
  }

  /** Forwards to the address, the first flight cut in two at every possible place. */
  async function echoThrough(cut: number, server: tls.Server, ca: string): Promise<string> {
    const target = await listen((socket) => {
      void peek(socket, {timeoutMilliseconds: 120_000}).then((result) => {
        if (result.kind === 'tls') handOver(socket, result.head, server)
      })
    })
    const relay = await listen((socket) => {
      const next = track(net.connect(target))
      next.setNoDelay(true)
      next.pipe(socket)
      socket.once('data', (first: Buffer) => {
        next.write(first.subarray(0, cut))
        setImmediate(() => {
          next.write(first.subarray(cut))
          socket.pipe(next)
        })
      })
    })
    const client = track(tls.connect({...relay, ca, servername: cluster}))
    client.write('hello')
    const [answer] = (await once(client, 'data')) as [Buffer]
    client.destroy()
    return String(answer)
  }

  it('loses no byte wherever the ClientHello was split', async () => {
    const {server, ca} = await tlsServer()
    for (let cut = 1; cut < 300; cut += 23) expect(await echoThrough(cut, server, ca)).toBe('hello')
  })

  it('closes the raw socket when a handshake fails or stands still', async () => {
    const {server} = await tlsServer({handshakeTimeout: 50, minVersion: 'TLSv1.3'})
    const failures: string[] = []
    destroyFailedHandshakes(server, (error) => failures.push(error.message))
    const hello = await captureClientHello({servername: cluster})
    const {near, far} = await socketPair()
    const closed = once(far, 'close')
    near.resume()
    handOver(far, hello, server)
    await closed
    expect(far.destroyed).toBe(true)
    expect(failures).toHaveLength(1)

    const old = await socketPair()
    const oldClosed = once(old.far, 'close')
    handOver(old.far, await captureClientHello({servername: cluster, maxVersion: 'TLSv1.2'}), server)
    await oldClosed
    expect(failures).toHaveLength(2)
  })

  it('goes on with a handshake whose time was over while this process was held up', async () => {
    const {server, ca} = await tlsServer({handshakeTimeout: 50})
    const failures: string[] = []
    destroyFailedHandshakes(server, (error) => failures.push(error.message))
    const target = await listen((socket) => {
      void peek(socket, {timeoutMilliseconds: 120_000}).then((result) => {
        if (result.kind === 'tls') handOver(socket, result.head, server)
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
      })
    })
    const client = track(tls.connect({...target, ca, servername: cluster}))
    client.write('hello')
    expect(String((await once(client, 'data'))[0])).toBe('hello')
    expect(failures).toEqual([])
  })

  it('lets go of a socket that is already closed', async () => {
    const {server} = await tlsServer()
    const {far} = await socketPair()
    far.destroy()
    handOver(far, Buffer.alloc(1), server)
    expect(server.listenerCount('tlsClientError')).toBe(0)
  })
})
