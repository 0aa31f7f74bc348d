import {once} from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import {systemClock} from '../../../src/lib/core/clock.js'
import type {LogFields, Logger} from '../../../src/lib/core/log.js'
import type {Credentials} from '../../../src/lib/pki/credentials.js'
import type {Authority} from '../../../src/lib/pki/issuing.js'
import type {Proxy, ProxyOptions} from '../../../src/lib/proxy/options.js'
import {startProxy} from '../../../src/lib/proxy/proxy.js'
import {agentServerName, tunnelServerName} from '../../../src/lib/resources/route.js'
import {DataConnections, type OnConnection} from '../../../src/lib/tunnel/data-connections.js'
import {startTunnel, type Tunnel, type TunnelOptions} from '../../../src/lib/tunnel/dialer.js'
import {handOver} from '../../../src/lib/tunnel/hand-over.js'
import {proxyPatience} from '../../helpers/patience.js'
import {cluster, issueAgent, issueProxy, newAuthority} from '../tunnel/certificates.js'
import {track, until} from '../tunnel/sockets.js'

export const firstHost = '11111111-1111-4111-8111-111111111111'
export const secondHost = '22222222-2222-4222-8222-222222222222'

export interface LogLine extends LogFields {
  readonly level: string
  readonly message: string
}

/** A logger that keeps its lines. */
export function recordingLogger(): {logger: Logger; lines: LogLine[]} {
  const lines: LogLine[] = []
  const logger = (added: LogFields): Logger => {
    const at = (level: string) => (message: string, fields?: LogFields) => {
      lines.push({level, message, ...added, ...fields})
    }
    return {
      debug: at('debug'),
      info: at('info'),
      warn: at('warn'),
      error: at('error'),
      with: (more) => logger({...added, ...more}),
    }
  }
  return {logger: logger({}), lines}
}

export interface Agent {
  readonly tunnel: Tunnel
  readonly sources: string[]
  readonly drains: {readonly nonces: readonly string[]; readonly deadline: number}[]
  readonly nonces: string[]
  /** TLS connections under way. */
  readonly sockets: Set<tls.TLSSocket>
}

/** A proxy with its authority, closed together with all its agents. */
export class Rig {
  readonly lines: LogLine[]
  readonly authority: Authority
  readonly proxy: Proxy
  /** What the Auth Service was given, in local mode. */
  readonly handedOver: Buffer[]
  readonly #logger: Logger
  readonly #tunnels: Tunnel[] = []

  private constructor(
    authority: Authority,
    proxy: Proxy,
    log: ReturnType<typeof recordingLogger>,
    handedOver: Buffer[],
  ) {
    this.authority = authority
    this.proxy = proxy
    this.lines = log.lines
    this.#logger = log.logger
    this.handedOver = handedOver
  }

  static async start(options: Partial<ProxyOptions> = {}): Promise<Rig> {
    const authority = await newAuthority()
    const credentials = await issueProxy(authority)
    const log = recordingLogger()
    const handedOver: Buffer[] = []
    const proxy = await startProxy({
      cluster,
      listen: {host: '127.0.0.1', port: 0},
      proxyId: 'proxy-1',
      credentials: () => credentials,
      hostAuthorities: () => [authority.certificate],
      upstream: {
        kind: 'local',
        accept: (socket, head) => {
          handedOver.push(head)
          socket.end('auth')
        },
      },
      agentsFor: () => [],
      logger: log.logger,
      clock: systemClock,
      ...options,
      timing: {...proxyPatience, ...options.timing},
    })
    return new Rig(authority, proxy, log, handedOver)
  }

  async close(): Promise<void> {
    for (const tunnel of this.#tunnels) tunnel.close()
    await this.proxy.close()
  }

  /** An agent whose TLS end echoes; resolves when its pool is there. */
  async agent(hostId: string, options: Partial<TunnelOptions> = {}): Promise<Agent> {
    const credentials = await issueAgent(this.authority, hostId)
    const agent: Omit<Agent, 'tunnel'> = {sources: [], drains: [], nonces: [], sockets: new Set()}
    const server = tls.createServer(
      {cert: credentials.certificate, key: credentials.privateKey.reveal(), minVersion: 'TLSv1.3'},
      (socket) => {
        agent.sockets.add(track(socket))
        socket.once('close', () => agent.sockets.delete(socket))
        socket.pipe(socket)
      },
    )
    const onConnection: OnConnection = (socket, session) => {
      agent.sources.push(session.source)
      agent.nonces.push(session.nonce)
      handOver(socket, Buffer.alloc(0), server)
    }
    const tunnel = this.tunnel(credentials, {
      onConnection,
      // Its own patience with idle connections is long, however often the proxy replaces them.
      dataConnections: () =>
        new DataConnections(this.proxy.address, 60_000, options.onConnection ?? onConnection, this.#logger),
      onDrain: (nonces, deadline) => {
        agent.drains.push({nonces, deadline})
      },
      ...options,
    })
    const poolSize = options.poolSize ?? 4
    const before = this.proxy.statistics().spareConnections
    await until(() => this.proxy.agents().includes(hostId))
    await until(() => this.proxy.statistics().spareConnections >= before + poolSize)
    return {tunnel, ...agent}
  }

  /** A dialer with these credentials. */
  tunnel(credentials: Credentials, options: Partial<TunnelOptions> = {}): Tunnel {
    const tunnel = startTunnel({
      proxyAddress: this.proxy.address,
      cluster,
      credentials: () => credentials,
      hostAuthorities: () => [this.authority.certificate],
      onConnection: (socket) => track(socket),
      onDrain: () => undefined,
      logger: this.#logger.with({side: 'agent'}),
      clock: systemClock,
      backoff: {firstMilliseconds: 20, mostMilliseconds: 50},
      pulse: proxyPatience.pulse,
      ...options,
    })
    this.#tunnels.push(tunnel)
    return tunnel
  }

  /** A TLS client of an agent, by the route in its server name. */
  client(serverName: string, options: tls.ConnectionOptions = {}): tls.TLSSocket {
    const socket = tls.connect({
      ...this.proxy.address,
      servername: serverName,
      ca: this.authority.certificate,
      checkServerIdentity: () => undefined,
      minVersion: 'TLSv1.3',
      // PostgreSQL's direct TLS wants it.
      ALPNProtocols: serverName.includes('.db.') ? ['postgresql'] : [],
      ...options,
    })
    return track(socket)
  }

  /** A connection to the tunnel route with these credentials. */
  manualAgent(credentials: Credentials, options: tls.ConnectionOptions = {}): ManualAgent {
    const cert = credentials.certificate
    const key = credentials.privateKey.reveal()
    return new ManualAgent(this.client(tunnelServerName(cluster), {cert, key, ...options}))
  }

  /** A data connection under a nonce. */
  dataConnection(nonce: unknown, place = 'proxy-1.0'): net.Socket {
    const socket = this.raw()
    socket.write(`POSTERN/1 ${place}.${String(nonce)}\n`)
    return socket
  }

  clientOf(hostId: string): tls.TLSSocket {
    return this.client(agentServerName(hostId, cluster), {checkServerIdentity: tls.checkServerIdentity})
  }

  raw(): net.Socket {
    return track(net.connect(this.proxy.address))
  }

  refusals(): unknown[] {
    return this.lines.filter((line) => line.message === 'Connection refused.').map((line) => line.reason)
  }
}

/** An agent played by hand: its control connection, line by line. */
export class ManualAgent {
  readonly socket: tls.TLSSocket
  readonly messages: Record<string, unknown>[] = []
  #text = ''

  constructor(socket: tls.TLSSocket) {
    this.socket = socket
    socket.on('data', (bytes: Buffer) => {
      const lines = (this.#text + String(bytes)).split('\n')
      this.#text = lines.pop() ?? ''
      for (const line of lines) this.messages.push(JSON.parse(line) as Record<string, unknown>)
    })
  }

  send(message: unknown): void {
    this.socket.write(`${JSON.stringify(message)}\n`)
  }

  /** The first message with this key, taken out. */
  async next(key: string): Promise<Record<string, unknown>> {
    const found = (): number => this.messages.findIndex((message) => key in message)
    await until(() => found() >= 0)
    return this.messages.splice(found(), 1)[0] ?? {}
  }
}

/** Sends text and reads as much back. */
export async function echo(socket: tls.TLSSocket, text: string): Promise<string> {
  socket.write(text)
  let answer = ''
  while (answer.length < text.length) answer += String((await once(socket, 'data'))[0])
  return answer
}

/** As `echo`, by as many clients as it takes: none is promised an agent that answers in time. */
export async function echoAtLast(dial: () => tls.TLSSocket, text: string): Promise<string> {
  for (;;) {
    const socket = dial()
    const gone = closed(socket).then(() => undefined)
    const answer = await Promise.race([echo(socket, text).catch(() => gone), gone])
    if (answer !== undefined) return answer
  }
}

/** Resolves when the connection is closed, whatever was wrong with it. */
export async function closed(socket: net.Socket): Promise<void> {
  socket.resume()
  await until(() => socket.closed)
}
