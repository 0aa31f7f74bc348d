import {startPostgres, type PostgresOptions, type PostgresServer} from '../../src/lib/cluster/postgres.js'

/** A PostgreSQL server of the test's own, gone without a trace after `stop`; fast instead of durable. */
export async function startTestPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  return startPostgres({durable: false, ...options})
}
