import {appendFile} from 'node:fs/promises'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import type {Clock} from '../core/clock.js'
import {messageOf, PosternError} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import type {Batch, Spool} from './spool.js'

export interface ShipperOptions {
  readonly spool: Spool
  /** Delivers events in order; resolves when the control plane keeps them. */
  readonly send: (lines: Buffer) => Promise<void>
  readonly clock: Pick<Clock, 'monotonic'>
  readonly logger: Logger
  /** Where events go that the control plane refuses for good, so that they are not lost. */
  readonly refusedDirectory: string
  /** One event was set aside there. */
  readonly onRefused?: ((line: Buffer) => void) | undefined
  readonly backoff?: {readonly firstMilliseconds: number; readonly mostMilliseconds: number}
}

/** Gathers events a little, so that a busy agent sends few large batches. */
const gatherMilliseconds = 100
/** After a batch of so many bytes it gathers longer: what a batch costs the control plane depends little on its size. */
const busyBytes = 64 * 1024
const busyGatherMilliseconds = 400
/** With so much to send there is nothing to gather. */
const worthwhileBytes = 1024 * 1024
const defaultBackoff = {firstMilliseconds: 500, mostMilliseconds: 30_000}
const refusedFile = 'refused.ndjson'

/** Sends what is in the spool to the control plane: in order, again and again until it is acknowledged. */
export class Shipper {
  readonly #options: ShipperOptions
  readonly #stop = new AbortController()
  readonly #finished: Promise<void>
  #wake: () => void = () => undefined
  #hurried = false
  /** Monotonic time since when there is something to send, and nothing was taken. */
  #waitingSince: number | undefined
  #failing = false

  constructor(options: ShipperOptions) {
    this.#options = options
    options.spool.onAppend = () => {
      this.#wake()
    }
    this.#finished = this.#run()
  }

  /** Whether the control plane did not take what it was sent last. */
  get failing(): boolean {
    return this.#failing
  }

  /** Milliseconds for which the control plane has taken nothing although there is something. */
  get stalledMilliseconds(): number {
    return this.#waitingSince === undefined ? 0 : this.#options.clock.monotonic() - this.#waitingSince
  }

  /** Stops when everything is sent, or after so many milliseconds; what is left stays in the spool. */
  async close(milliseconds: number): Promise<void> {
    this.#hurried = true
    this.#wake()
    const deadline = sleep(milliseconds, undefined, {ref: false})
    await Promise.race([this.#finished, deadline])
    this.#stop.abort()
  }

  async #run(): Promise<void> {
    const {spool, clock, logger} = this.#options
    while (!this.#stopped()) {
      const appended = new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      try {
        this.#waitingSince ??= clock.monotonic()
        const batch = await spool.read()
        if (batch) await this.#deliver(batch)
        this.#waitingSince = undefined
        if (batch) {
          const isBusy = batch.lines.length >= busyBytes
          if (!this.#hurried && spool.backlogBytes < worthwhileBytes)
            await this.#pause(isBusy ? busyGatherMilliseconds : gatherMilliseconds)
        } else {
          if (this.#hurried) return
          await appended
          await this.#pause(gatherMilliseconds)
        }
      } catch (error) {
        if (this.#stopped()) return
        logger.error('The audit spool cannot be read.', {reason: messageOf(error)})
        await this.#pause(defaultBackoff.mostMilliseconds).catch(() => undefined)
      }
    }
  }

  async #deliver(batch: Batch): Promise<void> {
    if (!(await this.#send(batch.lines))) {
      // One event that the control plane cannot take must not hold up the others.
      for (const line of linesOf(batch.lines)) if (!(await this.#send(line))) await this.#setAside(line)
    }
    await batch.acknowledge()
  }

  /** True when they were taken, false when they never will be. Rejects when the shipper stops. */
  async #send(lines: Buffer): Promise<boolean> {
    const {send, logger, backoff = defaultBackoff} = this.#options
    for (let attempt = 0; ; attempt += 1) {
      try {
        await send(lines)
        if (attempt > 0) logger.info('Audit events reach the control plane again.')
        this.#failing = false
        return true
      } catch (error) {
        if (isFinal(error)) {
          this.#failing = false
          logger.error('The control plane refused audit events.', {reason: messageOf(error), bytes: lines.length})
          return false
        }
        this.#failing = true
        if (attempt === 0) {
          logger.warn('Audit events cannot be sent; they wait in the spool.', {reason: messageOf(error)})
        }
        const full = Math.min(backoff.mostMilliseconds, backoff.firstMilliseconds * 2 ** attempt)
        // Half of it random, so that agents do not come back all at once.
        await this.#pause(full * (0.5 + Math.random() / 2))
      }
    }
  }

  async #setAside(line: Buffer): Promise<void> {
    const {refusedDirectory, onRefused} = this.#options
    await appendFile(join(refusedDirectory, refusedFile), line, {mode: 0o600, flush: true})
    onRefused?.(line)
  }

  #stopped(): boolean {
    return this.#stop.signal.aborted
  }

  async #pause(milliseconds: number): Promise<void> {
    await sleep(milliseconds, undefined, {signal: this.#stop.signal})
  }
}

/** Each with its end. */
function* linesOf(lines: Buffer): Generator<Buffer> {
  for (let start = 0; start < lines.length;) {
    const end = lines.indexOf('\n', start) + 1
    yield lines.subarray(start, end)
    start = end
  }
}

/** The same events would be refused again. */
function isFinal(error: unknown): boolean {
  return error instanceof PosternError && (error.code === 'INVALID' || error.code === 'CONFLICT')
}
