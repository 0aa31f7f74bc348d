import type {WatchEvent} from '../api/watch-event.js'
import type {HostIdentity as HostCertificate} from '../pki/identity.js'
import type {DatabaseServer, HealthStatus} from '../resources/database-server.js'
import type {Lock} from '../resources/lock.js'

const order: Readonly<Record<HealthStatus, number>> = {healthy: 0, unknown: 1, unhealthy: 2}

/** What a proxy knows of the cluster: which agent serves which database, and which hosts are shut out. */
export class ProxyDirectory {
  #servers = new Map<string, DatabaseServer>()
  #locks = new Map<string, Lock>()
  /** What a new stream has brought so far; takes over when it is complete, so that a reconnect loses nothing. */
  #incoming: {servers: Map<string, DatabaseServer>; locks: Map<string, Lock>} | undefined

  start(): void {
    this.#incoming = {servers: new Map(), locks: new Map()}
  }

  apply(event: WatchEvent): void {
    const {servers, locks} = this.#incoming ?? {servers: this.#servers, locks: this.#locks}
    if (event.type === 'ready') {
      this.#servers = servers
      this.#locks = locks
      this.#incoming = undefined
    } else if (event.type === 'put') {
      if (event.kind === 'db_server') servers.set(event.name, event.item)
      if (event.kind === 'lock') locks.set(event.name, event.item)
    } else if (event.type === 'delete') {
      if (event.kind === 'db_server') servers.delete(event.name)
      if (event.kind === 'lock') locks.delete(event.name)
    }
  }

  /** Host ids of the agents that serve a database, healthy ones first. */
  readonly agentsFor = (database: string): readonly string[] =>
    [...this.#servers.values()]
      .filter(({spec}) => spec.database.metadata.name.toLowerCase() === database.toLowerCase())
      .toSorted((a, b) => order[a.status.target_health.status] - order[b.status.target_health.status])
      .map(({spec}) => spec.host_id)

  /** Whether no lock shuts the host out. */
  readonly mayServe = ({hostId}: HostCertificate): boolean =>
    ![...this.#locks.values()].some(({spec}) => spec.target.server_id === hostId && spec.target.user === undefined)
}
