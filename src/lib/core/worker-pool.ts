/**
 * Child processes of one service, which share its work:
 *
 *   main                         worker
 *     ── fork ────────────────────►│ no secret in arguments or environment: what it needs comes as a message
 *     ◄──────────── {ready: true} ─│
 *     ◄═══ the service's messages ═► both ways, with sockets towards the worker
 *     exit ── disconnect ─────────►│ ends by itself
 *     ◄─────────────────── exit ───│ replaced, later and later if it keeps happening
 */
import {fork, type ChildProcess} from 'node:child_process'
import type {Socket} from 'node:net'
import {availableParallelism} from 'node:os'
import {PosternError} from './errors.js'
import type {Logger} from './log.js'

export interface WorkerPoolOptions<Order, Report> {
  /** The program, beside the module that names it. */
  readonly script: URL
  readonly count: number
  /** Called with each fresh worker, before it is ready: the place to tell it what it needs. */
  readonly onFork?: (worker: Worker<Order>) => void
  readonly onReport: (worker: Worker<Order>, report: Report) => void
  /** A worker is gone, and what it did with it. */
  readonly onLost: (worker: Worker<Order>) => void
  /**
   * For workers that say something at least every second, unasked: one that is silent for so many looks, one each
   * `lookMilliseconds`, hangs and is killed. Looks of ours are counted and no time: if all of the machine is held up, they are too.
   */
  readonly silentLooks?: number | undefined
  /** A second unless told. */
  readonly lookMilliseconds?: number | undefined
  readonly logger: Logger
}

/** What every worker says when it can work. */
export interface ReadyReport {
  readonly ready: true
}

/** One worker process. It keeps its number when it is replaced, but not its identity. */
export interface Worker<Order> {
  /** From 0. */
  readonly number: number
  readonly pid: number
  /** What it has to do, in whatever unit the service counts. */
  load: number
  /** When it last said something; as `performance.now()`. */
  readonly heardAt: number
  /** Whether it has missed a few looks: others should get the work. */
  readonly isQuiet: boolean
  /** False when the worker is gone. A socket stays open here too: close it once this has resolved. */
  send(order: Order, socket?: Socket): Promise<boolean>
  /** Ends it at once, for it hangs. It is replaced. */
  kill(): void
}

const startMilliseconds = 30_000
const usualLookMilliseconds = 1000
const quietLooks = 3
const stopMilliseconds = 5000
const backoff = {firstMilliseconds: 100, mostMilliseconds: 30_000} as const
/** A worker that lived for so long starts the back-off anew. */
const stableMilliseconds = 60_000

/** `auto`: one process on up to two cores, above that a worker for every other core, at most 8. */
export function workerCount(setting: number | 'auto', cores = availableParallelism()): number {
  if (setting !== 'auto') return setting
  return cores <= 2 ? 1 : Math.min(Math.ceil(cores / 2), 8)
}

export class WorkerPool<Order, Report extends object> {
  readonly #options: WorkerPoolOptions<Order, Report>
  readonly #workers = new Set<WorkerProcess<Order>>()
  readonly #failures: number[] = []
  readonly #retries = new Set<NodeJS.Timeout>()
  readonly #looking: NodeJS.Timeout | undefined
  #started = false
  #closed = false

  private constructor(options: WorkerPoolOptions<Order, Report>) {
    this.#options = options
    const {silentLooks, lookMilliseconds = usualLookMilliseconds} = options
    if (silentLooks === undefined) return
    this.#looking = setInterval(() => {
      // After the poll phase: what the workers have said meanwhile is heard before they are judged.
      setImmediate(() => {
        this.#look(silentLooks)
      })
    }, lookMilliseconds)
    this.#looking.unref()
  }

  /**
   * Starts the workers and waits until each is ready.
   * @throws PosternError FAILED when one does not start
   */
  static async start<Order, Report extends object>(
    options: WorkerPoolOptions<Order, Report>,
  ): Promise<WorkerPool<Order, Report>> {
    const pool = new WorkerPool(options)
    try {
      await Promise.all(Array.from({length: options.count}, (_, number) => pool.#fork(number)))
      pool.#started = true
      return pool
    } catch (error) {
      await pool.close()
      throw error
    }
  }

  /** The workers that are ready. */
  get workers(): readonly Worker<Order>[] {
    return [...this.#workers].filter(({ready}) => ready)
  }

  /** The worker with the least to do, of the preferred ones if there are any; undefined while none is ready. */
  leastLoaded(isPreferred: (worker: Worker<Order>) => boolean = () => true): Worker<Order> | undefined {
    const ready = this.workers
    const preferred = ready.filter(isPreferred)
    return (preferred.length > 0 ? preferred : ready).reduce<Worker<Order> | undefined>(
      (least, worker) => (least && least.load <= worker.load ? least : worker),
      undefined,
    )
  }

  /** Ends the workers, whatever they do. */
  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#looking)
    for (const retry of this.#retries) clearTimeout(retry)
    await Promise.all([...this.#workers].map((worker) => worker.stop()))
  }

  /** Resolves when the worker is ready; rejects when it never becomes so. */
  #fork(number: number): Promise<void> {
    const {script, onFork, onReport, onLost, logger} = this.#options
    const worker = new WorkerProcess<Order>(script, number)
    const startedAt = performance.now()
    let wasReady = false
    this.#workers.add(worker)
    return new Promise((resolve, reject) => {
      const deadline = setTimeout(() => worker.child.kill('SIGKILL'), startMilliseconds)
      worker.child.on('message', (message) => {
        worker.heardAt = performance.now()
        if ('ready' in (message as object)) {
          worker.ready = true
          wasReady = true
          clearTimeout(deadline)
          resolve()
        } else {
          onReport(worker, message as Report)
        }
      })
      worker.onGone((reason) => {
        clearTimeout(deadline)
        this.#workers.delete(worker)
        onLost(worker)
        reject(new PosternError('FAILED', `A worker process could not be started: ${reason}.`))
        if (this.#closed) return
        logger.error('A worker process ended; its sessions ended with it.', {worker: number, pid: worker.pid, reason})
        // One that does not come up when the service starts fails that start.
        if (this.#started || wasReady) this.#replace(number, performance.now() - startedAt)
      })
      onFork?.(worker)
    })
  }

  #look(silentLooks: number): void {
    for (const worker of this.#workers) {
      if (!worker.ready) continue
      worker.missed = worker.heardAt === worker.lookedAt ? worker.missed + 1 : 0
      worker.lookedAt = worker.heardAt
      if (worker.missed < silentLooks) continue
      this.#options.logger.error('A worker process hangs and is ended.', {worker: worker.number, pid: worker.pid})
      worker.kill()
    }
  }

  #replace(number: number, lived: number): void {
    const failures = lived >= stableMilliseconds ? 0 : (this.#failures[number] ?? 0)
    this.#failures[number] = failures + 1
    const wait = Math.min(backoff.mostMilliseconds, backoff.firstMilliseconds * 2 ** failures)
    const retry = setTimeout(() => {
      this.#retries.delete(retry)
      this.#fork(number).then(
        () => {
          this.#options.logger.info('A worker process was replaced.', {worker: number})
        },
        () => undefined,
      )
    }, wait)
    this.#retries.add(retry)
  }
}

class WorkerProcess<Order> implements Worker<Order> {
  readonly number: number
  readonly child: ChildProcess
  load = 0
  heardAt = 0
  /** What `heardAt` was at the last look, and for how many looks it has been that. */
  lookedAt = -1
  missed = 0
  ready = false
  /** Node forgets the callbacks of what is still queued when the process ends. */
  readonly #sending = new Set<(sent: boolean) => void>()
  #gone = false

  constructor(script: URL, number: number) {
    this.number = number
    this.child = fork(script, [String(number)], {stdio: ['ignore', 'inherit', 'inherit', 'ipc']})
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  get isQuiet(): boolean {
    return this.missed >= quietLooks
  }

  /** Calls back once, with the reason, when the process has ended or never began. */
  onGone(listener: (reason: string) => void): void {
    const once = (reason: string): void => {
      if (this.#gone) return
      this.#gone = true
      this.ready = false
      for (const settle of this.#sending) settle(false)
      listener(reason)
    }
    this.child.once('exit', (code, signal) => {
      once(signal ? `it was killed by ${signal}` : `it ended with ${String(code)}`)
    })
    this.child.on('error', (error) => {
      if (this.child.pid === undefined) once(error.message)
    })
  }

  send(order: Order, socket?: Socket): Promise<boolean> {
    if (this.#gone || !this.child.connected) return Promise.resolve(false)
    return new Promise((resolve) => {
      // Kept open: what still arrives here is kept by the socket, and can be seen, instead of being dropped.
      const settle = (sent: boolean): void => {
        this.#sending.delete(settle)
        resolve(sent)
      }
      this.#sending.add(settle)
      this.child.send(order as object, socket, {keepOpen: true}, (error) => {
        settle(error === null)
      })
    })
  }

  kill(): void {
    this.child.kill('SIGKILL')
  }

  async stop(): Promise<void> {
    if (this.#gone) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.child.kill('SIGKILL'), stopMilliseconds)
      this.child.once('exit', () => {
        clearTimeout(timer)
        resolve()
      })
      if (this.child.connected) this.child.disconnect()
      else this.child.kill('SIGKILL')
    })
  }
}
