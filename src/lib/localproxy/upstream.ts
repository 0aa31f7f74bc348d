import type {TLSSocket} from 'node:tls'
import {PosternError} from '../core/errors.js'
import type {Credentials} from '../pki/credentials.js'
import {dialAgent} from './agent-dialer.js'

/** What is needed to reach a database: made by whoever holds the profile, asked anew for each connection. */
export interface Upstream {
  readonly proxy: {readonly host: string; readonly port: number}
  readonly cluster: string
  readonly hostAuthorities: readonly string[]
  readonly credentials: Credentials
  /** Host ids of the agents that serve the database, best first. */
  readonly agents: readonly string[]
}

export interface UpstreamSource {
  /** With a certificate that is valid for a new connection. @throws PosternError */
  current(): Promise<Upstream>
  /** The same with the list of agents fetched anew. @throws PosternError */
  refreshed(): Promise<Upstream>
}

/**
 * The first agent that takes `use` far enough: each agent in turn, then once more with a fresh list. A denial ends it.
 * @throws PosternError the denial, or the last failure
 */
export async function withAgent<T>(source: UpstreamSource, use: (socket: TLSSocket) => Promise<T>): Promise<T> {
  const first = await source.current()
  try {
    return await tryAgents(first, use)
  } catch (error) {
    if (!mayRetry(error)) throw error
    const fresh = await source.refreshed()
    return await tryAgents(fresh, use)
  }
}

async function tryAgents<T>(upstream: Upstream, use: (socket: TLSSocket) => Promise<T>): Promise<T> {
  let last: unknown = new PosternError('UNREACHABLE', 'No agent serves this database at the moment.', {
    hint: 'Ask whoever runs the database agents whether one is up; `postern db ls -v` shows the state.',
  })
  for (const hostId of upstream.agents) {
    try {
      const socket = await dialAgent({proxy: upstream.proxy, cluster: upstream.cluster, hostId}, upstream)
      try {
        return await use(socket)
      } catch (error) {
        socket.destroy()
        throw error
      }
    } catch (error) {
      if (!mayRetry(error)) throw error
      last = error
    }
  }
  throw last
}

function mayRetry(error: unknown): boolean {
  return error instanceof PosternError && error.code === 'UNREACHABLE'
}
