import type {ApiClient} from '../api/client.js'
import type {HeartbeatRequest} from '../api/requests.js'
import {messageOf} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import {retryDelay} from '../tunnel/backoff.js'

export interface HeartbeatOptions {
  readonly api: Pick<ApiClient, 'heartbeat'>
  readonly logger: Logger
  readonly intervalMilliseconds: number
  /** What to say, asked for each time. */
  readonly state: () => HeartbeatRequest
  /** The control plane has taken one. */
  readonly onTaken: () => void
}

/** Changes that come together are told together. */
const gatherMilliseconds = 100
const jitter = 0.1
const firstRetryMilliseconds = 1000

/** Tells the control plane which databases this agent serves and how they are: regularly, and soon after each change. */
export class Heartbeat {
  readonly #options: HeartbeatOptions
  #timer: NodeJS.Timeout | undefined
  #beating: Promise<void> = Promise.resolve()
  #soon = false
  #acknowledged = false
  #failures = 0
  #stopped = false
  #refused: ReadonlyMap<string, string> = new Map()

  constructor(options: HeartbeatOptions) {
    this.#options = options
    this.hurry()
  }

  /** Whether the control plane has taken one. */
  get acknowledged(): boolean {
    return this.#acknowledged
  }

  /** Databases that the control plane does not want from this host, in lower case, with its reason. */
  get refused(): ReadonlyMap<string, string> {
    return this.#refused
  }

  /** Something changed: beat soon. */
  hurry(): void {
    if (this.#soon || this.#stopped) return
    this.#soon = true
    this.#schedule(gatherMilliseconds)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#beating
  }

  #schedule(milliseconds: number): void {
    clearTimeout(this.#timer)
    if (this.#stopped) return
    this.#timer = setTimeout(() => {
      this.#soon = false
      this.#beating = this.#beating.then(() => this.#beat())
    }, milliseconds)
  }

  async #beat(): Promise<void> {
    const {api, logger, intervalMilliseconds, state, onTaken} = this.#options
    let wait = intervalMilliseconds
    try {
      const {refused} = await api.heartbeat(state())
      this.#takeRefusals(refused)
      this.#acknowledged = true
      onTaken()
      if (this.#failures > 0) logger.info('Heartbeats reach the control plane again.')
      this.#failures = 0
    } catch (error) {
      if (this.#failures === 0) logger.warn('A heartbeat was not taken.', {reason: messageOf(error)})
      const backoff = {firstMilliseconds: firstRetryMilliseconds, mostMilliseconds: intervalMilliseconds}
      wait = retryDelay(this.#failures++, backoff)
    }
    if (!this.#soon) this.#schedule(wait * (1 - jitter * Math.random()))
  }

  #takeRefusals(refused: readonly {readonly name: string; readonly reason: string}[]): void {
    const before = this.#refused
    this.#refused = new Map(refused.map(({name, reason}) => [name.toLowerCase(), reason]))
    for (const {name, reason} of refused) {
      if (before.get(name.toLowerCase()) === reason) continue
      this.#options.logger.error('The control plane refuses a database of this agent.', {database: name, reason})
    }
  }
}
