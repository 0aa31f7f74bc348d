/** What a stranger may send to the proxy's port, with a real agent and a real PostgreSQL behind it. */
import {once} from 'node:events'
import {connect, type Socket} from 'node:net'
import {connect as tlsConnect, type ConnectionOptions, type TLSSocket} from 'node:tls'
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, it} from '@jest/globals'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import {gssencRequest, sslRequest} from '../../../src/lib/pgwire/first-packet.js'
import type {Credentials} from '../../../src/lib/pki/credentials.js'
import {agentServerName, databaseServerName} from '../../../src/lib/resources/route.js'
import {greetingProtocol} from '../../../src/lib/tunnel/greeting.js'
import {cluster, Plane} from '../../lib/agent/plane.js'
import {
  database,
  MessageReader,
  openSession,
  startPostgresFor,
  startRig,
  startup,
  until,
  type Rig,
} from '../../lib/agent/rig.js'
import {recordingLogger, Rig as ProxyRig, type LogLine} from '../../lib/proxy/rig.js'
import {captureClientHello, closeOpened, readAll, track} from '../../lib/tunnel/sockets.js'
import {extensionTypes, padded, serverNameBody, withExtension} from './hello.js'

let plane: Plane
let postgres: PostgresServer
let rig: Rig
let lines: LogLine[]
/** What the Auth Service was given. */
const handedOver: Buffer[] = []

beforeAll(async () => {
  plane = await Plane.create()
  postgres = await startPostgresFor(plane, 'CREATE ROLE alice LOGIN')
  const log = recordingLogger()
  lines = log.lines
  rig = await startRig({
    plane,
    uri: `127.0.0.1:${postgres.port}`,
    proxy: {
      logger: log.logger,
      upstream: {
        kind: 'local',
        accept: (socket, head) => {
          handedOver.push(head)
          socket.end('auth')
        },
      },
    },
  })
  await until(async () => {
    const socket = await rig.dialDirect(await rig.guest()).catch(() => undefined)
    socket?.destroy()
    return socket !== undefined
  }, 'the direct route has its certificate')
})

/** Whatever came, the next one is served. */
afterAll(async () => {
  const {socket, opening} = await openSession(rig, await rig.guest())
  expect(opening.at(-1)?.type).toBe('Z')
  socket.destroy()
  await rig.stop()
  await postgres.stop()
})

beforeEach(() => {
  lines.length = 0
  handedOver.length = 0
})

afterEach(closeOpened)

function raw(): Socket {
  return track(connect(rig.proxy.address)).setNoDelay(true)
}

/** Sends bytes and gives all that comes back before the proxy closes. */
async function answerTo(...bytes: readonly (Buffer | string)[]): Promise<string> {
  const socket = raw()
  const answer = readAll(socket)
  for (const piece of bytes) {
    socket.write(piece)
    await new Promise(setImmediate)
  }
  return (await answer).toString('latin1')
}

/** Why the proxy refused what it refused; each refusal is one line. */
function refusals(): unknown[] {
  return lines.filter(({message}) => message === 'Connection refused.').map(({reason}) => reason)
}

async function next(socket: Socket): Promise<string> {
  return String(((await once(socket, 'data')) as [Buffer])[0])
}

/** TLS on a connection that PostgreSQL's requests were made on. */
async function upgrade(socket: Socket, credentials: Credentials, more: ConnectionOptions = {}): Promise<TLSSocket> {
  const secured = track(
    tlsConnect({
      socket,
      servername: databaseServerName(database, cluster),
      ca: [plane.host.certificate],
      cert: credentials.certificate,
      key: credentials.privateKey.reveal(),
      ...more,
    }),
  )
  await once(secured, 'secureConnect')
  return secured
}

async function isRefused(connection: Promise<TLSSocket>): Promise<boolean> {
  const socket = await connection.catch(() => undefined)
  socket?.destroy()
  return socket === undefined
}

async function expectSession(secured: TLSSocket): Promise<void> {
  const reader = new MessageReader(secured)
  secured.write(startup())
  expect((await reader.until('Z')).at(-1)?.type).toBe('Z')
}

const agentHello = (): Promise<Buffer> =>
  captureClientHello({
    servername: agentServerName(rig.agent.hostId, cluster),
    ALPNProtocols: [greetingProtocol],
    minVersion: 'TLSv1.3',
  })
/** A record that carries a handshake message, of TLS 1.2 by its header: a ServerHello. */
const serverHello = Buffer.from([0x16, 3, 3])

describe('PostgreSQL’s requests in clear', () => {
  it('A01: bytes in the segment of the SSLRequest end the connection, unanswered, unexecuted and counted', async () => {
    for (const smuggled of [startup(), Buffer.from('Q\0\0\0\x0dselect 1\0', 'latin1'), await agentHello()]) {
      lines.length = 0
      const sessions = rig.proxy.statistics().sessionsOpened
      expect(await answerTo(Buffer.concat([sslRequest, smuggled]))).toBe('')
      expect(refusals()).toEqual([`${smuggled.length} bytes came before TLS was agreed`])
      expect(rig.proxy.statistics().sessionsOpened).toBe(sessions)
    }
    expect(handedOver).toEqual([])
  })

  it('A04: GSSENCRequest is answered N, and the same socket goes on to SSLRequest, TLS and a session', async () => {
    const socket = raw()
    socket.write(gssencRequest)
    expect(await next(socket)).toBe('N')
    socket.write(sslRequest)
    expect(await next(socket)).toBe('S')
    await expectSession(await upgrade(socket, await rig.guest(), {ALPNProtocols: ['postgresql']}))
    expect(refusals()).toEqual([])
  })

  it.each([
    ['GSSENCRequest twice', [gssencRequest, gssencRequest], 'N'],
    ['SSLRequest twice', [sslRequest, sslRequest], 'S'],
    ['GSSENCRequest after SSLRequest', [sslRequest, gssencRequest], 'S'],
    ['SSLRequest twice around GSSENCRequest', [gssencRequest, sslRequest, sslRequest], 'NS'],
  ])('A05: %s gets one answer each and ends the connection', async (_, requests, answers) => {
    const socket = raw()
    const all = readAll(socket)
    for (const [index, request] of requests.entries()) {
      socket.write(request)
      if (index < answers.length) await until(() => socket.bytesRead > index, 'the answer came')
    }
    expect(String(await all)).toBe(answers)
    expect(refusals()).toHaveLength(1)
  })
})

describe('TLS at once', () => {
  it('A06: with ALPN "postgresql" it is a session', async () => {
    await expectSession(await rig.dialDirect(await rig.guest()))
  })

  it('A06: without ALPN it is refused, as PostgreSQL does; after an SSLRequest it needs none', async () => {
    expect(await isRefused(rig.dialDirect(await rig.guest(), {ALPNProtocols: []}))).toBe(true)
    expect(refusals()).toEqual(['direct TLS came without the protocol "postgresql"'])
    const socket = raw()
    socket.write(sslRequest)
    expect(await next(socket)).toBe('S')
    await expectSession(await upgrade(socket, await rig.guest()))
  })

  it('A06: with ALPN "h2" it is refused, also after an SSLRequest', async () => {
    expect(await isRefused(rig.dialDirect(await rig.guest(), {ALPNProtocols: ['h2']}))).toBe(true)
    expect(refusals()).toEqual(['direct TLS came without the protocol "postgresql"'])
    const socket = raw()
    socket.write(sslRequest)
    expect(await next(socket)).toBe('S')
    expect(await isRefused(upgrade(socket, await rig.guest(), {ALPNProtocols: ['h2']}))).toBe(true)
  })
})

describe('a first packet that cannot be', () => {
  const length = (value: number): Buffer => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(value)
    return bytes
  }
  const cases: [string, Buffer][] = [
    ['length 0', Buffer.concat([length(0), Buffer.alloc(4)])],
    ['length 3', Buffer.concat([length(3), Buffer.alloc(4)])],
    ['length 8 with junk', Buffer.concat([length(8), Buffer.from('junk')])],
    ['length 10,001', Buffer.concat([length(10_001), Buffer.from([0, 3, 0, 0])])],
    ['length 2^31', Buffer.concat([length(2 ** 31), Buffer.from([0, 3, 0, 0])])],
    ['length 2^32-1', Buffer.concat([length(2 ** 32 - 1), Buffer.from([0, 3, 0, 0])])],
    ['HTTP', Buffer.from('GET /secret-marker HTTP/1.1\r\n\r\n')],
  ]

  it.each(cases)('A08: %s is closed at once, with one line and none of its bytes', async (_, bytes) => {
    const before = performance.now()
    expect(await answerTo(bytes)).toBe('')
    // Long before the deadline for those who stay silent, which is two minutes here.
    expect(performance.now() - before).toBeLessThan(60_000)
    // Sessions of the tests before end late, and say so to those who debug.
    expect(lines.filter(({level}) => level !== 'debug')).toHaveLength(1)
    expect(refusals()).toHaveLength(1)
    expect(JSON.stringify(lines)).not.toMatch(/secret-marker|junk/)
  })

  it('A08: no room is made for what is only announced', async () => {
    const announced = [
      Buffer.from([0x16, 3, 1, 0xff, 0xff, 1, 0xff, 0xff, 0xff]),
      Buffer.from([0x16, 3, 1, 0x3f, 0xf0, 1, 0, 0x3f, 0xec]),
      Buffer.from([0, 0, 0]),
    ]
    const memory = (): number => process.memoryUsage().arrayBuffers
    const connections = 60
    const before = memory()
    const accepted = rig.proxy.statistics().connectionsAccepted
    for (let index = 0; index < connections; index += 1) raw().write(announced[index % announced.length] ?? '')
    await until(() => rig.proxy.statistics().connectionsAccepted >= accepted + connections, 'they are accepted')
    await new Promise((resolve) => setTimeout(resolve, 300))
    // Ten times the 16 KiB that a connection may cost, client's end and all.
    expect(memory() - before).toBeLessThan(connections * 160 * 1024)
  })

  it('is closed at its deadline when it never comes: silence, half a request, half a ClientHello', async () => {
    const hello = await agentHello()
    const strict = await ProxyRig.start({timing: {peekMilliseconds: 1000}})
    try {
      const sockets = [strict.raw(), strict.raw(), strict.raw()]
      sockets[1]?.write(sslRequest.subarray(0, 5))
      sockets[2]?.write(hello.subarray(0, 100))
      expect((await Promise.all(sockets.map(readAll))).map(String)).toEqual(['', '', ''])
      expect(strict.refusals().sort()).toEqual([
        'it stayed silent',
        'its first message never ended',
        'its first message never ended',
      ])
    } finally {
      await strict.close()
    }
  })
})

describe('a ClientHello', () => {
  /** The first bytes of the answer to a ClientHello that comes in two pieces. */
  async function answerSplit(hello: Buffer, at: number): Promise<Buffer> {
    const socket = raw()
    await once(socket, 'connect')
    if (at > 0) {
      socket.write(hello.subarray(0, at))
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    socket.write(hello.subarray(at))
    const [answer] = (await once(socket, 'data')) as [Buffer]
    socket.destroy()
    return answer.subarray(0, 3)
  }

  it('reaches the agent whole wherever it is split', async () => {
    const hello = await agentHello()
    const places = Array.from({length: hello.length}, (_, place) => place)
    const side = 16
    for (let first = 0; first < places.length; first += side) {
      const answers = await Promise.all(places.slice(first, first + side).map((place) => answerSplit(hello, place)))
      for (const answer of answers) expect(answer).toEqual(serverHello)
    }
    expect(refusals()).toEqual([])
  })

  it('of 16 KiB reaches the agent, of one byte more it ends here', async () => {
    const hello = await agentHello()
    expect(await answerSplit(padded(hello, 16_384), 5000)).toEqual(serverHello)
    expect(refusals()).toEqual([])
    expect(await answerTo(padded(hello, 16_385))).toBe('')
    expect(refusals()).toEqual(['the ClientHello is longer than 16384 bytes'])
  })

  it('with a server name of 10 kB ends here, its name in no line', async () => {
    const nameless = await captureClientHello({minVersion: 'TLSv1.3'})
    const named = (name: string): Buffer => withExtension(nameless, extensionTypes.serverName, serverNameBody(name))
    const name = 'a'.repeat(10_000)
    expect(await answerTo(named(name))).toBe('')
    expect(refusals()).toEqual(['the server name is malformed'])
    expect(JSON.stringify(lines)).not.toContain('aaaa')
    // The way it is made is sound: the same with an honest name is answered.
    expect((await answerSplit(named(agentServerName(rig.agent.hostId, cluster)), 0))[0]).toBeDefined()
  })

  it('without a server name, or with one that nobody knows, goes to the Auth Service', async () => {
    const unnamed = await captureClientHello({})
    const unknown = await captureClientHello({servername: 'nobody.knows.test'})
    expect(await answerTo(unnamed)).toBe('auth')
    expect(await answerTo(unknown)).toBe('auth')
    expect(handedOver).toEqual([unnamed, unknown])
  })

  it('for an agent or a database that is not there is closed with one line', async () => {
    const absent = '99999999-9999-4999-8999-999999999999'
    expect(await answerTo(await captureClientHello({servername: agentServerName(absent, cluster)}))).toBe('')
    expect(refusals()).toEqual(['no agent for it is connected'])
  })
})
