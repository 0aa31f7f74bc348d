import {readdir} from 'node:fs/promises'
import type {ApiClient} from '../api/client.js'
import {Shipper} from '../audit/shipper.js'
import {Spool} from '../audit/spool.js'
import type {Clock} from '../core/clock.js'
import type {Logger} from '../core/log.js'
import {spoolDirectory} from './session-server.js'

interface AbandonedSpoolsOptions {
  readonly dataDir: string
  /** Workers that there are, and that use their spools themselves. */
  readonly workers: number
  readonly api: Pick<ApiClient, 'emitEvents'>
  readonly clock: Clock
  readonly logger: Logger
}

const workerDirectory = /^worker-(\d+)$/
const shipMilliseconds = 3000

/** Sends what workers have left that there are no longer, because the configuration names fewer. */
export class AbandonedSpools {
  readonly #open: {readonly spool: Spool; readonly shipper: Shipper}[]

  private constructor(open: {readonly spool: Spool; readonly shipper: Shipper}[]) {
    this.#open = open
  }

  /** @throws PosternError FAILED when one cannot be read */
  static async send({dataDir, workers, api, clock, logger}: AbandonedSpoolsOptions): Promise<AbandonedSpools> {
    const root = spoolDirectory(dataDir)
    const numbers = (await readdir(root)).map((name) => Number(workerDirectory.exec(name)?.[1] ?? NaN))
    const open = []
    for (const number of numbers.filter((each) => each >= workers)) {
      const directory = spoolDirectory(dataDir, number)
      if (!(await readdir(directory)).some((name) => /^\d/.test(name))) continue
      const spool = await Spool.open({directory, clock, logger})
      const shipper = new Shipper({
        spool,
        send: (lines) => api.emitEvents(lines),
        clock,
        logger,
        refusedDirectory: directory,
      })
      open.push({spool, shipper})
    }
    return new AbandonedSpools(open)
  }

  async close(): Promise<void> {
    await Promise.all(
      this.#open.map(async ({spool, shipper}) => {
        await shipper.close(shipMilliseconds)
        await spool.close()
      }),
    )
  }
}
