import {afterEach, describe, expect, it} from '@jest/globals'
import {execFile} from 'node:child_process'
import {once} from 'node:events'
import {mkdtemp, rm} from 'node:fs/promises'
import {connect, type AddressInfo, type Socket} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {createServer, type Server, type TLSSocket} from 'node:tls'
import {Secret} from '../../../src/lib/core/secret.js'
import {startLocalProxy, type LocalProxy, type LocalProxyOptions} from '../../../src/lib/localproxy/local-proxy.js'
import type {Upstream, UpstreamSource} from '../../../src/lib/localproxy/upstream.js'
import {encodeCancel, encodeStartup, gssencRequest, sslRequest} from '../../../src/lib/pgwire/first-packet.js'
import {encodeMessage} from '../../../src/lib/pgwire/message.js'
import {frontend} from '../../../src/lib/pgwire/message-types.js'
import {decodeServerError, encodeErrorResponse} from '../../../src/lib/pgwire/server-error.js'
import {createAuthority, issueCertificate} from '../../../src/lib/pki/issuing.js'
import {generateKeys} from '../../../src/lib/pki/keys.js'
import {agentServerName} from '../../../src/lib/resources/route.js'
import {encodeGreeting, type Greeting} from '../../../src/lib/tunnel/greeting.js'

const cluster = 'test.example.com'
const startup = encodeStartup(
  0,
  new Map([
    ['user', 'alice'],
    ['database', 'shop'],
  ]),
)
const cleanups: (() => unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** Everything that arrives on a connection until `bytes` have come or it closed. */
async function receive(socket: Socket, bytes = Infinity): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of socket.iterator({destroyOnReturn: false})) {
    chunks.push(chunk as Buffer)
    size += (chunk as Buffer).length
    if (size >= bytes) break
  }
  return Buffer.concat(chunks)
}

function errorIn(bytes: Buffer): ReturnType<typeof decodeServerError> {
  expect(bytes[0]).toBe('E'.charCodeAt(0))
  const payload = bytes.subarray(5, 1 + bytes.readUInt32BE(1))
  return decodeServerError({payload, size: payload.length})
}

interface FakeAgent {
  readonly port: number
  readonly sessions: Buffer[]
  connections: number
}

interface Setup {
  readonly agent: (
    hostId: string,
    greeting: Greeting | 'silent',
    serve?: (socket: TLSSocket, first: Buffer) => void,
  ) => Promise<FakeAgent>
  readonly source: (agents: readonly {port: number; hostId: string}[], renew?: () => void) => Promise<UpstreamSource>
}

/** Real TLS servers that behave like agents behind the proxy's splice; each has a port of its own, chosen by the last agent tried. */
async function setup(): Promise<Setup> {
  const now = Date.now()
  const authority = await createAuthority({cluster, type: 'host', now})
  const certificate = async (hosts: string[], purpose: 'client' | 'server'): Promise<{cert: string; key: Secret}> => {
    const keys = await generateKeys()
    const cert = await issueCertificate({
      authority,
      publicKey: keys.publicKey,
      commonName: 'test',
      purposes: [purpose],
      hosts,
      notBefore: now - 60_000,
      notAfter: now + 3_600_000,
    })
    return {cert, key: keys.privateKey}
  }
  return {
    agent: async (hostId, greeting, serve = echo) => {
      const {cert, key} = await certificate([agentServerName(hostId, cluster)], 'server')
      const agent: FakeAgent & {port: number} = {port: 0, sessions: [], connections: 0}
      const server: Server = createServer(
        {
          cert,
          key: key.reveal(),
          minVersion: 'TLSv1.3',
          ALPNProtocols: ['postern/1'],
          requestCert: true,
          rejectUnauthorized: false,
        },
        (socket) => {
          agent.connections += 1
          socket.on('error', () => undefined)
          if (greeting === 'silent') return
          socket.write(encodeGreeting(greeting))
          if (!greeting.ok) socket.end()
          else {
            socket.once('data', (first: Buffer) => {
              agent.sessions.push(first)
              serve(socket, first)
            })
          }
        },
      )
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      cleanups.push(() => {
        server.close()
      })
      return Object.assign(agent, {port: (server.address() as AddressInfo).port})
    },
    source: async (agents, renew = () => undefined) => {
      const {cert, key} = await certificate([], 'client')
      const upstream: Upstream = {
        // One port for all agents of a test is enough: they are told apart by name.
        proxy: {host: '127.0.0.1', port: agents[0]?.port ?? 1},
        cluster,
        hostAuthorities: [authority.certificate],
        credentials: {certificate: cert, privateKey: key},
        agents: agents.map(({hostId}) => hostId),
      }
      return {
        current: () => Promise.resolve(upstream),
        refreshed: () => {
          renew()
          return Promise.resolve(upstream)
        },
      }
    },
  }
}

function echo(socket: TLSSocket, first: Buffer): void {
  socket.write(Buffer.concat([Buffer.from('R:'), first]))
  socket.pipe(socket)
}

async function open(
  options: Omit<LocalProxyOptions, 'listen'> & Partial<LocalProxyOptions>,
): Promise<{proxy: LocalProxy; dial: () => Socket}> {
  const proxy = await startLocalProxy({listen: {kind: 'loopback', port: 0}, ...options})
  cleanups.push(() => proxy.close())
  return {
    proxy,
    dial: () => {
      const socket = connect(proxy.port, '127.0.0.1')
      cleanups.push(() => {
        socket.destroy()
      })
      return socket
    },
  }
}

const hostA = '11111111-1111-4111-8111-111111111111'
const hostB = '22222222-2222-4222-8222-222222222222'

describe('a local client', () => {
  it('is told N to SSLRequest and GSSENCRequest, and then carried to the agent', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: true})
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}])})
    const client = dial()
    client.write(gssencRequest)
    expect((await receive(client, 1)).toString()).toBe('N')
    client.write(sslRequest)
    expect((await receive(client, 1)).toString()).toBe('N')
    client.write(startup)
    expect((await receive(client, startup.length + 2)).subarray(2)).toEqual(startup)
    client.write('more')
    expect((await receive(client, 4)).toString()).toBe('more')
  })

  it('reaches the agent also over a UNIX socket', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: true})
    const directory = await mkdtemp(join(tmpdir(), 'postern-test-'))
    cleanups.push(() => rm(directory, {recursive: true}))
    const path = join(directory, '.s.PGSQL.5432')
    await open({listen: {kind: 'unix', path}, source: await source([{port: fake.port, hostId: hostA}])})
    const client = connect(path)
    client.write(startup)
    expect((await receive(client, startup.length + 2)).length).toBe(startup.length + 2)
    client.destroy()
  })

  it('gets megabytes through unchanged', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: true})
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}])})
    const client = dial()
    client.write(startup)
    await receive(client, startup.length + 2)
    const large = Buffer.alloc(8 * 1024 * 1024, 'postern')
    client.write(large)
    expect((await receive(client, large.length)).equals(large)).toBe(true)
  })

  it('hears a denial as FATAL 28000, and no second try is made', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: false, code: 'denied', message: 'Access is locked.', hint: 'Ask.'})
    let renewed = 0
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}], () => (renewed += 1))})
    const client = dial()
    client.write(startup)
    expect(errorIn(await receive(client))).toMatchObject({
      severity: 'FATAL',
      code: '28000',
      message: 'Access is locked.',
      hint: 'Ask.',
    })
    expect({connections: fake.connections, renewed}).toEqual({connections: 1, renewed: 0})
  })

  it.each(['draining', 'stale', 'unreachable'] as const)(
    'is tried again with a fresh list after "%s"',
    async (code) => {
      const {agent, source} = await setup()
      const fake = await agent(hostA, {ok: false, code, message: 'Not now.'})
      let renewed = 0
      const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}], () => (renewed += 1))})
      const client = dial()
      client.write(startup)
      expect(errorIn(await receive(client))).toMatchObject({severity: 'FATAL', code: '08006', message: 'Not now.'})
      expect({connections: fake.connections, renewed}).toEqual({connections: 2, renewed: 1})
    },
  )

  it('is tried elsewhere when an agent cannot reach the database, and hears the reason when none can', async () => {
    const {agent, source} = await setup()
    const answer = encodeErrorResponse({severity: 'FATAL', code: '08001', message: 'db:5432 refused the connection.'})
    const fake = await agent(hostA, {ok: true}, (socket) => {
      socket.end(answer)
    })
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}])})
    const client = dial()
    client.write(startup)
    expect(errorIn(await receive(client)).message).toBe('db:5432 refused the connection.')
    expect(fake.connections).toBe(2)
  })

  it('gets any other error of the agent as it was sent', async () => {
    const {agent, source} = await setup()
    const answer = encodeErrorResponse({
      severity: 'FATAL',
      code: '42501',
      message: 'denied',
      detail: 'why',
      hint: 'how',
    })
    const fake = await agent(hostA, {ok: true}, (socket) => {
      socket.end(answer)
    })
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}])})
    const client = dial()
    client.write(startup)
    expect(await receive(client)).toEqual(answer)
    expect(fake.connections).toBe(1)
  })

  it('is not carried to a server that has the certificate of another agent', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostB, {ok: true})
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}])})
    const client = dial()
    client.write(startup)
    expect(errorIn(await receive(client)).code).toBe('08006')
    expect(fake.sessions).toEqual([])
  })

  it('has its cancel request carried to the agent on a connection of its own', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: true}, (socket) => {
      socket.end()
    })
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}])})
    const cancel = encodeCancel({pid: 7, secret: Buffer.from([1, 2, 3, 4])})
    const client = dial()
    client.write(cancel)
    expect((await receive(client)).length).toBe(0)
    while (fake.sessions.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(fake.sessions[0]).toEqual(cancel)
  })

  it.each([
    ['rubbish', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['TLS', Buffer.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0])],
    ['two SSLRequests', Buffer.concat([sslRequest, sslRequest])],
  ])('that sends %s gets FATAL 08P01', async (_what, bytes) => {
    const {source} = await setup()
    const {dial} = await open({source: await source([{port: 1, hostId: hostA}])})
    const client = dial()
    client.write(bytes)
    const answer = await receive(client)
    expect(errorIn(answer.subarray(answer.indexOf('E'))).code).toBe('08P01')
  })

  it('needs the password where one is set', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: true})
    const {dial} = await open({
      source: await source([{port: fake.port, hostId: hostA}]),
      password: new Secret('opensesame'),
    })
    const attempt = async (password: string): Promise<Buffer> => {
      const client = dial()
      client.write(startup)
      expect((await receive(client, 9)).toString('hex')).toBe('520000000800000003')
      client.write(encodeMessage(frontend.password, Buffer.from(`${password}\0`)))
      return receive(client, startup.length + 2)
    }
    expect(errorIn(await attempt('wrong'))).toMatchObject({code: '28000'})
    expect(fake.connections).toBe(0)
    expect((await attempt('opensesame')).subarray(2)).toEqual(startup)
  })
})

describe('the loopback port', () => {
  it('is refused by name when it is taken', async () => {
    const {source} = await setup()
    const made = await source([])
    const {proxy} = await open({source: made})
    await expect(startLocalProxy({listen: {kind: 'loopback', port: proxy.port}, source: made})).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
      message: expect.stringContaining(String(proxy.port)) as string,
    })
  })

  // Only root can become somebody else, and only Linux tells who connects.
  const canBecomeNobody = process.platform === 'linux' && process.getuid?.() === 0
  const otherUser = canBecomeNobody ? {uid: 65_534, gid: 65_534} : {}

  it('serves only the user it belongs to', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: true})
    const {proxy} = await open({
      source: await source([{port: fake.port, hostId: hostA}]),
      // Without root we cannot connect as another user, so the tunnel is made to belong to one.
      onlyUid: canBecomeNobody ? process.getuid?.() : (process.getuid?.() ?? 0) + 1,
    })
    const script = `const s=require('net').connect(${proxy.port},'127.0.0.1');s.on('data',(d)=>process.stdout.write(d)).on('end',()=>process.exit())`
    const answer = await new Promise<string>((resolve, reject) => {
      execFile(process.execPath, ['-e', script], {cwd: '/', ...otherUser}, (error, stdout) => {
        if (error) reject(new Error(error.message))
        else resolve(stdout)
      })
    })
    expect(answer).toContain('28000')
    expect(fake.connections).toBe(0)
  })

  it('serves its own user', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: true})
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}]), onlyUid: process.getuid?.()})
    const client = dial()
    client.write(startup)
    expect((await receive(client, startup.length + 2)).length).toBe(startup.length + 2)
  })
})
