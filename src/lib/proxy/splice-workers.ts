import type {Socket} from 'node:net'
import type {Logger} from '../core/log.js'
import {WorkerPool, type Worker} from '../core/worker-pool.js'
import {afterRunning} from '../core/running-time.js'
import type {SpliceCounts} from '../tunnel/splice.js'
import type {Joint} from './joint.js'
import type {SpliceOrder, SpliceReport} from './splice-messages.js'

/** Beyond what the agent has, for a worker to take two sockets and to say that the agent did not answer. */
const graceMilliseconds = 3000
const noBytes: SpliceCounts = {leftToRightBytes: 0, rightToLeftBytes: 0}

interface SpliceWorkersOptions {
  readonly script?: URL | undefined
  readonly count: number
  readonly logger: Logger
}

/** The worker processes that splice sessions. What is decided is decided here, before and after (splice-messages.ts). */
export class SpliceWorkers {
  readonly #joints = new Map<number, WorkerJoint>()
  readonly #pool: WorkerPool<SpliceOrder, SpliceReport>
  #numbers = 0

  private constructor(pool: WorkerPool<SpliceOrder, SpliceReport>, joints: Map<number, WorkerJoint>) {
    this.#pool = pool
    this.#joints = joints
  }

  /** @throws PosternError FAILED when a worker does not start */
  static async start({script, count, logger}: SpliceWorkersOptions): Promise<SpliceWorkers> {
    const joints = new Map<number, WorkerJoint>()
    const pool = await WorkerPool.start<SpliceOrder, SpliceReport>({
      script: script ?? new URL('./splice-worker.js', import.meta.url),
      count,
      logger,
      onReport: (_worker, report) => {
        if ('offered' in report) joints.get(report.offered)?.onOffered(report.attempt, report.answered)
        else joints.get(report.ended)?.onEnded(report.counts)
      },
      onLost: (worker) => {
        for (const joint of joints.values()) if (joint.worker === worker) joint.onEnded(noBytes)
      },
    })
    return new SpliceWorkers(pool, joints)
  }

  /** A joint for a client in the worker with the fewest sessions; undefined while there is none. */
  join(client: Socket): Joint | undefined {
    const worker = this.#pool.leastLoaded()
    if (!worker) return undefined
    this.#numbers += 1
    const number = this.#numbers
    const joint = new WorkerJoint(number, worker, client, () => {
      this.#joints.delete(number)
    })
    this.#joints.set(number, joint)
    return joint
  }

  close(): Promise<void> {
    return this.#pool.close()
  }
}

class WorkerJoint implements Joint {
  readonly worker: Worker<SpliceOrder>
  readonly #number: number
  readonly #client: Socket
  readonly #onGone: () => void
  readonly #ended: Promise<SpliceCounts>
  #end: (counts: SpliceCounts) => void = () => undefined
  #isOver = false
  #answer: (answered: boolean) => void = () => undefined
  /** Offers so far: what a worker says of an earlier one comes too late. */
  #attempts = 0
  /** Whether the worker has the client; undefined before it was sent there. */
  #handed: Promise<boolean> | undefined

  constructor(number: number, worker: Worker<SpliceOrder>, client: Socket, onGone: () => void) {
    this.#number = number
    this.worker = worker
    this.#client = client
    this.#onGone = onGone
    worker.load += 1
    this.#ended = new Promise((resolve) => {
      this.#end = resolve
    })
  }

  offer(connection: Socket, hello: Buffer, milliseconds: number): Promise<boolean> {
    this.#attempts += 1
    const attempt = this.#attempts
    const answered = this.#answerWithin(milliseconds + graceMilliseconds)
    this.#handed ??= handOver(this.worker, {client: this.#number}, this.#client)
    const handed = [this.#handed, handOver(this.worker, {connection: this.#number}, connection)]
    void Promise.all(handed).then((sent) => {
      // Given up meanwhile: the answer that is waited for now is another one's.
      if (attempt !== this.#attempts) return
      if (this.#isOver || !sent.every(Boolean)) this.#answer(false)
      else void this.worker.send({offer: this.#number, attempt, hello: hello.toString('base64'), milliseconds})
    })
    return answered
  }

  run(): Promise<SpliceCounts> {
    return this.#ended
  }

  close(): void {
    this.#client.destroy()
    void this.worker.send({close: this.#number})
    this.onEnded(noBytes)
  }

  onOffered(attempt: number, answered: boolean): void {
    if (attempt === this.#attempts) this.#answer(answered)
  }

  onEnded(counts: SpliceCounts): void {
    if (this.#isOver) return
    this.#isOver = true
    this.worker.load -= 1
    this.#answer(false)
    this.#end(counts)
    this.#onGone()
  }

  /** What the worker says; false, and its end, when it says nothing at all to anybody. */
  #answerWithin(milliseconds: number): Promise<boolean> {
    const begun = performance.now()
    return new Promise((resolve) => {
      const settle = (answered: boolean): void => {
        forget()
        resolve(answered)
      }
      const forget = afterRunning(milliseconds, () => {
        if (this.worker.heardAt < begun) this.worker.kill()
        settle(false)
      })
      this.#answer = settle
    })
  }
}

/**
 * Moves a socket to a worker. Nobody who keeps to the protocol speaks while it moves: the client waits for an answer to
 * its ClientHello, the agent's end for the ClientHello itself. Bytes that arrive here all the same cannot be put in order
 * with those that arrive there, so they end the attempt.
 */
async function handOver(worker: Worker<SpliceOrder>, order: SpliceOrder, socket: Socket): Promise<boolean> {
  const sent = await worker.send(order, socket)
  const early = socket.readableLength > 0
  socket.destroy()
  return sent && !early
}
