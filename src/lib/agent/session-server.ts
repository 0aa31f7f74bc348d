/**
 * Serves the sessions of an agent, in its own process or in a worker:
 *
 *   control plane ──watch──► cache ──► gate ◄── entrance ◄── data connections ◄── proxy ◄── clients
 *                 ◄─events── shipper ◄── spool ◄── engine ──► databases
 *
 * Whoever runs it, it knows by itself who may do what, from a watch stream of its own, and it is as fresh as that.
 */
import type {Socket} from 'node:net'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import type {ApiClient} from '../api/client.js'
import {Shipper} from '../audit/shipper.js'
import type {Spool} from '../audit/spool.js'
import {Aws} from '../aws/aws.js'
import type {AwsDatabase} from '../aws/aws-database.js'
import type {AwsEnvironment} from '../aws/environment.js'
import type {Clock} from '../core/clock.js'
import type {Logger} from '../core/log.js'
import {lookWhileRunning} from '../core/running-time.js'
import type {BackendKey} from '../pgwire/server-messages.js'
import type {Credentials} from '../pki/credentials.js'
import type {HealthCheckConfig} from '../resources/health-check-config.js'
import type {Address} from '../resources/endpoint.js'
import type {SessionSource} from '../tunnel/data-connections.js'
import {AwsDatabases} from './aws-databases.js'
import {Cache} from './cache.js'
import {Cancels} from './cancels.js'
import {Catalog, type Served} from './catalog.js'
import {ClientCertificates} from './client-certificates.js'
import {DatabaseOpening} from './database-opening.js'
import {Diagnoses} from './diagnoses.js'
import {DirectCertificates} from './direct-certificates.js'
import {Engine} from './engine.js'
import {Entrance} from './entrance.js'
import {Gate} from './gate.js'
import {Listener} from './listener.js'
import type {SessionSettings} from './session-settings.js'
import type {SessionStatistics} from './session-statistics.js'
import {Sessions} from './sessions.js'

export interface SessionServerOptions extends SessionSettings {
  readonly spool: Spool
  /** Where the spool is. */
  readonly spoolDirectory: string
  /** The control plane, as this host. */
  readonly api: ApiClient
  /** The host certificate, asked for whenever one is needed. */
  readonly credentials: () => Credentials
  /** Databases, in lower case, that the control plane does not want from this host, with its reason. */
  readonly refusedDatabases: () => ReadonlyMap<string, string>
  /** A database is served from now on, no longer, or elsewhere. */
  readonly onServed?: (name: string, served: Served | undefined) => void
  /** The control plane's rules for health checks, whenever something there changed. */
  readonly onHealthChecks?: (configurations: ReadonlyMap<string, HealthCheckConfig>) => void
  /** AWS said something new about a database. */
  readonly onDescribed?: () => void
  /** Takes a cancel request to where the session may be; without, it is here. */
  readonly presentCancel?: (user: string, key: BackendKey, database: string) => Promise<void>
  /** A cancel request that came to another agent of the database. */
  readonly onForwardedCancel?: (user: string, key: BackendKey) => void
  /** What the SDK of AWS would read from the process; `process.env` unless told. */
  readonly environment?: AwsEnvironment | undefined
  readonly logger: Logger
  readonly clock: Clock
}

const staleCheckMilliseconds = 1000
const limitCheckMilliseconds = 250
/** Sessions that we end get this long to say farewell. */
const farewellMilliseconds = 3000
/** A proxy's deadline includes our farewell. */
const proxyDrainMargin = 1000
const shipMilliseconds = 3000
/** A request or a dial that hangs must not hold up the end of the process. */
const endMilliseconds = 5000

export class SessionServer {
  readonly catalog: Catalog
  readonly cancels: Cancels
  readonly aws: Aws
  readonly #options: SessionServerOptions
  readonly #awsDatabases: AwsDatabases
  readonly #shipper: Shipper
  readonly #sessions = new Sessions()
  readonly #cache: Cache
  readonly #gate: Gate
  readonly #engine: Engine
  readonly #entrance: Entrance
  #listener: Listener | undefined
  readonly #staleCheck: NodeJS.Timeout
  readonly #limitCheck: NodeJS.Timeout

  constructor(options: SessionServerOptions) {
    const {self, spool, api, credentials, refusedDatabases, clock, logger} = options
    const {cluster, hostId} = self
    this.#options = options
    this.#shipper = new Shipper({
      spool,
      send: (lines) => api.emitEvents(lines),
      clock,
      logger,
      refusedDirectory: options.spoolDirectory,
      onRefused: (line) => {
        this.#sessions.refused(sessionOf(line))
      },
    })
    const aws = new Aws({environment: options.environment ?? process.env, clock, workers: options.workers})
    this.aws = aws
    this.#awsDatabases = new AwsDatabases({
      aws,
      rules: options.awsRules,
      logger,
      onDescription: (served, description) => {
        if (!this.catalog.enrich(served, description)) return
        this.#sessions.recheck(this.#gate)
        options.onDescribed?.()
      },
    })
    this.catalog = new Catalog({
      databases: options.databases,
      selectors: options.selectors,
      logger,
      onChange: (name, served) => {
        if (served) this.#awsDatabases.start(served)
        else this.#awsDatabases.forget(name)
        options.onServed?.(name, served)
      },
    })
    for (const served of this.catalog.served) this.#awsDatabases.start(served)
    this.#cache = new Cache({
      client: api,
      clock,
      logger,
      onCancel: options.onForwardedCancel,
      sessions: () => this.#sessions.describe(),
      opening: () => this.#sessions.awaited,
      onChange: () => {
        this.catalog.reconcile(this.#cache.databases.values())
        this.#sessions.recheck(this.#gate)
        options.onHealthChecks?.(this.#cache.healthChecks)
        this.#sessions.endThose(this.#cache.ending)
      },
    })
    this.#gate = new Gate({
      hostId,
      cache: this.#cache,
      catalog: this.catalog,
      clock,
      cacheTtlMilliseconds: options.cacheTtlMilliseconds,
      refusedDatabases,
    })
    this.cancels = new Cancels(clock)
    this.#engine = new Engine({
      self,
      gate: this.#gate,
      catalog: this.catalog,
      sessions: this.#sessions,
      cancels: this.cancels,
      presentCancel: options.presentCancel ?? ((user, key) => this.cancels.present(user, key)),
      opening: new DatabaseOpening({
        hostname: options.self.hostname,
        diagnoses: new Diagnoses({aws, clock}),
        certificates: new ClientCertificates(api, clock),
        aws,
        awsDatabases: this.#awsDatabases,
        rules: {allowLoopback: options.allowLoopback, connectAddresses: new Map(options.connectAddresses)},
      }),
      spool,
      recorder: this.#shipper,
      admitSession: (request) => api.admitSession(request),
      clock,
      logger,
    })
    const direct = new DirectCertificates({
      api,
      clock,
      logger,
      serves: (database) => this.catalog.find(database) !== undefined && !refusedDatabases().has(database),
    })
    this.#entrance = new Entrance({
      cluster,
      hostId,
      credentials,
      directContext: (database) => direct.contextFor(database),
      onArrival: (arrival) => {
        this.#engine.take(arrival)
      },
      logger,
    })
    this.#staleCheck = setInterval(() => {
      this.#endStale()
    }, staleCheckMilliseconds)
    this.#staleCheck.unref()
    this.#limitCheck = lookWhileRunning(limitCheckMilliseconds, clock, () => {
      const stale = this.#cache.staleness() > options.cacheTtlMilliseconds
      const unrecorded = this.#shipper.stalledMilliseconds
      this.#sessions.checkLimits({now: clock.now(), monotonic: clock.monotonic(), stale, unrecorded})
    })
    this.#limitCheck.unref()
  }

  /** Whether somebody could get in: what is known here is fresh, and it is not about to end. */
  get open(): boolean {
    return this.#cache.staleness() <= this.#options.cacheTtlMilliseconds && !this.#gate.draining
  }

  get statistics(): SessionStatistics {
    return {
      ...this.#engine.counters,
      sessions: this.#sessions.count,
      connectionsTurnedAway: this.#entrance.turnedAway + (this.#listener?.turnedAway ?? 0),
      auditBacklogBytes: this.#options.spool.backlogBytes,
    }
  }

  /** The AWS side of a database that may be given credentials. @throws PosternError when it must not have any */
  admit(served: Served): Promise<AwsDatabase | undefined> {
    return this.#awsDatabases.admit(served)
  }

  /** Takes a paused connection that holds a client's first bytes. */
  accept(socket: Socket, session: SessionSource): void {
    this.#entrance.accept(socket, session)
  }

  /** Lets clients in that come without the proxy. @returns the port @throws PosternError UNREACHABLE */
  listen(address: Address): Promise<number> {
    const {self, credentials, logger} = this.#options
    this.#listener = new Listener({
      cluster: self.cluster,
      hostId: self.hostId,
      credentials,
      onArrival: (arrival) => {
        this.#engine.take(arrival)
      },
      logger,
      listen: address,
    })
    return this.#listener.open()
  }

  /** Ends these sessions within so many milliseconds, for a proxy that goes away. */
  drainFor(nonces: ReadonlySet<string>, deadline: number): void {
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

  /** Takes no new sessions, and ends the running ones after so many milliseconds. */
  async drain(milliseconds: number): Promise<void> {
    this.#gate.draining = true
    this.#engine.closeWaiting()
    await this.#sessions.empty(milliseconds)
    this.#sessions.endAll('The database agent is shutting down.')
    await this.#sessions.empty(farewellMilliseconds)
  }

  /** Ends everything; resolves when the audit is on disk and sent as far as that goes quickly. Drain first. */
  async close(): Promise<void> {
    clearInterval(this.#staleCheck)
    clearInterval(this.#limitCheck)
    this.#awsDatabases.stop()
    this.#entrance.close()
    this.#listener?.close()
    await atMost(endMilliseconds, Promise.all([this.#engine.settled(), this.#cache.close()]))
    await this.#shipper.close(shipMilliseconds)
    await this.#options.spool.close()
  }

  #endStale(): void {
    if (this.#cache.staleness() <= this.#options.maxStaleMilliseconds) return
    this.#sessions.endAll('The database agent has lost touch with the control plane for too long.')
  }
}

/** Whose event a line of the spool is, whatever else is wrong with it. */
function sessionOf(line: Buffer): string {
  return /"sid":"([^"]*)"/.exec(line.toString('utf8'))?.[1] ?? ''
}

/** Where an agent keeps what it has to tell the control plane: its own process, or a worker's. */
export function spoolDirectory(dataDir: string, worker?: number): string {
  return worker === undefined ? join(dataDir, 'spool') : join(dataDir, 'spool', `worker-${worker}`)
}

export async function atMost(milliseconds: number, work: Promise<unknown>): Promise<void> {
  await Promise.race([work, sleep(milliseconds, undefined, {ref: false})])
}
