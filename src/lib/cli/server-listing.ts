import type {ApiClient} from '../api/client.js'
import {hasLabels} from './database-selection.js'
import {matchesWords, servedDatabases, type ServedDatabase} from './server-text.js'

/** Which databases with their agents are wanted; what is left out does not restrict. */
export interface ServerFilter {
  readonly labels: Readonly<Record<string, string>>
  readonly search?: readonly string[] | undefined
  readonly query?: string | undefined
  readonly status?: string | undefined
}

/**
 * Something that lists databases with the agents that serve them.
 * @throws PosternError USAGE for a query that is none, before anything is asked
 */
export async function serverListing(filter: ServerFilter): Promise<(client: ApiClient) => Promise<ServedDatabase[]>> {
  const holds = await queryOf(filter.query)
  return async (client) => {
    const [servers, databases] = await Promise.all([client.listResources('db_server'), client.listResources('db')])
    return servedDatabases([...servers.items, ...databases.items]).filter(
      (served) =>
        hasLabels(served.spec.database.metadata.labels ?? {}, filter.labels) &&
        matchesWords(served, filter.search ?? []) &&
        holds(served) &&
        (filter.status === undefined || served.status.target_health.status === filter.status),
    )
  }
}

async function queryOf(query: string | undefined): Promise<(served: ServedDatabase) => boolean> {
  if (query === undefined) return () => true
  const [{compileQuery}, {classifyDatabase}] = await Promise.all([
    import('./database-query.js'),
    import('../resources/endpoint.js'),
  ])
  const holds = compileQuery(query)
  return ({spec: {database}, status}) =>
    holds({database, type: classifyDatabase(database.spec).type, health: status.target_health.status})
}
