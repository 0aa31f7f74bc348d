import {once} from 'node:events'
import type {ServerResponse} from 'node:http'
import net from 'node:net'
import type {TLSSocket} from 'node:tls'
import {afterEach, describe, expect, it} from '@jest/globals'
import type {PosternError} from '../../../src/lib/core/errors.js'
import {Transport, type Endpoint, type TransportOptions} from '../../../src/lib/api/transport.js'
import type {Credentials} from '../../../src/lib/pki/credentials.js'
import type {Identity} from '../../../src/lib/pki/identity.js'
import {verifySocket} from '../../../src/lib/pki/peer.js'
import {hour, issue, newAuthority, userIdentity} from '../pki/issued.js'
import {closePlanes, json, listen, serverName, startPlane, text, type Handler, type PlaneOptions} from './planes.js'

const [authority, stranger] = await Promise.all([newAuthority(), newAuthority()])
const transports: Transport[] = []
afterEach(async () => {
  for (const transport of transports.splice(0)) await transport.close()
  closePlanes()
})

function open(endpoint: Endpoint, options?: TransportOptions): Transport {
  const transport = new Transport(endpoint, options)
  transports.push(transport)
  return transport
}

async function failure(answer: Promise<unknown>): Promise<PosternError> {
  return answer.then(
    () => {
      throw new Error('it did not fail')
    },
    (error: unknown) => error as PosternError,
  )
}

const askWith = async (options: Partial<PlaneOptions>, endpoint: Partial<Endpoint> = {}): Promise<unknown> => {
  const plane = await startPlane({authority, ...options})
  return open({...plane.endpoint, ...endpoint}).request('GET', '/')
}

const answering = (answer: Handler): Promise<unknown> => askWith({answer})

/** A server that is no TLS server, or not for long. */
async function rawEndpoint(serve: (socket: net.Socket) => void): Promise<Endpoint> {
  const sockets: net.Socket[] = []
  const server = net.createServer((socket) => {
    sockets.push(socket.on('error', () => undefined))
    serve(socket)
  })
  server.on('close', () => {
    for (const socket of sockets) socket.destroy()
  })
  return {host: '127.0.0.1', port: await listen(server), serverName, authorities: [authority.certificate]}
}

describe('a control plane that is not to be trusted', () => {
  const expired = {notBefore: Date.now() - 2 * hour, notAfter: Date.now() - hour}
  it.each<[string, Partial<PlaneOptions>, Partial<Endpoint>]>([
    ['another authority', {authority: stranger}, {authorities: [authority.certificate]}],
    ['no authority at all', {}, {authorities: []}],
    ['another name', {certificate: {hosts: ['auth.example.org']}}, {}],
    ['its name only as a common name', {certificate: {hosts: [], commonName: serverName}}, {}],
    ['the name of an agent', {certificate: {hosts: ['0f0e7c1f.agent.example.com']}}, {}],
    ['a certificate for clients only', {certificate: {purposes: ['client']}}, {}],
    ['an expired certificate', {certificate: expired}, {}],
    ['a certificate of the future', {certificate: {notBefore: Date.now() + hour}}, {}],
  ])('has %s', async (_, plane, endpoint) => {
    expect(await failure(askWith(plane, endpoint))).toMatchObject({code: 'UNTRUSTED', exitCode: 7})
  })

  it('is asked all the same when nothing is to be verified', async () => {
    expect(await askWith({authority: stranger}, {authorities: 'unverified'})).toEqual({})
  })

  it('is known by an address only if the certificate names it', async () => {
    const byAddress = async (hosts: string[]): Promise<unknown> => {
      const {port} = await startPlane({authority, certificate: {hosts}})
      return open({host: '127.0.0.1', port, authorities: [authority.certificate]}).request('GET', '/')
    }
    expect(await byAddress(['127.0.0.1'])).toEqual({})
    expect(await failure(byAddress([serverName, '127.0.0.2']))).toMatchObject({code: 'UNTRUSTED'})
  })
})

describe('a control plane that cannot be reached', () => {
  it.each<[string, RegExp, (socket: net.Socket) => void]>([
    ['hangs up', /disconnected/, (socket) => socket.end()],
    ['resets', /ECONNRESET|disconnected/, (socket) => socket.resetAndDestroy()],
    ['speaks no TLS', /./, (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ])('%s', async (_, reason, serve) => {
    const patient = {connectTimeoutMilliseconds: 120_000}
    const error = await failure(open(await rawEndpoint(serve), patient).request('GET', '/'))
    expect(error).toMatchObject({code: 'UNREACHABLE', exitCode: 7, message: expect.stringMatching(reason)})
    expect(error.message).toContain('127.0.0.1')
  })

  it('stays silent', async () => {
    const endpoint = await rawEndpoint(() => undefined)
    const error = await failure(open(endpoint, {connectTimeoutMilliseconds: 50}).request('GET', '/'))
    expect(error).toMatchObject({
      code: 'UNREACHABLE',
      exitCode: 7,
      message: expect.stringMatching(/127\.0\.0\.1.* did not answer within 50 ms/),
    })
  })

  it('is not there', async () => {
    const endpoint = {host: '127.0.0.1', port: 1, serverName, authorities: [authority.certificate]}
    expect(await failure(open(endpoint).request('GET', '/'))).toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringContaining('ECONNREFUSED'),
    })
  })

  it.each([
    ['the head', (() => undefined) satisfies Handler],
    ['the body', ((_request, response) => response.writeHead(200).write('{')) satisfies Handler],
  ])('keeps %s of its answer to itself', async (_, answer) => {
    const {endpoint} = await startPlane({authority, answer})
    const request = open(endpoint, {requestTimeoutMilliseconds: 50}).request('GET', '/')
    expect(await failure(request)).toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringContaining('did not answer in time'),
    })
  })

  it('breaks off in the middle of its answer', async () => {
    const answer: Handler = (request, response) => {
      response.writeHead(200, {'content-length': '100'}).write('{', () => request.socket.destroy())
    }
    expect(await failure(answering(answer))).toMatchObject({code: 'UNREACHABLE'})
  })

  it('speaks no newer TLS than 1.2', async () => {
    const old = askWith({tls: {maxVersion: 'TLSv1.2'}})
    expect(await failure(old)).toMatchObject({code: 'UNREACHABLE', message: expect.stringContaining('TLS 1.3')})
  })

  it('wants another certificate than ours: that is not our distrust', async () => {
    const demanding = askWith({tls: {ca: authority.certificate, rejectUnauthorized: true}})
    expect(await failure(demanding)).toMatchObject({code: 'UNREACHABLE'})
  })

  it('has a name that is none', async () => {
    const endpoint = {host: 'not a name', port: 1, authorities: []}
    expect(await failure(open(endpoint).request('GET', '/'))).toMatchObject({code: 'UNREACHABLE'})
  })
})

describe('an answer', () => {
  it.each<[string, Handler, unknown]>([
    ['JSON', json(200, {name: 'é🙂'}), {name: 'é🙂'}],
    ['nothing', text(204, ''), undefined],
  ])('of %s is given as it is', async (_, answer, value) => {
    expect(await answering(answer)).toEqual(value)
  })

  it('of something else is told with a hint at the address', async () => {
    expect(await failure(answering(text(200, '<html>')))).toMatchObject({
      code: 'FAILED',
      hints: [expect.stringContaining('127.0.0.1')],
    })
  })

  it.each([
    ['NOT_FOUND', 404, 5],
    ['ACCESS_DENIED', 403, 4],
    ['NOT_LOGGED_IN', 401, 3],
    ['ALREADY_EXISTS', 409, 6],
    ['CONFLICT', 412, 1],
    ['INVALID', 400, 1],
    // The code counts, not the status.
    ['EXPIRED', 500, 3],
  ])('with the error %s (%i) exits with %i', async (code, status, exitCode) => {
    const error = await failure(answering(json(status, {error: {code, message: 'No.', hints: ['Try.']}})))
    expect(error).toMatchObject({code, exitCode, message: 'No.', hints: ['Try.']})
  })

  it.each<[string, Handler]>([
    ['HTML', text(502, '<html>Bad Gateway</html>')],
    ['nothing', text(500, '')],
    ['null', json(500, null)],
    ['a code that is none', json(500, {error: {code: 'constructor', message: 'x'}})],
    ['no message', json(500, {error: {code: 'NOT_FOUND'}})],
    ['a message that is no text', json(500, {error: {code: 'NOT_FOUND', message: {}}})],
  ])('of an error with %s is told by its status', async (_, answer) => {
    expect(await failure(answering(answer))).toMatchObject({code: 'FAILED', message: expect.stringMatching(/50[02]/)})
  })

  it.each<[unknown, string[]]>([
    [undefined, []],
    ['text', []],
    [7, []],
    [
      [7, 'a\u001B[2Jb'],
      ['7', 'a\\u{1b}[2Jb'],
    ],
  ])('with the hints %j gives %j', async (hints, shown) => {
    const error = await failure(answering(json(400, {error: {code: 'INVALID', message: 'a\nb', hints}})))
    expect(error).toMatchObject({hints: shown, message: 'a\\u{a}b'})
  })

  it('without end is cut off', async () => {
    const mebibyte = Buffer.alloc(1024 * 1024)
    const answer: Handler = (_request, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write(mebibyte));
      }
      response.on('drain', more)
      more()
    }
    expect(await failure(answering(answer))).toMatchObject({
      code: 'FAILED',
      message: expect.stringContaining('endless'),
    })
  })
})

describe('a connection', () => {
  it('names its route, and sends the body as JSON', async () => {
    const bodies: string[] = []
    const plane = await startPlane({
      authority,
      answer: (request, response) => {
        request
          .setEncoding('utf8')
          .on('data', (chunk: string) => bodies.push(`${request.headers['content-type']} ${chunk}`))
        request.on('end', () => response.end())
      },
    })
    await open(plane.endpoint).request('POST', '/', {a: 1})
    expect(bodies).toEqual(['application/json {"a":1}'])
    const [socket] = plane.sockets
    expect(socket).toMatchObject({servername: serverName, alpnProtocol: 'http/1.1'})
    expect(socket?.getProtocol()).toBe('TLSv1.3')
  })

  it('is used again, and a new one shows the certificate of the day', async () => {
    const show = (user: string): Promise<Credentials> => issue(authority, {identity: userIdentity({user})})
    const issued = [await show('alice'), await show('bob')] as const
    const plane = await startPlane({authority})
    const seen: Identity[] = []
    plane.server.on('secureConnection', (socket: TLSSocket) => {
      const rules = {authorities: [authority.certificate], purpose: 'client', now: Date.now()} as const
      seen.push(verifySocket(socket, rules).identity)
    })
    const transport = open({...plane.endpoint, credentials: () => issued[plane.sockets.length] ?? issued[0]})
    await transport.request('GET', '/')
    await transport.request('GET', '/')
    expect(seen).toMatchObject([{user: 'alice'}])
    for (const socket of plane.sockets) socket.destroy()
    // Until the client has noticed.
    while ((await transport.request('GET', '/').catch(() => undefined)) === undefined);
    expect(seen).toMatchObject([{user: 'alice'}, {user: 'bob'}])
  })

  it('that is being made is not given up for the time in which this process is held up', async () => {
    const plane = await startPlane({authority})
    plane.server.on('connection', () => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400)
    })
    const ask = (): Promise<unknown> => open(plane.endpoint, {connectTimeoutMilliseconds: 300}).request('GET', '/')
    // On a slow machine it may take as long without being held up.
    let answer: unknown
    for (let tries = 0; tries < 100 && answer === undefined; tries++) answer = await ask().catch(() => undefined)
    expect(answer).toEqual({})
  })

  it('that is still being made ends with the transport', async () => {
    let ended: Promise<unknown> | undefined
    const endpoint = await rawEndpoint((socket) => {
      ended = once(socket.resume(), 'close')
    })
    const transport = open(endpoint)
    const request = failure(transport.request('GET', '/'))
    while (ended === undefined) await new Promise((resolve) => setImmediate(resolve))
    await transport.close()
    expect(await request).toMatchObject({code: 'UNREACHABLE'})
    await ended
  })
})

describe('a stream', () => {
  it('gives what arrives as it arrives, and ends with its signal', async () => {
    const answers: ServerResponse[] = []
    const plane = await startPlane({
      authority,
      answer: (_request, response) => {
        answers.push(response)
        response.writeHead(200).write('first')
      },
    })
    const stop = new AbortController()
    const limits = {requestTimeoutMilliseconds: 100}
    // Its beginning is a request's like any other, and may come too late.
    let body: Awaited<ReturnType<Transport['stream']>> | undefined
    while (!body)
      body = await open(plane.endpoint, limits)
        .stream('/', stop.signal)
        .catch(() => undefined)
    const chunks = body[Symbol.asyncIterator]()
    expect(String((await chunks.next()).value)).toBe('first')
    await new Promise((resolve) => setTimeout(resolve, 2 * limits.requestTimeoutMilliseconds))
    answers.at(-1)?.write('second')
    expect(String((await chunks.next()).value)).toBe('second')
    stop.abort()
    await expect(chunks.next()).rejects.toThrow()
  })

  it('that is refused fails like a request', async () => {
    const {endpoint} = await startPlane({
      authority,
      answer: json(403, {error: {code: 'ACCESS_DENIED', message: 'No.'}}),
    })
    const stream = open(endpoint).stream('/', new AbortController().signal)
    expect(await failure(stream)).toMatchObject({code: 'ACCESS_DENIED'})
  })

  it('that is given up before it began is told so', async () => {
    const {endpoint} = await startPlane({authority})
    const error = await failure(open(endpoint).stream('/', AbortSignal.abort()))
    expect(error).toMatchObject({code: 'UNREACHABLE', message: expect.stringContaining('given up')})
  })
})
