/** Where a client connects, and as whom. */
export interface Endpoint {
  /** An address, or the directory of a UNIX socket. */
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
  /** The file with the authority to verify the server with; without it the connection is plain. */
  readonly authority?: string
}

/** For psql and pgbench. */
export function clientEnvironment({host, port, user, database, authority}: Endpoint): NodeJS.ProcessEnv {
  return {
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: user,
    PGDATABASE: database,
    PGGSSENCMODE: 'disable',
    PGCONNECT_TIMEOUT: '20',
    ...(authority === undefined ? {PGSSLMODE: 'disable'} : {PGSSLMODE: 'verify-full', PGSSLROOTCERT: authority}),
  }
}
