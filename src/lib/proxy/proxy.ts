/**
 * The Proxy Service: one port, routed by the first bytes of each connection. It ends no TLS but that of the agents'
 * control connections, and holds no key but its own host certificate's.
 *
 *   client ── ClientHello ─► peek ─► <host>.agent, <database>.db ─► an agent's data connection, spliced
 *                                 ─► tunnel ─────────────────────► an agent's control connection, TLS ends here
 *                                 ─► any other, or no name ──────► Auth Service, spliced or handed over
 *   agent ─── POSTERN/1 ───► peek ─► the session or the spare it was ordered for
 */
import {createServer, type Server, type Socket} from 'node:net'
import {messageOf} from '../core/errors.js'
import {LogPace} from '../core/log-pace.js'
import {parseRoute} from '../resources/route.js'
import {Anteroom} from '../tunnel/anteroom.js'
import {formatSource, remoteAddressOf} from '../tunnel/hand-over.js'
import {listenAs} from '../tunnel/listening.js'
import {peek, type Peeked} from '../tunnel/peek.js'
import {tuneSocket} from '../tunnel/splice.js'
import {Agents} from './agents.js'
import {Cap} from './cap.js'
import {LocalJoint} from './joint.js'
import {Nonces} from './nonces.js'
import {
  defaultLimits,
  defaultTiming,
  type Proxy,
  type ProxyLimits,
  type ProxyOptions,
  type ProxyStatistics,
  type ProxyTiming,
} from './options.js'
import {openSession} from './session-opening.js'
import {Sessions} from './sessions.js'
import {SpliceWorkers} from './splice-workers.js'
import {TunnelEndpoint} from './tunnel-endpoint.js'
import {passOn} from './upstream.js'

type Hello = Extract<Peeked, {kind: 'tls'}>

/** Whom agents dial: splice workers stand behind it and have no address. */
const worker = '0'
/** PostgreSQL takes TLS at once only with it, so that no client of another protocol can be steered to a database (ALPACA). */
const directProtocol = 'postgresql'
/** Agents that dial back wait in one queue with everybody who floods it; Linux cuts this to its somaxconn. */
const backlog = 4096
/** As long as an unanswered ClientHello counts against its address: the time a client of ours gives an agent. */
const addressMilliseconds = 3000
const tooManyHellos = 'its address has too many unanswered connections'

/**
 * Starts a proxy.
 * @throws PosternError UNREACHABLE when it cannot listen on its address, FAILED when a worker does not start.
 */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const {workers: count = 1, workerScript: script, logger} = options
  const workers = count > 1 ? await SpliceWorkers.start({script, count, logger}) : undefined
  const service = new ProxyService(options, workers)
  try {
    await service.listen()
    return service
  } catch (error) {
    await workers?.close()
    throw error
  }
}

class ProxyService implements Proxy {
  readonly #options: ProxyOptions
  readonly #limits: ProxyLimits
  readonly #timing: ProxyTiming
  readonly #server: Server
  readonly #nonces = new Nonces()
  readonly #agents: Agents
  readonly #tunnel: TunnelEndpoint
  readonly #hellosByAddress: Cap
  readonly #hellosByAgent: Cap
  readonly #refusalPace: LogPace
  readonly #sockets = new Set<Socket>()
  /** Connections that have not said what they want. */
  readonly #undecided: Anteroom
  readonly #sessions: Sessions
  readonly #workers: SpliceWorkers | undefined
  readonly #counters = {accepted: 0, refused: 0, replays: 0}
  #draining = false
  #address = {host: '', port: 0}

  constructor(options: ProxyOptions, workers: SpliceWorkers | undefined) {
    this.#options = options
    this.#workers = workers
    this.#limits = {...defaultLimits, ...options.limits}
    this.#timing = {...defaultTiming, ...options.timing}
    this.#undecided = new Anteroom({total: this.#limits.undecided, perAddress: this.#limits.undecidedPerAddress})
    this.#hellosByAddress = new Cap(this.#limits.hellosPerAddress, this.#timing.waitMilliseconds)
    this.#hellosByAgent = new Cap(this.#limits.hellosPerAgent, this.#timing.waitMilliseconds)
    const {clock, logger, credentials, hostAuthorities} = options
    this.#refusalPace = new LogPace(() => clock.monotonic())
    this.#sessions = new Sessions(logger, clock, options.onSplice ?? (() => undefined))
    const mayServe = options.mayServe ?? (() => true)
    this.#agents = new Agents({
      place: `${options.proxyId}.${worker}`,
      nonces: this.#nonces,
      mayServe,
      clock,
      logger,
      pulse: this.#timing.pulse,
    })
    this.#tunnel = new TunnelEndpoint({
      credentials,
      hostAuthorities,
      mayServe,
      clock,
      handshakeMilliseconds: this.#timing.handshakeMilliseconds,
      onAgent: (agent) => {
        this.#agents.add(agent)
      },
      onRefused: (source, reason) => {
        this.#logRefusal(source, reason)
      },
    })
    // Half-open: the end of one direction is passed on, not answered.
    this.#server = createServer({allowHalfOpen: true}, (socket) => {
      this.#accept(socket)
    })
  }

  get address(): {host: string; port: number} {
    return this.#address
  }

  agents(): readonly string[] {
    return this.#agents.hostIds
  }

  statistics(): ProxyStatistics {
    const {opened, bytesToAgents, bytesToClients} = this.#sessions.counters
    return {
      connectionsAccepted: this.#counters.accepted,
      connectionsRefused: this.#counters.refused,
      sessionsOpened: opened,
      helloReplays: this.#counters.replays,
      bytesToAgents,
      bytesToClients,
      sessions: this.#sessions.size,
      agents: this.#agents.hostIds.length,
      spareConnections: this.#agents.spares,
    }
  }

  async listen(): Promise<void> {
    const {listen, logger} = this.#options
    this.#address = await listenAs(this.#server, listen, {
      service: 'The proxy',
      hint: 'Stop what uses the port, or set another one as web_listen_addr.',
      backlog,
      logger,
    })
  }

  async drain(deadlineMilliseconds: number): Promise<void> {
    this.#draining = true
    this.#server.close()
    await this.#sessions.drain(this.#agents, deadlineMilliseconds)
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve()
      })
    })
    this.#agents.close()
    for (const socket of this.#sockets) socket.destroy()
    // A server that sent connections to workers waits for these as well, and for ever for one that has died.
    await (this.#workers ? this.#workers.close() : closed)
  }

  #accept(socket: Socket): void {
    this.#counters.accepted += 1
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    tuneSocket(socket)
    this.#undecided.enter(formatSource(socket), socket, remoteAddressOf(socket))
    this.#serve(socket).catch((error: unknown) => {
      this.#options.logger.error('A connection failed.', {source: formatSource(socket), error: messageOf(error)})
      socket.destroy()
    })
  }

  async #serve(socket: Socket): Promise<void> {
    const source = formatSource(socket)
    const peeked = await peek(socket, {
      timeoutMilliseconds: this.#timing.peekMilliseconds,
      postgres: true,
      preamble: true,
    })
    this.#undecided.leave(source)
    // In a flood many are gone before their turn: nobody needs to dial for those.
    if (socket.remoteAddress === undefined) {
      socket.destroy()
      return
    }
    switch (peeked.kind) {
      case 'tls':
        await this.#route(socket, source, peeked)
        return
      case 'preamble': {
        const mine = peeked.proxy === this.#options.proxyId && peeked.worker === worker
        // An agent's end is a TLS server, which waits for the ClientHello.
        if (!mine || peeked.head.length > 0 || !this.#nonces.claim(peeked.nonce, socket)) {
          this.#refuse(socket, source, 'no one waits for this data connection')
        }
        return
      }
      case 'closed':
        socket.destroy()
        return
      case 'rubbish':
        this.#refuse(socket, source, peeked.reason)
    }
  }

  async #route(client: Socket, source: string, hello: Hello): Promise<void> {
    const route = parseRoute(hello.serverName, this.#options.cluster)
    switch (route.kind) {
      case 'agent':
        await this.#connect(client, source, hello, [route.hostId])
        return
      case 'database':
        if (hello.direct && !hello.protocols.includes(directProtocol)) {
          this.#refuse(client, source, `direct TLS came without the protocol "${directProtocol}"`, hello.serverName)
          return
        }
        await this.#connect(client, source, hello, this.#options.agentsFor(route.database))
        return
      case 'tunnel': {
        const leave = await this.#hellosByAddress.enter(remoteAddressOf(client))
        if (leave) this.#tunnel.accept(client, hello.head, leave)
        else this.#refuse(client, source, tooManyHellos)
        return
      }
      case 'auth':
      case 'web': {
        const {failed} = await passOn(client, hello.head, this.#options.upstream)
        if (failed !== undefined) this.#logRefusal(source, `the Auth Service cannot be reached: ${failed}`)
      }
    }
  }

  /** Joins a client with an agent that answers its ClientHello. */
  async #connect(client: Socket, source: string, hello: Hello, hostIds: readonly string[]): Promise<void> {
    const leave = await this.#hellosByAddress.enter(remoteAddressOf(client))
    if (!leave) {
      this.#refuse(client, source, tooManyHellos)
      return
    }
    // An agent that hangs is no reason to keep its clients' neighbours out.
    const leaving = setTimeout(leave, addressMilliseconds)
    const joint = this.#workers ? this.#workers.join(client) : new LocalJoint(client)
    if (!joint) {
      clearTimeout(leaving)
      leave()
      this.#refuse(client, source, 'the worker processes are being replaced')
      return
    }
    const opened = await openSession(
      {hostIds, hello: hello.head, source, joint},
      {
        agents: this.#agents,
        hellosByAgent: this.#hellosByAgent,
        timing: this.#timing,
        onReplay: () => {
          this.#counters.replays += 1
        },
      },
    ).finally(() => {
      clearTimeout(leaving)
      leave()
    })
    if ('refused' in opened || this.#draining) {
      joint.close()
      const reason = 'refused' in opened ? opened.refused : 'the proxy is about to stop'
      this.#logRefusal(source, reason, hello.serverName)
      return
    }
    await this.#sessions.run(joint, source, opened)
  }

  #refuse(socket: Socket, source: string, reason: string, serverName?: string): void {
    socket.destroy()
    this.#logRefusal(source, reason, serverName)
  }

  #logRefusal(source: string, reason: string, serverName?: string): void {
    this.#counters.refused += 1
    const also = this.#refusalPace.take()
    if (!also) return
    this.#options.logger.warn('Connection refused.', {
      source,
      reason,
      ...(serverName ? {server_name: serverName} : {}),
      ...also,
    })
  }
}
