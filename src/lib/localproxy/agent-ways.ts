/**
 * The two ways to an agent (RFC 8305 in small):
 *
 *   direct ── at once ─────────────────────────────────────► greeting │ the first one wins,
 *   proxy  ── 250 ms later, or when the direct way failed ─► greeting │ the other is closed
 *
 * TLS is with the agent either way, under the same name: whoever else is at the address that an agent named can do no more
 * than not be that agent. A denial by either is final, for both are the same agent.
 */
import {lookup} from 'node:dns/promises'
import {setTimeout as sleep} from 'node:timers/promises'
import {PosternError, toPosternError} from '../core/errors.js'
import {isAnnounceable, isLoopback} from '../resources/direct-address.js'
import {parseAddress, type Address} from '../resources/endpoint.js'
import {dialAgent, mayRetry, type AgentConnection} from './agent-dialer.js'
import type {ClientIdentity} from './client-identity.js'
import type {Upstream} from './upstream.js'

const headStartMilliseconds = 250
const lookupMilliseconds = 3000
/** An address that was of no use is left alone for this long. */
const avoidMilliseconds = 60_000

interface Attempt {
  readonly connection: Promise<AgentConnection>
  giveUp(): void
}

export class AgentWays {
  /** Until when, by address. */
  readonly #avoided = new Map<string, number>()

  /** @throws PosternError as `dialAgent` */
  async dial(
    {proxy, cluster, directAddresses}: Upstream,
    hostId: string,
    identity: ClientIdentity,
    milliseconds?: number,
  ): Promise<AgentConnection> {
    const throughProxy = (): Attempt =>
      begin((signal) => dialAgent({path: 'proxy', at: proxy, cluster, hostId}, identity, {signal, milliseconds}))
    const offered = directAddresses?.[hostId]
    if (offered === undefined || performance.now() < (this.#avoided.get(offered) ?? 0)) return throughProxy().connection

    const direct = begin(async (signal) => {
      const at = await resolveOffer(offered, proxy, signal)
      signal.throwIfAborted()
      return dialAgent({path: 'direct', at, cluster, hostId}, identity, {signal})
    })
    const winner = await race(direct, throughProxy).catch((error: unknown) => {
      if (mayRetry(error)) this.#avoid(offered)
      throw error
    })
    if (winner.path !== 'direct') this.#avoid(offered)
    return winner
  }

  #avoid(address: string): void {
    this.#avoided.set(address, performance.now() + avoidMilliseconds)
  }
}

function begin(dial: (signal: AbortSignal) => Promise<AgentConnection>): Attempt {
  const controller = new AbortController()
  const connection = dial(controller.signal)
  return {
    connection,
    giveUp: () => {
      controller.abort()
      connection.then(({socket}) => socket.destroy(), ignore)
    },
  }
}

function race(direct: Attempt, throughProxy: () => Attempt): Promise<AgentConnection> {
  return new Promise((resolve, reject) => {
    const attempts: Attempt[] = []
    let running = 0
    let decided = false
    const decide = (winner?: Attempt): boolean => {
      if (decided) return false
      decided = true
      clearTimeout(headStart)
      for (const attempt of attempts) if (attempt !== winner) attempt.giveUp()
      return true
    }
    const start = (attempt: Attempt): void => {
      attempts.push(attempt)
      running += 1
      attempt.connection.then(
        (connection) => {
          if (decide(attempt)) resolve(connection)
        },
        (error: unknown) => {
          running -= 1
          if (mayRetry(error)) startOther()
          if ((!mayRetry(error) || running === 0) && decide()) reject(toPosternError(error))
        },
      )
    }
    const startOther = (): void => {
      if (!decided && attempts.length === 1) start(throughProxy())
    }
    const headStart = setTimeout(startOther, headStartMilliseconds)
    start(direct)
  })
}

/**
 * Where the name leads. An agent must not send its clients into themselves, unless the proxy is there as well.
 * @throws PosternError UNREACHABLE
 */
async function resolveOffer(offered: string, proxy: Address, signal: AbortSignal): Promise<Address> {
  try {
    const {host, port} = parseAddress(offered)
    const timeout = sleep(lookupMilliseconds, undefined, {signal, ref: false})
    const address = (await Promise.race([lookup(host), timeout]))?.address
    if (address === undefined) throw new Error('the name was not resolved in time')
    if (isAnnounceable(address) && (!isLoopback(address) || isLoopback(proxy.host))) return {host: address, port}
  } catch (error) {
    throw new PosternError('UNREACHABLE', `The agent's own address ${offered} cannot be resolved.`, {cause: error})
  }
  throw new PosternError('UNREACHABLE', `The agent's own address ${offered} leads to no other host.`)
}

function ignore(): void {
  // There is nothing to close.
}
