/**
 * The Database Service: serves databases to clients that come through the tunnel.
 *
 *   control plane ──watch──► cache ──► gate ◄── entrance ◄── tunnel ◄── proxy ◄── clients
 *                 ◄─beats── catalog, health   └► engine ──► databases
 *                 ◄events── shipper ◄── spool ◄──┘
 */
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import type {Selector} from '../access/selector.js'
import type {ApiClient} from '../api/client.js'
import {Shipper} from '../audit/shipper.js'
import {Spool} from '../audit/spool.js'
import {Aws} from '../aws/aws.js'
import type {AwsEnvironment} from '../aws/environment.js'
import type {ConnectAddresses} from '../config/connect-addresses.js'
import type {Clock} from '../core/clock.js'
import type {Logger} from '../core/log.js'
import type {Credentials} from '../pki/credentials.js'
import type {TargetHealth} from '../resources/database-server.js'
import type {Database} from '../resources/database.js'
import {startTunnel, type Tunnel} from '../tunnel/dialer.js'
import {Cache} from './cache.js'
import {Cancels} from './cancels.js'
import {Catalog, type Served} from './catalog.js'
import {ClientCertificates} from './client-certificates.js'
import {DatabaseOpening} from './database-opening.js'
import {DirectCertificate} from './direct-certificate.js'
import {Engine} from './engine.js'
import {Entrance} from './entrance.js'
import {Gate} from './gate.js'
import {defaultHealthPolicy, HealthChecks, type HealthPolicy} from './health.js'
import {Heartbeat} from './heartbeat.js'
import {Sessions} from './sessions.js'
import type {TargetRules} from './target-address.js'

export interface AgentOptions {
  readonly cluster: string
  readonly hostId: string
  readonly hostname: string
  readonly version: string
  /** The host certificate, asked for whenever one is needed. */
  readonly credentials: () => Credentials
  readonly hostAuthorities: () => readonly string[]
  /** The control plane, as this host. */
  readonly api: ApiClient
  /** The proxy's public address. */
  readonly proxyAddress: {readonly host: string; readonly port: number}
  /** Databases of this host's own configuration. */
  readonly databases: readonly Database[]
  /** Which databases that users created are served here. */
  readonly selectors: readonly Selector[]
  readonly dataDir: string
  /** Nobody new gets in when the control plane was silent for longer; 20 s unless told. */
  readonly cacheTtlMilliseconds?: number | undefined
  /** Sessions end when it was silent for longer; 1 h unless told. */
  readonly maxStaleMilliseconds?: number | undefined
  /** 30 s unless told. */
  readonly heartbeatMilliseconds?: number | undefined
  readonly healthCheck?: Partial<HealthPolicy> | undefined
  /** Lets databases that users created be at loopback and link-local addresses. */
  readonly allowLoopback?: boolean | undefined
  /** Where to dial instead of registered endpoints. */
  readonly connectAddresses?: ConnectAddresses | undefined
  /** What the SDK of AWS would read from the process; `process.env` unless told. */
  readonly environment?: AwsEnvironment | undefined
  readonly logger: Logger
  readonly clock: Clock
}

/** Numbers for metrics: counted from the start, and what there is now. */
export interface AgentStatistics {
  readonly sessions: number
  readonly sessionsStarted: number
  readonly sessionsRefused: number
  readonly cancelRequests: number
  /** Connections that never came as far as a session. */
  readonly connectionsTurnedAway: number
  /** Of ended sessions. */
  readonly bytesFromClients: number
  readonly bytesFromDatabases: number
  /** Audit events that the control plane has not acknowledged. */
  readonly auditBacklogBytes: number
}

export interface Agent {
  readonly hostId: string
  /** Whether clients can come in: the tunnel is up, the cache fresh, and the control plane knows of us. */
  ready(): boolean
  databases(): readonly {readonly database: Database; readonly health: TargetHealth}[]
  sessions(): number
  statistics(): AgentStatistics
  /** Takes no new sessions, and ends the running ones after so many milliseconds. */
  drain(milliseconds: number): Promise<void>
  /** Ends everything; resolves when the audit is on disk and sent as far as that goes quickly. */
  close(): Promise<void>
}

const defaultCacheTtl = 20_000
const defaultMaxStale = 3_600_000
const defaultHeartbeat = 30_000
const staleCheckMilliseconds = 1000
/** Sessions that we end get this long to say farewell. */
const farewellMilliseconds = 3000
/** A proxy's deadline includes our farewell. */
const proxyDrainMargin = 1000
const shipMilliseconds = 3000
/** A request or a dial that hangs must not hold up the end of the process. */
const endMilliseconds = 5000

/**
 * Starts an agent. It connects to the proxy and the control plane by itself, and again after each failure.
 * @throws PosternError FAILED when the audit spool cannot be opened
 */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const {dataDir, clock, logger} = options
  const directory = join(dataDir, 'spool')
  const spool = await Spool.open({directory, clock, logger})
  return new DatabaseService(options, spool)
}

class DatabaseService implements Agent {
  readonly hostId: string
  readonly #options: AgentOptions
  readonly #spool: Spool
  readonly #shipper: Shipper
  readonly #sessions = new Sessions()
  readonly #catalog: Catalog
  readonly #health: HealthChecks
  readonly #cache: Cache
  readonly #heartbeat: Heartbeat
  readonly #direct: DirectCertificate
  readonly #gate: Gate
  readonly #engine: Engine
  readonly #entrance: Entrance
  readonly #tunnel: Tunnel
  readonly #staleCheck: NodeJS.Timeout
  #closing: Promise<void> | undefined

  constructor(options: AgentOptions, spool: Spool) {
    const {cluster, hostId, hostname, version, credentials, api, clock, logger} = options
    const rules: TargetRules = {
      allowLoopback: options.allowLoopback ?? false,
      connectAddresses: options.connectAddresses ?? new Map(),
    }
    this.hostId = hostId
    this.#options = options
    this.#spool = spool
    this.#shipper = new Shipper({
      spool,
      send: (events) => api.emitEvents({events: [...events]}),
      logger,
      refusedDirectory: join(options.dataDir, 'spool'),
    })
    this.#catalog = new Catalog({
      databases: options.databases,
      selectors: options.selectors,
      logger,
      onChange: (name, served) => {
        this.#serve(name, served)
      },
    })
    this.#health = new HealthChecks({
      policy: {...defaultHealthPolicy, ...options.healthCheck},
      ...rules,
      clock,
      onChange: () => {
        this.#heartbeat.hurry()
      },
    })
    for (const served of this.#catalog.served) this.#health.start(served)
    this.#cache = new Cache({
      client: api,
      clock,
      logger,
      onChange: () => {
        this.#catalog.reconcile(this.#cache.databases.values())
        this.#sessions.recheck(this.#gate)
      },
    })
    this.#heartbeat = new Heartbeat({
      api,
      logger,
      intervalMilliseconds: options.heartbeatMilliseconds ?? defaultHeartbeat,
      state: () => ({hostname, version, databases: [...this.databases()]}),
      onTaken: () => {
        this.#direct.update()
      },
    })
    this.#direct = new DirectCertificate({
      api,
      clock,
      logger,
      databases: () =>
        this.#catalog.served
          .map(({database}) => database.metadata.name)
          .filter((name) => !this.#heartbeat.refused.has(name.toLowerCase())),
    })
    this.#gate = new Gate({
      hostId,
      cache: this.#cache,
      catalog: this.#catalog,
      clock,
      cacheTtlMilliseconds: options.cacheTtlMilliseconds ?? defaultCacheTtl,
      refusedDatabases: () => this.#heartbeat.refused,
    })
    this.#engine = new Engine({
      self: {cluster, hostId, hostname, version},
      gate: this.#gate,
      catalog: this.#catalog,
      sessions: this.#sessions,
      cancels: new Cancels(clock),
      opening: new DatabaseOpening({
        certificates: new ClientCertificates(api, clock),
        aws: new Aws({environment: options.environment ?? process.env, clock}),
        rules,
      }),
      spool,
      clock,
      logger,
    })
    this.#entrance = new Entrance({
      cluster,
      hostId,
      credentials,
      directCredentials: this.#direct.credentials,
      onArrival: (arrival) => {
        this.#engine.take(arrival)
      },
      logger,
    })
    this.#tunnel = startTunnel({
      proxyAddress: options.proxyAddress,
      cluster,
      credentials,
      hostAuthorities: options.hostAuthorities,
      onConnection: (socket, session) => {
        this.#entrance.accept(socket, session)
      },
      onDrain: (nonces, deadline) => {
        this.#drainFor(new Set(nonces), deadline)
      },
      logger,
      clock,
    })
    this.#staleCheck = setInterval(() => {
      this.#endStale()
    }, staleCheckMilliseconds)
    this.#staleCheck.unref()
  }

  ready(): boolean {
    const isFresh = this.#cache.staleness() <= (this.#options.cacheTtlMilliseconds ?? defaultCacheTtl)
    return this.#tunnel.state === 'connected' && isFresh && this.#heartbeat.acknowledged && !this.#gate.draining
  }

  databases(): readonly {readonly database: Database; readonly health: TargetHealth}[] {
    return this.#catalog.served.map(({database}) => ({database, health: this.#health.of(database.metadata.name)}))
  }

  sessions(): number {
    return this.#sessions.count
  }

  statistics(): AgentStatistics {
    return {
      ...this.#engine.counters,
      sessions: this.#sessions.count,
      connectionsTurnedAway: this.#entrance.turnedAway,
      auditBacklogBytes: this.#spool.backlogBytes,
    }
  }

  async drain(milliseconds: number): Promise<void> {
    this.#gate.draining = true
    this.#engine.closeWaiting()
    await this.#sessions.empty(milliseconds)
    this.#sessions.endAll('The database agent is shutting down.')
    await this.#sessions.empty(farewellMilliseconds)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await this.drain(0)
    clearInterval(this.#staleCheck)
    this.#tunnel.close()
    this.#entrance.close()
    this.#health.stop()
    const ends = [this.#heartbeat.stop(), this.#direct.stop(), this.#engine.settled(), this.#cache.close()]
    await atMost(endMilliseconds, Promise.all(ends))
    await this.#shipper.close(shipMilliseconds)
    await this.#spool.close()
  }

  /** A database is served from now on, no longer, or elsewhere. */
  #serve(name: string, served: Served | undefined): void {
    if (served) this.#health.start(served)
    else this.#health.forget(name)
    this.#heartbeat.hurry()
  }

  #drainFor(nonces: ReadonlySet<string>, deadline: number): void {
    // Spares of clients would hold the proxy up until its deadline.
    this.#engine.closeWaiting(nonces)
    const timer = setTimeout(
      () => {
        this.#sessions.endAll('The proxy is shutting down.', nonces)
      },
      Math.max(0, deadline - proxyDrainMargin),
    )
    timer.unref()
  }

  #endStale(): void {
    if (this.#cache.staleness() <= (this.#options.maxStaleMilliseconds ?? defaultMaxStale)) return
    this.#sessions.endAll('The database agent has lost touch with the control plane for too long.')
  }
}

async function atMost(milliseconds: number, work: Promise<unknown>): Promise<void> {
  await Promise.race([work, sleep(milliseconds, undefined, {ref: false})])
}
