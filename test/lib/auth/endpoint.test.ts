import {afterAll, afterEach, beforeAll, describe, expect, it, jest} from '@jest/globals'
import {X509Certificate} from 'node:crypto'
import {once} from 'node:events'
import {connect as connectTcp, createServer, type AddressInfo, type Server, type Socket} from 'node:net'
import {join} from 'node:path'
import {Readable} from 'node:stream'
import {setTimeout as sleep} from 'node:timers/promises'
import {connect, type TLSSocket} from 'node:tls'
import {ApiClient} from '../../../src/lib/api/client.js'
import {createHttpApp} from '../../../src/lib/auth/http-app.js'
import {publicRoute, streamOf, type Route} from '../../../src/lib/auth/route.js'
import {readJsonLines} from '../../../src/lib/cli/json-lines.js'
import {silentLogger, type Logger} from '../../../src/lib/core/log.js'
import {createAuthority, issueCertificate, type Authority} from '../../../src/lib/pki/issuing.js'
import {generateKeys} from '../../../src/lib/pki/keys.js'
import type {Credentials} from '../../../src/lib/pki/credentials.js'
import {peek} from '../../../src/lib/tunnel/peek.js'
import {reportedHealth, startTestAuth, testCluster, testPassword, type TestAuth} from '../../helpers/auth.js'
import {patience} from '../../helpers/patience.js'
import {inodeOf, onSync} from '../../helpers/syncs.js'

const hour = 3_600_000

let plane: TestAuth
let publicAuthority: Authority
const sockets: Socket[] = []
const servers: Server[] = []

beforeAll(async () => {
  publicAuthority = await createAuthority({cluster: 'public', type: 'web', now: Date.now()})
  plane = await startTestAuth({
    publicAddresses: [{host: 'postern.public.test', port: 443}],
    httpsKeypairs: [await publicPair('postern.public.test'), await publicPair('other.public.test')],
  })
})

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
  for (const server of servers.splice(0)) server.close()
})

afterAll(() => plane.stop())

async function publicPair(host: string): Promise<Credentials> {
  const keys = await generateKeys()
  const certificate = await issueCertificate({
    authority: publicAuthority,
    publicKey: keys.publicKey,
    commonName: host,
    purposes: ['server'],
    hosts: [host],
    notBefore: Date.now() - hour,
    notAfter: Date.now() + hour,
  })
  return {certificate, privateKey: keys.privateKey}
}

async function dial(servername: string, credentials?: Credentials): Promise<TLSSocket> {
  const socket = connect({
    ...plane.auth.address,
    servername,
    rejectUnauthorized: false,
    ...(credentials ? {cert: credentials.certificate, key: credentials.privateKey.reveal()} : {}),
  })
  sockets.push(socket)
  await once(socket, 'secureConnect')
  return socket
}

/** Resolves when the connection is closed; a reset closes it as well. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket
      .on('error', () => undefined)
      .once('close', () => {
        resolve()
      })
  })
}

/** The answer to a request as it stands there, read until the other end closes. */
async function ask(socket: Socket, text: string): Promise<string> {
  let answer = ''
  socket.setEncoding('utf8').on('data', (chunk: string) => (answer += chunk))
  socket.write(text)
  await closed(socket)
  return answer
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`
const post = (path: string, body: string, type = 'application/json'): string =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`

describe('the certificate', () => {
  const namesOf = async (servername: string): Promise<string | undefined> =>
    (await dial(servername)).getPeerX509Certificate()?.subjectAltName

  it('is the configured one for the name that was asked for', async () => {
    expect(await namesOf('postern.public.test')).toBe('DNS:postern.public.test')
    expect(await namesOf('other.public.test')).toBe('DNS:other.public.test')
  })

  it('is our own where no configured one fits, and the first configured one for what nobody has', async () => {
    expect(await namesOf('localhost')).toContain('IP Address:127.0.0.1')
    expect(await namesOf('unknown.test')).toBe('DNS:postern.public.test')
    expect(await namesOf('')).toBe('DNS:postern.public.test')
  })

  it('of the API is for its route alone, and no client', async () => {
    const certificate = (await dial(`auth.${testCluster}`)).getPeerX509Certificate()
    expect(certificate?.subjectAltName).toBe(`DNS:auth.${testCluster}`)
    expect(certificate?.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1'])
  })

  it('that cannot be used keeps the service from starting, with a sentence that says which', async () => {
    const [one, other] = [await publicPair('a.test'), await publicPair('a.test')]
    const mixed = {certificate: one.certificate, privateKey: other.privateKey}
    await expect(startTestAuth({httpsKeypairs: [one, mixed]})).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('Entry 2 of https_keypairs') as unknown,
    })
  })
})

describe('a request', () => {
  it('on the web route has no caller, whatever certificate its client would show', async () => {
    const {credentials} = await plane.addUser('walter', ['auditor'])
    const answer = await ask(await dial('postern.public.test', credentials), get('/v1/status'))
    expect(answer).toContain('HTTP/1.1 401')
    expect(answer).toContain('NOT_LOGGED_IN')
  })

  it('to no route is answered in JSON, and not before it is known who asks for others', async () => {
    expect(await ask(await dial('postern.public.test'), get('/v1/nothing'))).toMatch(/404[^]*"code":"NOT_FOUND"/)
    expect(await ask(await dial('postern.public.test'), get('/v1/resources/role'))).toMatch(/401[^]*NOT_LOGGED_IN/)
  })

  it.each([
    ['is not JSON', '{"user":', 'application/json'],
    ['is of another type', 'user=a', 'text/plain'],
    ['has a field too many', '{"token":"t","password":"p","admin":true}', 'application/json'],
    ['reaches for a prototype', '{"__proto__":{"admin":true},"token":"t","password":"p"}', 'application/json'],
    ['is larger than anything that belongs there', JSON.stringify({token: 'x'.repeat(100_000)}), 'application/json'],
  ])('whose body %s is refused', async (_what, body, type) => {
    const answer = await ask(await dial('postern.public.test'), post('/v1/webapi/invite/accept', body, type))
    expect(answer).toMatch(/400[^]*"code":"INVALID"/)
  })

  it('with endless headers is cut off', async () => {
    const answer = await ask(await dial('postern.public.test'), `GET / HTTP/1.1\r\nX: ${'x'.repeat(40_000)}`)
    // The rest of it, which nobody reads, may cost the answer.
    expect(answer).toMatch(/^(HTTP\/1\.1 431|$)/)
  })

  it('with a certificate for servers is refused', async () => {
    const agent = await plane.joinHost('Db')
    const database = {
      kind: 'db',
      version: 'v3',
      metadata: {name: 'direct'},
      spec: {protocol: 'postgres', uri: 'db:5432'},
    } as const
    await agent.client.heartbeat({hostname: 'h', version: '0.1.0', databases: [{database, health: reportedHealth()}]})
    const keys = await generateKeys()
    const {certificate} = await agent.client.directServerCertificate({publicKey: keys.publicKey, database: 'direct'})
    const client = plane.clientOf({certificate, privateKey: keys.privateKey})
    await expect(client.status()).rejects.toMatchObject({code: 'ACCESS_DENIED'})
  })
})

describe('a connection', () => {
  it.each([
    ['speaks HTTP without TLS', 'GET / HTTP/1.1\r\n\r\n'],
    ['speaks PostgreSQL', Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])],
    ['begins like TLS and goes on otherwise', Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0])],
  ])('that %s is closed without an answer', async (_what, bytes) => {
    const socket = connectTcp(plane.auth.address)
    sockets.push(socket)
    let answer = 0
    socket.on('data', (chunk) => (answer += chunk.length))
    socket.write(bytes)
    await closed(socket)
    expect(answer).toBe(0)
  })

  it('of a proxy in the same process is taken with the bytes that the proxy has read', async () => {
    const user = await plane.addUser('petra', ['auditor'])
    const proxy = createServer((socket) => {
      void peek(socket).then((peeked) => {
        if (peeked.kind === 'tls') plane.auth.accept(socket, peeked.head)
        else socket.destroy()
      })
    })
    servers.push(proxy)
    proxy.listen(0, '127.0.0.1')
    await once(proxy, 'listening')
    const {port} = proxy.address() as AddressInfo
    const {hostAuthorities} = user.login
    const endpoint = {host: '127.0.0.1', port, serverName: `auth.${testCluster}`, authorities: hostAuthorities}
    const client = new ApiClient({...endpoint, credentials: () => user.credentials}, patience)
    const stranger = new ApiClient(endpoint, patience)
    try {
      expect((await client.status()).identity.name).toBe('petra')
      const keys = await generateKeys()
      await stranger.login({user: 'petra', password: testPassword, publicKey: keys.publicKey})
      const {events} = await plane.admin.events({event: 'user.login', user: 'petra'})
      expect(events.at(-1)).toMatchObject({
        success: true,
        'addr.remote': expect.stringMatching(/^127\.0\.0\.1:\d+$/) as unknown,
      })
    } finally {
      await client.close()
      await stranger.close()
    }
  })
})

describe('the table of routes', () => {
  const start = (routes: readonly Route[]): ReturnType<typeof createHttpApp> =>
    createHttpApp({
      routes,
      verifier: {verify: () => Promise.reject(new Error('not asked'))},
      client: () => ({source: '', address: undefined}),
      logger: silentLogger,
      counters: {requests: 0, refused: 0},
    })

  it('does not start with a route that does not say who may call it', async () => {
    const undeclared = {...publicRoute('GET', '/open', {}, () => 'hello'), access: undefined} as unknown as Route
    await expect(start([undeclared])).rejects.toMatchObject({
      code: 'INTERNAL',
      message: 'The route GET /open does not say who may call it.',
    })
  })
})

describe('an answer of many lines', () => {
  const read = async (
    items: AsyncGenerator,
    hear: (chunk: string) => unknown = () => undefined,
  ): Promise<{text: string; values: unknown[]}> => {
    const {body} = await streamOf(items, 10)
    const chunks: Buffer[] = []
    for await (const chunk of body as AsyncIterable<string>) {
      hear(chunk)
      chunks.push(Buffer.from(chunk))
    }
    const values: unknown[] = []
    for await (const value of readJsonLines(Readable.from(chunks))) values.push(value)
    return {text: Buffer.concat(chunks).toString(), values}
  }

  it('begins and goes on while its lines take long, so that nobody gives it up', async () => {
    let heard = ''
    const until = async (seen: RegExp): Promise<void> => {
      while (!seen.test(heard)) await sleep(1)
    }
    async function* slow(): AsyncGenerator {
      await until(/^\n/)
      yield {line: 1}
      yield {line: 2}
      await until(/"line":2}\n\n/)
      yield {line: 3}
    }
    const {text, values} = await read(slow(), (chunk) => (heard += chunk))
    expect(text).toMatch(/^\n+{"line":1}\n{"line":2}\n\n+{"line":3}\n$/)
    expect(values).toEqual([{line: 1}, {line: 2}, {line: 3}])
  })

  it('is an error when that comes first, breaks off when it comes later, and ends what nobody reads', async () => {
    const ends: unknown[] = []
    async function* failing(before: readonly number[]): AsyncGenerator {
      try {
        await Promise.resolve()
        yield* before
        throw new Error('no more')
      } finally {
        ends.push(before)
      }
    }
    await expect(streamOf(failing([]))).rejects.toThrow('no more')
    await expect(read(failing([1]))).rejects.toThrow('no more')
    const {body} = await streamOf(failing([1, 2, 3]))
    for await (const chunk of body as AsyncIterable<string>) {
      expect(chunk).toBe('1\n')
      break
    }
    while (ends.length < 3) await sleep(1)
    expect(ends).toEqual([[], [1], [1, 2, 3]])
  })
})

it('a disk that fails is for the log of the control plane, and no place on its host for strangers', async () => {
  const reasons: unknown[] = []
  const logger: Logger = {
    ...silentLogger,
    with: () => logger,
    error: (_message, fields) => reasons.push(fields?.reason),
  }
  const failing = await startTestAuth({logger})
  const journal = await inodeOf(join(failing.options.dataDir, 'backend.sqlite-wal'))
  let failures = 0
  await onSync((inode) => {
    if (inode === journal && failures++ === 0) throw new Error('i/o error')
  })
  const stranger = failing.clientOf()
  try {
    const logIn = async (): Promise<unknown> => {
      const {publicKey} = await generateKeys()
      return stranger.login({user: 'nobody', password: testPassword, publicKey})
    }
    const answer = {code: 'INTERNAL', message: 'The control plane failed to answer; its log says why.'}
    await expect(logIn()).rejects.toMatchObject(answer)
    // Also when the disk says no more that it failed.
    await expect(logIn()).rejects.toMatchObject(answer)
    const reason = /^The storage \/.+ cannot be synced to the disk: i\/o error\. It takes no changes until/
    expect(reasons).toEqual([expect.stringMatching(reason), expect.stringMatching(reason)])
  } finally {
    jest.restoreAllMocks()
    await stranger.close()
    await failing.stop()
  }
})

it('the first contact pins the host authority that the service signs with', async () => {
  const {authorities} = await plane.clientOf().hostAuthorities()
  const [pem = ''] = authorities
  const own = (await dial(`auth.${testCluster}`)).getPeerX509Certificate()
  expect(own?.verify(new X509Certificate(pem).publicKey)).toBe(true)
  expect(plane.auth.caPins()).toEqual([expect.stringMatching(/^sha256:[0-9a-f]{64}$/)])
})
