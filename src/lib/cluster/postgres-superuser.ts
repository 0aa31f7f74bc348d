import {messageOf, PosternError} from '../core/errors.js'
import {superuser} from './postgres-files.js'

export type Row = Readonly<Record<string, unknown>>

export interface StatementOptions {
  /** Default: `postgres`. */
  readonly database?: string | undefined
  readonly values?: readonly unknown[] | undefined
}

/** Milliseconds. */
const connectTimeout = 60_000

/**
 * Runs SQL over the server's private socket; the rows of its last statement.
 * @throws PosternError FAILED with PostgreSQL's message; its error is the cause.
 */
export async function executeAsSuperuser(
  server: {readonly superuserSocketDir: string; readonly port: number},
  sql: string,
  {database = 'postgres', values}: StatementOptions = {},
): Promise<Row[]> {
  const {Client} = await import('pg')
  const client = new Client({
    host: server.superuserSocketDir,
    port: server.port,
    user: superuser,
    database,
    // Said outright: the defaults come from PG* variables.
    ssl: false,
    password: '',
    connectionTimeoutMillis: connectTimeout,
  })
  client.on('error', () => undefined)
  try {
    await client.connect()
    const results: unknown = await client.query(sql, values && [...values])
    const last = Array.isArray(results) ? (results.at(-1) as unknown) : results
    return (last as {readonly rows?: Row[]} | undefined)?.rows ?? []
  } catch (error) {
    throw new PosternError('FAILED', `PostgreSQL refused what the superuser asked: ${messageOf(error)}.`, {
      cause: error,
    })
  } finally {
    await client.end().catch(() => undefined)
  }
}
