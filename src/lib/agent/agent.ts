/**
 * The Database Service: serves databases to clients that come through the tunnel.
 *
 *   control plane ◄─beats── heartbeat, health        orders ──┬── tunnel ◄── proxy
 *                                                             ▼
 *                 ◄═══════════════════════════ session server, here or one in each worker ◄══ data connections
 */
import {Spool} from '../audit/spool.js'
import {messageOf} from '../core/errors.js'
import type {BackendKey} from '../pgwire/server-messages.js'
import type {Credentials} from '../pki/credentials.js'
import type {TargetHealth} from '../resources/database-server.js'
import type {Database} from '../resources/database.js'
import {DataConnections, type OnConnection} from '../tunnel/data-connections.js'
import {formatAddress} from '../resources/endpoint.js'
import {startTunnel, type Tunnel} from '../tunnel/dialer.js'
import {AbandonedSpools} from './abandoned-spools.js'
import type {Served} from './catalog.js'
import {FoundDatabases} from './found-databases.js'
import {HealthChecks} from './health.js'
import {Heartbeat} from './heartbeat.js'
import {IamUpkeep} from './iam-upkeep.js'
import {sessionSettings, type Agent, type AgentOptions} from './options.js'
import type {CredentialsText, SharedState} from './session-messages.js'
import {atMost, SessionServer, spoolDirectory} from './session-server.js'
import type {SessionSettings} from './session-settings.js'
import {add, type SessionStatistics} from './session-statistics.js'
import {SessionWorkers} from './session-workers.js'

const defaultHeartbeat = 30_000
const defaultPoll = 5 * 60_000
/** A request that hangs must not hold up the end of the process. */
const endMilliseconds = 5000

/**
 * Starts an agent. It connects to the proxy and the control plane by itself, and again after each failure.
 * @throws PosternError FAILED when the audit spool cannot be opened or a worker does not start
 */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const {dataDir, clock, logger} = options
  const spool = await Spool.open({directory: spoolDirectory(dataDir), clock, logger})
  const service = new DatabaseService(options, spool)
  try {
    await service.open()
    return service
  } catch (error) {
    await service.close()
    throw error
  }
}

class DatabaseService implements Agent {
  readonly hostId: string
  readonly #options: AgentOptions
  readonly #settings: SessionSettings
  /** Serves the sessions when there are no workers, and while none is ready; and always those that come without the proxy. */
  readonly #server: SessionServer
  readonly #health: HealthChecks
  readonly #found: FoundDatabases
  readonly #upkeep: IamUpkeep | undefined
  readonly #heartbeat: Heartbeat
  #workers: SessionWorkers | undefined
  #abandoned: AbandonedSpools | undefined
  #tunnel: Tunnel | undefined
  #directAddress: string | undefined
  #draining = false
  #closing: Promise<void> | undefined

  constructor(options: AgentOptions, spool: Spool) {
    const {cluster, hostId, hostname, version, credentials, api, clock, logger} = options
    this.hostId = hostId
    this.#options = options
    this.#settings = sessionSettings(options)
    this.#server = new SessionServer({
      ...this.#settings,
      spool,
      spoolDirectory: spoolDirectory(options.dataDir),
      environment: options.environment,
      api,
      credentials,
      refusedDatabases: () => this.#heartbeat.refused,
      presentCancel: (user, key, database) => this.#cancel(user, key, database),
      onForwardedCancel: (user, key) => {
        void this.#cancelHere(user, key)
      },
      onServed: (name, served) => {
        this.#serve(name, served)
      },
      onHealthChecks: (configurations) => {
        this.#health.configure(configurations)
      },
      onDescribed: () => {
        // What AWS says may have changed labels.
        for (const served of this.#server.catalog.served) this.#health.update(served)
        this.#heartbeat.hurry()
        this.#upkeep?.hurry()
      },
      logger,
      clock,
    })
    this.#health = new HealthChecks({
      allowLoopback: this.#settings.allowLoopback,
      connectAddresses: options.connectAddresses ?? new Map(),
      clock,
      logger,
      onChange: () => {
        this.#heartbeat.hurry()
      },
    })
    for (const served of this.#server.catalog.served) this.#health.start(served)
    this.#upkeep =
      options.iamPolicy === 'auto'
        ? new IamUpkeep({
            cluster,
            aws: this.#server.aws,
            served: () => this.#server.catalog.served,
            admit: (served) => this.#server.admit(served),
            onStatus: () => {
              this.#heartbeat.hurry()
            },
            logger,
          })
        : undefined
    this.#upkeep?.hurry()
    this.#found = new FoundDatabases({
      matchers: options.discovery?.matchers ?? [],
      pollMilliseconds: options.discovery?.pollMilliseconds ?? defaultPoll,
      list: (scope) => this.#server.aws.list(scope),
      onFound: (databases) => {
        this.#server.catalog.discover(databases)
        this.#workers?.share()
      },
      logger,
    })
    this.#heartbeat = new Heartbeat({
      api,
      logger,
      intervalMilliseconds: options.heartbeatMilliseconds ?? defaultHeartbeat,
      state: () => ({
        hostname,
        version,
        databases: [...this.databases()],
        ...(this.#directAddress === undefined ? {} : {directAddress: this.#directAddress}),
      }),
      onTaken: () => {
        this.#workers?.share()
      },
    })
  }

  /** Starts the workers, then lets clients come. */
  async open(): Promise<void> {
    const {cluster, credentials, hostAuthorities, proxyAddress, dataDir, api, clock, logger} = this.#options
    const workers = await this.#startWorkers()
    this.#workers = workers
    this.#abandoned = await AbandonedSpools.send({dataDir, workers: workers?.count ?? 0, api, clock, logger})
    const onConnection: OnConnection = (socket, session) => {
      this.#server.accept(socket, session)
    }
    this.#tunnel = startTunnel({
      proxyAddress,
      cluster,
      credentials,
      hostAuthorities,
      onConnection,
      dataConnections:
        workers &&
        ((recycle) =>
          workers.dataConnections(recycle, new DataConnections(proxyAddress, recycle, onConnection, logger))),
      onDrain: (nonces, deadline) => {
        this.#server.drainFor(new Set(nonces), deadline)
        workers?.drainFor(nonces, deadline)
      },
      logger,
      clock,
    })
    await this.#listen()
  }

  ready(): boolean {
    const isOpen = this.#server.open && (this.#workers?.open ?? true)
    return this.#tunnel?.state === 'connected' && isOpen && this.#heartbeat.acknowledged && !this.#draining
  }

  databases(): readonly {readonly database: Database; readonly health: TargetHealth}[] {
    return this.#server.catalog.served.map(({database}) => ({
      database: this.#withStatus(database),
      health: this.#health.of(database.metadata.name),
    }))
  }

  #withStatus(database: Database): Database {
    const status = this.#upkeep?.statusOf(database.metadata.name)
    if (status === undefined) return database
    return {...database, spec: {...database.spec, aws: {...database.spec.aws, iam_policy_status: status}}}
  }

  sessions(): number {
    return this.statistics().sessions
  }

  statistics(): SessionStatistics {
    const {statistics} = this.#server
    return this.#workers ? add(statistics, this.#workers.statistics) : statistics
  }

  async drain(milliseconds: number): Promise<void> {
    this.#draining = true
    await Promise.all([this.#server.drain(milliseconds), this.#workers?.drain(milliseconds)])
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await this.drain(0)
    this.#tunnel?.close()
    this.#found.stop()
    this.#health.stop()
    await atMost(endMilliseconds, Promise.all([this.#heartbeat.stop(), this.#upkeep?.stop()]))
    await Promise.all([this.#workers?.close(), this.#server.close(), this.#abandoned?.close()])
  }

  /** Lets clients in that come without the proxy, into this process, and tells the control plane of it. */
  async #listen(): Promise<void> {
    const {direct, logger} = this.#options
    if (!direct) return
    const port = await this.#server.listen(direct.listen)
    const {announce} = direct
    this.#directAddress = formatAddress(announce.port === 0 ? {host: announce.host, port} : announce)
    this.#heartbeat.hurry()
    logger.info('Clients can come without the proxy.', {address: this.#directAddress})
    if (this.#workers) {
      logger.warn('Sessions that come without the proxy all run in the main process, in no worker.', {
        workers: this.#workers.count,
      })
    }
  }

  async #startWorkers(): Promise<SessionWorkers | undefined> {
    const {workers: count = 1, endpoint, dataDir, proxyAddress, logger} = this.#options
    if (count === 1 || !endpoint) return undefined
    return SessionWorkers.start({
      count,
      settings: this.#settings,
      endpoint,
      dataDir,
      proxyAddress,
      shared: () => this.#sharedState(),
      onCancel: (user, key, database) => this.#cancel(user, key, database),
      logger,
    })
  }

  #sharedState(): SharedState {
    return {
      host: writeCredentials(this.#options.credentials()),
      refused: [...this.#heartbeat.refused],
      found: this.#found.databases,
    }
  }

  /** A client's cancel request: the allowance of a user is one, wherever the requests arrive. */
  async #cancel(user: string, key: BackendKey, database: string): Promise<void> {
    const {api, logger} = this.#options
    if (!this.#server.cancels.admits(user) || (await this.#cancelHere(user, key))) return
    // Clients find an agent anew for each connection: the session may be with another one.
    const {pid, secret} = key
    await api.forwardCancel({database, user, pid, secret: secret.toString('base64')}).catch((error: unknown) => {
      logger.warn('A cancel request could not be passed on.', {reason: messageOf(error)})
    })
  }

  async #cancelHere(user: string, key: BackendKey): Promise<boolean> {
    const found = await Promise.all([this.#server.cancels.cancel(user, key), this.#workers?.cancel(user, key)])
    return found.includes(true)
  }

  /** A database is served from now on, no longer, or elsewhere. */
  #serve(name: string, served: Served | undefined): void {
    if (served) this.#health.start(served)
    else this.#health.forget(name)
    this.#heartbeat.hurry()
    this.#upkeep?.hurry()
  }
}

function writeCredentials({certificate, privateKey}: Credentials): CredentialsText {
  return {certificate, privateKey: privateKey.reveal()}
}
