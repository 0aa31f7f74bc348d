import {formatLabels} from '../core/labels.js'
import type {Database} from '../resources/database.js'
import type {DatabaseServer} from '../resources/database-server.js'
import type {Resource} from '../resources/resource.js'
import {renderTable} from './table.js'

export const serverStatuses = ['healthy', 'unhealthy', 'unknown', 'unclaimed'] as const

/** A database as one agent serves it, or as none does. */
export type ServedDatabase = DatabaseServer | UnclaimedDatabase

interface UnclaimedDatabase {
  readonly kind: 'db_server'
  readonly version: 'v3'
  readonly metadata: Database['metadata']
  readonly spec: {readonly version: ''; readonly hostname: ''; readonly host_id: ''; readonly database: Database}
  readonly status: {readonly target_health: {readonly status: 'unclaimed'}}
}

/** The heartbeats of agents, and the `db` resources that none of them is about, by name and host. */
export function servedDatabases(resources: readonly Resource[]): ServedDatabase[] {
  const servers = resources.filter((resource): resource is DatabaseServer => resource.kind === 'db_server')
  const served = new Set(servers.map(({spec}) => spec.database.metadata.name))
  const unclaimed = resources.filter(
    (resource): resource is Database => resource.kind === 'db' && !served.has(resource.metadata.name),
  )
  return [...servers, ...unclaimed.map(unclaimedServer)].sort((one, other) => (keyOf(one) < keyOf(other) ? -1 : 1))
}

const keyOf = ({spec: {database, hostname, host_id: id}}: ServedDatabase): string =>
  [database.metadata.name, hostname, id].join('\n')

const unclaimedServer = (database: Database): UnclaimedDatabase => ({
  kind: 'db_server',
  version: 'v3',
  metadata: database.metadata,
  spec: {version: '', hostname: '', host_id: '', database},
  status: {target_health: {status: 'unclaimed'}},
})

/** Whether every word occurs in the row. */
export function matchesWords(served: ServedDatabase, words: readonly string[]): boolean {
  const text = cells(served, true).join('\n').toLowerCase()
  return words.every((word) => text.includes(word.toLowerCase()))
}

export const renderServers = (servers: readonly ServedDatabase[], verbose: boolean): Promise<string> =>
  renderTable(
    ['Host', 'Name', 'Protocol', 'URI', 'Labels', 'Version', 'Health'],
    servers.map((served) => cells(served, verbose)),
  )

function cells({spec: {hostname, version, database}, status}: ServedDatabase, allLabels: boolean): string[] {
  return [
    hostname,
    database.metadata.name,
    database.spec.protocol,
    database.spec.uri,
    formatLabels(database.metadata.labels ?? {}, {all: allLabels}),
    version,
    status.target_health.status,
  ]
}
