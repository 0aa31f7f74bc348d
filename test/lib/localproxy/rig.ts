import {afterEach, expect, jest} from '@jest/globals'
import {once} from 'node:events'
import {connect, type AddressInfo, type Socket} from 'node:net'
import {createServer, type Server, type TLSSocket} from 'node:tls'
import type {Secret} from '../../../src/lib/core/secret.js'
import {startLocalProxy, type LocalProxy, type LocalProxyOptions} from '../../../src/lib/localproxy/local-proxy.js'
import type {Upstream, UpstreamSource} from '../../../src/lib/localproxy/upstream.js'
import {encodeStartup} from '../../../src/lib/pgwire/first-packet.js'
import {decodeServerError} from '../../../src/lib/pgwire/server-error.js'
import {createAuthority, issueCertificate} from '../../../src/lib/pki/issuing.js'
import {generateKeys} from '../../../src/lib/pki/keys.js'
import {agentServerName} from '../../../src/lib/resources/route.js'
import {encodeGreeting, type Greeting} from '../../../src/lib/tunnel/greeting.js'

const cluster = 'test.example.com'
export const startup = encodeStartup(
  0,
  new Map([
    ['user', 'alice'],
    ['database', 'shop'],
  ]),
)
export const cleanups: (() => unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** Until the end of the test no time is over that the program measures with setTimeout, however slow this machine is. */
export function holdTime(): void {
  jest.useFakeTimers({
    doNotFake: [
      ...(['Date', 'performance', 'hrtime', 'nextTick', 'queueMicrotask'] as const),
      ...(['setImmediate', 'clearImmediate', 'setInterval', 'clearInterval'] as const),
    ],
  })
  cleanups.push(() => jest.useRealTimers())
}

/** Everything that arrives on a connection until `bytes` have come or it closed. */
export async function receive(socket: Socket, bytes = Infinity): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of socket.iterator({destroyOnReturn: false})) {
    chunks.push(chunk as Buffer)
    size += (chunk as Buffer).length
    if (size >= bytes) break
  }
  return Buffer.concat(chunks)
}

export function errorIn(bytes: Buffer): ReturnType<typeof decodeServerError> {
  expect(bytes[0]).toBe('E'.charCodeAt(0))
  const payload = bytes.subarray(5, 1 + bytes.readUInt32BE(1))
  return decodeServerError({payload, size: payload.length})
}

export interface FakeAgent {
  readonly port: number
  readonly sessions: Buffer[]
  connections: number
  /** Handshakes that went on from an earlier one. */
  resumed: number
  /** Those that are open, oldest first. */
  readonly sockets: TLSSocket[]
}

export interface Setup {
  readonly agent: (
    hostId: string,
    greeting: Greeting | 'silent',
    serve?: (socket: TLSSocket, first: Buffer) => void,
  ) => Promise<FakeAgent>
  readonly source: (agents: readonly {port: number; hostId: string}[], renew?: () => void) => Promise<UpstreamSource>
}

/** Real TLS servers that behave like agents behind the proxy's splice; each has a port of its own, chosen by the last agent tried. */
export async function setup(): Promise<Setup> {
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
      const agent: FakeAgent & {port: number} = {port: 0, sessions: [], connections: 0, resumed: 0, sockets: []}
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
          if (socket.isSessionReused()) agent.resumed += 1
          agent.sockets.push(socket)
          socket.on('close', () => agent.sockets.splice(agent.sockets.indexOf(socket), 1))
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

export async function open(
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

export const hostA = '11111111-1111-4111-8111-111111111111'
export const hostB = '22222222-2222-4222-8222-222222222222'
