import type {Endpoint} from '../api/transport.js'
import type {Logger} from '../core/log.js'
import {WorkerPool, type Worker} from '../core/worker-pool.js'
import {afterRunning} from '../core/running-time.js'
import type {BackendKey} from '../pgwire/server-messages.js'
import type {DataDialer, ProxyAddress} from '../tunnel/data-connections.js'
import type {CancelText, SessionOrder, SessionReport, SharedState, WorkerState} from './session-messages.js'
import {spoolDirectory} from './session-server.js'
import type {SessionSettings} from './session-settings.js'
import {add, noStatistics, type SessionStatistics} from './session-statistics.js'

export interface SessionWorkersOptions {
  readonly count: number
  readonly settings: SessionSettings
  readonly endpoint: Omit<Endpoint, 'credentials'>
  readonly dataDir: string
  readonly proxyAddress: ProxyAddress
  /** What every worker needs to know now; asked again and again. */
  readonly shared: () => SharedState
  /** A client's cancel request, whose session may be anywhere. */
  readonly onCancel: (user: string, key: BackendKey, database: string) => Promise<void>
  readonly logger: Logger
}

type SessionWorker = Worker<SessionOrder>

/** An order without the number of the answer to it. */
type Request =
  Extract<SessionOrder, {request: number}> extends infer Order
    ? Order extends {request: number}
      ? Omit<Order, 'request'>
      : never
    : never

/** Renewed certificates and refusals reach the workers so soon. */
const shareMilliseconds = 250
/** A worker that hangs must hold up neither a cancel request nor the end of the process; one that does not needs less. */
const answerMilliseconds = 5000
/** A worker that has said nothing at so many looks, one a second, hangs: long enough for a machine that has far too much to do. */
const silentLooks = 60

/** The worker processes that serve an agent's sessions (session-messages.ts). */
export class SessionWorkers {
  readonly #options: SessionWorkersOptions
  /** All that live: what they are told while they start, they do when they have started. */
  readonly #forked = new Set<SessionWorker>()
  readonly #states = new Map<SessionWorker, WorkerState>()
  /** Where data connections are, by nonce. */
  readonly #places = new Map<string, SessionWorker>()
  /** Requests without an answer, by their number. */
  readonly #requests = new Map<number, {readonly worker: SessionWorker; readonly settle: (found?: boolean) => void}>()
  readonly #share: NodeJS.Timeout
  #pool: WorkerPool<SessionOrder, SessionReport> | undefined
  #numbers = 0
  #shared = ''
  #found: SharedState['found'] = []
  /** What workers that are gone have counted. */
  #past = noStatistics

  private constructor(options: SessionWorkersOptions) {
    this.#options = options
    this.#share = setInterval(() => {
      this.share()
    }, shareMilliseconds)
    this.#share.unref()
  }

  /** @throws PosternError FAILED when a worker does not start */
  static async start(options: SessionWorkersOptions): Promise<SessionWorkers> {
    const workers = new SessionWorkers(options)
    await workers.#fork()
    return workers
  }

  get count(): number {
    return this.#options.count
  }

  /** Whether somebody could get in. */
  get open(): boolean {
    return [...this.#states.values()].some(({open}) => open)
  }

  get statistics(): SessionStatistics {
    return [...this.#states.values()].reduce((sum, {statistics}) => add(sum, statistics), this.#past)
  }

  /** Takes the orders for data connections of one control connection; `local` dials while there is no worker. */
  dataConnections(recycleMilliseconds: number, local: DataDialer): DataDialer {
    this.#numbers += 1
    const tunnel = this.#numbers
    const proxy = this.#options.proxyAddress
    return {
      dial: (nonce, at, src) => {
        const worker = this.#pool?.leastLoaded((each) => !each.isQuiet && this.#states.get(each)?.open === true)
        if (!worker) {
          local.dial(nonce, at, src)
        } else if (!this.#places.has(nonce)) {
          this.#places.set(nonce, worker)
          worker.load += 1
          void worker.send({dial: {nonce, tunnel, proxy, recycleMilliseconds, at, src}})
        }
      },
      use: (nonce, src) => {
        const worker = this.#places.get(nonce)
        if (worker) void worker.send({use: nonce, tunnel, src})
        else local.use(nonce, src)
      },
      close: () => {
        local.close()
        this.#tellAll({forget: tunnel})
      },
    }
  }

  /** Tells the workers what has changed, if anything has. */
  share(): void {
    const shared = this.#options.shared()
    const key = JSON.stringify([shared.host.certificate, shared.refused])
    if (key === this.#shared && shared.found === this.#found) return
    this.#shared = key
    this.#found = shared.found
    this.#tellAll({shared})
  }

  /** Cancels what the key belongs to, in whichever worker it is; whether one of those that do not hang has it. */
  async cancel(user: string, {pid, secret}: BackendKey): Promise<boolean> {
    const cancel: CancelText = {user, pid, secret: secret.toString('base64')}
    return (await this.#askAll({cancel}, answerMilliseconds)).includes(true)
  }

  drainFor(nonces: readonly string[], deadline: number): void {
    this.#tellAll({drainFor: nonces, deadline})
  }

  async drain(milliseconds: number): Promise<void> {
    await this.#askAll({drain: milliseconds}, milliseconds + answerMilliseconds)
  }

  /** Resolves when all have ended, their audit on disk and sent as far as that goes quickly. Drain first. */
  async close(): Promise<void> {
    clearInterval(this.#share)
    await this.#askAll({close: true}, answerMilliseconds * 3)
    await this.#pool?.close()
  }

  async #fork(): Promise<void> {
    const {count, settings, endpoint, dataDir, shared, logger} = this.#options
    this.#pool = await WorkerPool.start<SessionOrder, SessionReport>({
      script: new URL('./session-worker.js', import.meta.url),
      count,
      silentLooks,
      logger,
      onFork: (worker) => {
        this.#forked.add(worker)
        const start = {settings, endpoint, spoolDirectory: spoolDirectory(dataDir, worker.number)}
        void worker.send({start, shared: shared()})
      },
      onReport: (worker, report) => {
        this.#read(worker, report)
      },
      onLost: (worker) => {
        this.#forget(worker)
      },
    })
  }

  #read(worker: SessionWorker, report: SessionReport): void {
    if ('closed' in report) {
      if (this.#places.delete(report.closed)) worker.load -= 1
    } else if ('present' in report) {
      const {user, pid, secret} = report.present
      void this.#options.onCancel(user, {pid, secret: Buffer.from(secret, 'base64')}, report.database).then(() => {
        void worker.send({presented: report.number})
      })
    } else if ('answer' in report) {
      this.#requests.get(report.answer)?.settle(report.found)
    } else if ('state' in report) {
      this.#states.set(worker, report.state)
    } else {
      this.#options.logger.with({worker: worker.number})[report.log](report.message, report.fields)
    }
  }

  #forget(worker: SessionWorker): void {
    this.#forked.delete(worker)
    const state = this.#states.get(worker)
    this.#states.delete(worker)
    // Its sessions are over, and what it had not sent is its successor's to send.
    if (state) this.#past = add(this.#past, {...state.statistics, sessions: 0, auditBacklogBytes: 0})
    for (const [nonce, place] of this.#places) if (place === worker) this.#places.delete(nonce)
    for (const request of this.#requests.values()) if (request.worker === worker) request.settle()
  }

  #tellAll(order: SessionOrder): void {
    for (const worker of this.#forked) void worker.send(order)
  }

  /** Resolves when every worker has answered or is gone, or the time is over; what they have found. */
  async #askAll(request: Request, milliseconds: number): Promise<boolean[]> {
    return Promise.all((this.#pool?.workers ?? []).map((worker) => this.#ask(worker, request, milliseconds)))
  }

  #ask(worker: SessionWorker, request: Request, milliseconds: number): Promise<boolean> {
    this.#numbers += 1
    const number = this.#numbers
    return new Promise((resolve) => {
      const settle = (found = false): void => {
        forget()
        this.#requests.delete(number)
        resolve(found)
      }
      const forget = afterRunning(milliseconds, () => {
        settle()
      })
      this.#requests.set(number, {worker, settle})
      void worker.send({...request, request: number}).then((sent) => {
        if (!sent) settle()
      })
    })
  }
}
