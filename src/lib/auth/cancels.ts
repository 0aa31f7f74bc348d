import type {ForwardCancelRequest} from '../api/requests.js'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import type {HostCaller} from './caller.js'
import {RateLimit, type Rate} from './rate-limit.js'
import type {Stores} from './stores.js'
import type {Watches} from './watch.js'

/** Of one host: an agent limits each of its users, and one that does not must not guess keys through us. */
const rate: Rate = {perSecond: 50, burst: 200}

export interface CancelsOptions {
  readonly stores: Stores
  readonly watches: Watches
  readonly clock: Clock
}

/** Cancel requests that reached an agent which does not have the session. */
export class Cancels {
  readonly #options: CancelsOptions
  readonly #limits = new Map<string, RateLimit>()

  constructor(options: CancelsOptions) {
    this.#options = options
  }

  /** Passes one on to the other agents of the database, which look whose key it is. @throws PosternError ACCESS_DENIED */
  async forward({database, ...request}: ForwardCancelRequest, {hostId}: HostCaller): Promise<void> {
    const servers = await this.#options.stores.serversOf(database)
    const hostIds = new Set(servers.map(({spec}) => spec.host_id))
    if (!hostIds.delete(hostId)) {
      throw new PosternError('ACCESS_DENIED', `This host does not serve the database "${database}".`)
    }
    if (this.#admits(hostId)) this.#options.watches.tell(hostIds, {type: 'cancel', ...request})
  }

  #admits(hostId: string): boolean {
    const limit = this.#limits.get(hostId) ?? new RateLimit(rate, this.#options.clock)
    this.#limits.set(hostId, limit)
    const admitted = limit.hasRoom()
    limit.take()
    return admitted
  }
}
