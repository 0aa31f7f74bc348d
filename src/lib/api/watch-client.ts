import {randomUUID} from 'node:crypto'
import {setTimeout as sleep} from 'node:timers/promises'
import type {Clock} from '../core/clock.js'
import {messageOf} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import {lookWhileRunning} from '../core/running-time.js'
import type {ApiClient} from './client.js'
import type {LiveSession} from './live-session.js'
import type {WatchEvent} from './watch-event.js'

const defaultPingInterval = 2000
/** A stream whose newest answered ping was sent longer ago than this is given up and opened anew. */
const silence = 10_000
/** Until `ready`, pongs wait behind everything there is to know. */
const firstSilence = 60_000
const maximumLine = 4 * 1024 * 1024
const backoff = {first: 200, longest: 5000}

export interface WatchOptions {
  readonly client: ApiClient
  readonly clock: Clock
  readonly logger: Logger
  /** A new stream begins: what follows until `ready` is everything, and whatever is not in it is gone. */
  readonly onStart: () => void
  readonly onEvent: (event: WatchEvent) => void
  /** The sessions of this process; asked for now and then. */
  readonly sessions?: (() => readonly LiveSession[]) | undefined
  /** Those of them that are about to begin. */
  readonly opening?: (() => Iterable<string>) | undefined
  readonly pingIntervalMilliseconds?: number
}

/** Follows the control plane's watch stream for ever, and knows how fresh what it heard is. */
export class WatchClient {
  readonly #options: WatchOptions
  /** Processes of one host follow side by side. */
  readonly #follower = randomUUID()
  readonly #stop = new AbortController()
  readonly #finished: Promise<void>
  /** Monotonic send times of pings that are not answered yet, by sequence. */
  #sent = new Map<number, number>()
  #sequence = 0
  #expected = 0
  #freshAt: number | undefined

  constructor(options: WatchOptions) {
    this.#options = options
    this.#finished = this.#run()
  }

  /**
   * Milliseconds since the newest ping was sent whose answer came back in order; Infinity before the first. A stream
   * that drips old lines does not look fresh: only an answered ping counts.
   */
  staleness(): number {
    return this.#freshAt === undefined ? Infinity : this.#options.clock.monotonic() - this.#freshAt
  }

  async close(): Promise<void> {
    this.#stop.abort()
    await this.#finished
  }

  async #run(): Promise<void> {
    let delay = backoff.first
    while (!this.#stopped()) {
      const before = this.#freshAt
      try {
        await this.#follow()
      } catch (error) {
        if (!this.#stopped()) {
          this.#options.logger.warn('The watch stream of the control plane ended.', {reason: messageOf(error)})
        }
      }
      delay = this.#freshAt === before ? Math.min(delay * 2, backoff.longest) : backoff.first
      // Half of it random, so that a fleet does not come back all at once.
      await sleep(delay * (0.5 + Math.random() / 2), undefined, {signal: this.#stop.signal}).catch(() => undefined)
    }
  }

  async #follow(): Promise<void> {
    const {client, clock, onStart, onEvent, pingIntervalMilliseconds = defaultPingInterval} = this.#options
    const connection = new AbortController()
    const signal = AbortSignal.any([this.#stop.signal, connection.signal])
    const timers: NodeJS.Timeout[] = []
    try {
      const body = await client.transport.stream(`/v1/watch?follower=${this.#follower}`, signal)
      this.#sent.clear()
      this.#sequence = 0
      this.#expected = 0
      onStart()
      let alive = clock.monotonic()
      let patience = firstSilence
      let watchId: string | undefined
      const look = (): void => {
        if (clock.monotonic() - alive > patience) connection.abort()
      }
      const beat = (): void => {
        if (watchId !== undefined) this.#ping(watchId)
      }
      // For the time in which this process was held up nobody else is silent: it pings before it judges.
      timers.push(lookWhileRunning(pingIntervalMilliseconds, clock, look), setInterval(beat, pingIntervalMilliseconds))
      for await (const event of readLines(body)) {
        if (event.type === 'hello') {
          watchId = event.watchId
          beat()
        } else if (event.type === 'pong') {
          alive = this.#pong(event.sequence) ?? alive
        } else if (event.type === 'ask') {
          if (watchId !== undefined) this.#tellSessions(watchId, event.ask)
        } else {
          if (event.type === 'ready') patience = silence
          onEvent(event)
        }
      }
    } finally {
      for (const timer of timers) clearInterval(timer)
      connection.abort()
    }
  }

  #ping(watchId: string): void {
    const sequence = this.#sequence++
    this.#sent.set(sequence, this.#options.clock.monotonic())
    this.#options.client.ping(watchId, {sequence}).catch((error: unknown) => {
      this.#options.logger.debug('A ping to the control plane failed.', {reason: messageOf(error)})
    })
  }

  #tellSessions(watchId: string, ask: string): void {
    const {client, sessions, opening = () => [], logger} = this.#options
    if (!sessions) return
    client
      .reportSessions(watchId, {ask, sessions: [...sessions()], opening: [...opening()]})
      .catch((error: unknown) => {
        logger.debug('The sessions could not be told to the control plane.', {reason: messageOf(error)})
      })
  }

  #stopped(): boolean {
    return this.#stop.signal.aborted
  }

  /** When the answered ping was sent; undefined for an answer that says nothing about freshness. */
  #pong(sequence: number): number | undefined {
    const sentAt = this.#sent.get(sequence)
    // Out of order, repeated or invented.
    if (sentAt === undefined || sequence < this.#expected) return undefined
    for (const key of this.#sent.keys()) if (key <= sequence) this.#sent.delete(key)
    this.#expected = sequence + 1
    this.#freshAt = sentAt
    return sentAt
  }
}

async function* readLines(body: AsyncIterable<Buffer>): AsyncGenerator<WatchEvent> {
  let pending = ''
  const decoder = new TextDecoder()
  for await (const chunk of body) {
    const lines = (pending + decoder.decode(chunk, {stream: true})).split('\n')
    pending = lines.pop() ?? ''
    if (pending.length > maximumLine) throw new Error('a line of the watch stream is too long')
    for (const line of lines) if (line !== '') yield readLine(line)
  }
}

/** In our own words: a parser's message would quote the line into the log. */
function readLine(line: string): WatchEvent {
  try {
    return JSON.parse(line) as WatchEvent
  } catch (error) {
    throw new Error('a line of the watch stream is not JSON', {cause: error})
  }
}
