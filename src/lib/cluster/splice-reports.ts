import {setTimeout as sleep} from 'node:timers/promises'
import type {ApiClient} from '../api/client.js'
import type {ReportSplicesRequest} from '../api/requests.js'
import {messageOf} from '../core/errors.js'
import type {Logger} from '../core/log.js'

type Splice = ReportSplicesRequest['splices'][number]

export interface SpliceReportsOptions {
  readonly api: Pick<ApiClient, 'reportSplices'>
  readonly logger: Logger
}

const intervalMilliseconds = 2000
/** A request that hangs must not hold up the end of the process. */
const closeMilliseconds = 2000
const reportedTogether = 1000
/** Kept while the control plane is away; older ones go first. */
const maximumKept = 100_000

/** Tells the control plane which connections the proxy carried, a little later and all together. */
export class SpliceReports {
  readonly #options: SpliceReportsOptions
  readonly #timer: NodeJS.Timeout
  #splices: Splice[] = []
  #sending: Promise<void> | undefined
  #failing = false

  constructor(options: SpliceReportsOptions) {
    this.#options = options
    this.#timer = setInterval(() => {
      this.#sending ??= this.#send().finally(() => {
        this.#sending = undefined
      })
    }, intervalMilliseconds).unref()
  }

  add(splice: Splice): void {
    this.#splices.push(splice)
    if (this.#splices.length > maximumKept) this.#splices = this.#splices.slice(-maximumKept / 2)
  }

  /** Sends what is left, if that works at once. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    const left = Promise.resolve(this.#sending).then(() => this.#send())
    await Promise.race([left, sleep(closeMilliseconds, undefined, {ref: false})])
  }

  async #send(): Promise<void> {
    const {api, logger} = this.#options
    try {
      while (this.#splices.length > 0) {
        const some = this.#splices.slice(0, reportedTogether)
        await api.reportSplices({splices: some})
        this.#splices = this.#splices.slice(some.length)
      }
      this.#failing = false
    } catch (error) {
      if (this.#failing) return
      this.#failing = true
      logger.warn('The control plane cannot be told which connections the proxy carried.', {reason: messageOf(error)})
    }
  }
}
