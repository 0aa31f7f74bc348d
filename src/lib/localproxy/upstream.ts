import type {Credentials} from '../pki/credentials.js'

/** What is needed to reach a database: made by whoever holds the profile, asked anew for each connection. */
export interface Upstream {
  readonly proxy: {readonly host: string; readonly port: number}
  readonly cluster: string
  readonly hostAuthorities: readonly string[]
  readonly credentials: Credentials
  /** Host ids of the agents that serve the database, best first. */
  readonly agents: readonly string[]
  /** Where agents say that they can be reached without the proxy, `host:port` by host id. */
  readonly directAddresses?: Readonly<Record<string, string>> | undefined
}

export interface UpstreamSource {
  /** With a certificate that is valid for a new connection. @throws PosternError */
  current(): Promise<Upstream>
  /** The same with the list of agents fetched anew. @throws PosternError */
  refreshed(): Promise<Upstream>
}
