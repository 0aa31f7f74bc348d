/**
 * The way from this machine to the agents of a database:
 *
 *   spare ──────► used; abandoned when the agent says nothing on it within a second
 *   then  ──────► each agent in turn, without the proxy where the agent offers that (agent-ways.ts)
 *   then  ──────► once more with a fresh list
 *   afterwards ─► a new spare, TLS and greeting done, for the next client
 *
 * A denial ends it at any point. Agents repeat every check when a spare is used.
 */
import {PosternError} from '../core/errors.js'
import {mayRetry, type AgentConnection} from './agent-dialer.js'
import {AgentWays} from './agent-ways.js'
import {ClientIdentity} from './client-identity.js'
import {Spares, type SpareRequest} from './spares.js'
import type {Upstream, UpstreamSource} from './upstream.js'

/** What to do with a connection. With a patience it may be dead without our knowing: silence is a failure then. */
export type UseConnection<T> = (connection: AgentConnection, patienceMilliseconds?: number) => Promise<T>

/** The last agent of the list may be one that has much to do: asking again would give it more. */
const lastAgentMilliseconds = 10_000
/** Connections kept ready, at most. */
const maximumSpares = 2
/** The client that was just served has the processor first: at once, the next handshake took three milliseconds from it. */
const spareDelayMilliseconds = 20
/** A spare on which nothing comes is given up; an agent that has to wait for its database says so sooner. */
const sparePatienceMilliseconds = 1000
/** After one was given up there are none for a while: perhaps this network forgets connections, and each would cost a second. */
const distrustMilliseconds = 60_000

export class AgentConnections {
  readonly #source: UpstreamSource
  readonly #keepSpares: boolean
  readonly #spares = new Spares()
  readonly #ways = new AgentWays()
  #identity: ClientIdentity | undefined
  #trustedAgain = 0
  #closed = false

  constructor(source: UpstreamSource, {keepSpares}: {readonly keepSpares: boolean}) {
    this.#source = source
    this.#keepSpares = keepSpares
  }

  /** Begins to connect for a client that is about to come, who is told when that fails. */
  async prepare(): Promise<void> {
    const upstream = await this.#source.current().catch(ignore)
    if (!upstream || this.#closed) return
    this.#addSpare(upstream, {maximum: 1, keepFailure: true})
  }

  /**
   * The first connection with which `use` gets far enough.
   * @throws PosternError the denial, or the last failure
   */
  async with<T>(use: UseConnection<T>): Promise<T> {
    const upstream = await this.#source.current()
    const result = await this.#withSpareOrFresh(upstream, use)
    setTimeout(() => {
      this.#makeSpare(upstream)
    }, spareDelayMilliseconds).unref()
    return result
  }

  /** Closes the spares and makes no more. */
  close(): void {
    this.#closed = true
    this.#spares.close()
  }

  async #withSpareOrFresh<T>(upstream: Upstream, use: UseConnection<T>): Promise<T> {
    try {
      const spare = await this.#spares.take(this.#identityOf(upstream), upstream.agents)
      const used = spare && (await this.#withSpare(spare, use))
      return used ? used.result : await this.#tryAgents(upstream, use)
    } catch (error) {
      if (!mayRetry(error)) throw error
      return await this.#tryAgents(await this.#source.refreshed(), use)
    }
  }

  /** Undefined when the agent does not answer on it, or would rather have the client go elsewhere. */
  async #withSpare<T>(spare: AgentConnection, use: UseConnection<T>): Promise<{readonly result: T} | undefined> {
    try {
      return {result: await attempt(spare, (connection) => use(connection, sparePatienceMilliseconds))}
    } catch (error) {
      if (!mayRetry(error)) throw error
      this.#spares.close()
      this.#trustedAgain = performance.now() + distrustMilliseconds
      return undefined
    }
  }

  async #tryAgents<T>(upstream: Upstream, use: UseConnection<T>): Promise<T> {
    let last: unknown = new PosternError('UNREACHABLE', 'No agent serves this database at the moment.', {
      hint: 'Ask whoever runs the database agents whether one is up; `postern db ls -v` shows the state.',
    })
    for (const hostId of upstream.agents) {
      try {
        const milliseconds = hostId === upstream.agents.at(-1) ? lastAgentMilliseconds : undefined
        const connection = await this.#ways.dial(upstream, hostId, this.#identityOf(upstream), milliseconds)
        return await attempt(connection, use)
      } catch (error) {
        if (!mayRetry(error)) throw error
        last = error
      }
    }
    throw last
  }

  /** One for each connection that was used: so there are as many as clients come at once, up to the maximum. */
  #makeSpare(upstream: Upstream): void {
    if (!this.#keepSpares || this.#closed || performance.now() < this.#trustedAgain) return
    this.#addSpare(upstream, {maximum: maximumSpares})
  }

  #addSpare(upstream: Upstream, options: Pick<SpareRequest, 'maximum' | 'keepFailure'>): void {
    this.#spares.add({
      identity: this.#identityOf(upstream),
      dial: () => this.#tryAgents(upstream, (connection) => Promise.resolve(connection)),
      ...options,
    })
  }

  #identityOf({credentials, hostAuthorities}: Upstream): ClientIdentity {
    if (!this.#identity?.isOf(credentials, hostAuthorities)) {
      this.#identity = new ClientIdentity(credentials, hostAuthorities)
    }
    return this.#identity
  }
}

async function attempt<T>(connection: AgentConnection, use: UseConnection<T>): Promise<T> {
  try {
    return await use(connection)
  } catch (error) {
    connection.socket.destroy()
    throw error
  }
}

function ignore(): undefined {
  // The client's own attempt says why.
}
