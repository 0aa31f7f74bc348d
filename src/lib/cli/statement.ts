/** SQL run on one database without psql: through a private UNIX socket of ours, as `db connect` goes. */
import type {Client, DatabaseError, Query, QueryArrayConfig, QueryArrayResult} from 'pg'
import {messageOf, PosternError} from '../core/errors.js'
import {startLocalProxy} from '../localproxy/local-proxy.js'
import type {UpstreamSource} from '../localproxy/upstream.js'
import type {DatabaseSession} from './database-session.js'
import {makePrivateSocket, type PrivateSocket} from './private-socket.js'

/** What one statement gave. */
export interface StatementResult {
  /** The first words of its command tag, for example `SELECT` or `INSERT`. */
  readonly command: string
  /** Rows returned or changed; null where the server says none. */
  readonly row_count: number | null
  /** Empty for a statement that returns no rows. */
  readonly columns: readonly string[]
  /** As the server writes them; null for NULL. */
  readonly rows: readonly (readonly (string | null)[])[]
}

export interface StatementOutput {
  readonly results: readonly StatementResult[]
  /** What the server said beside its answer: `NOTICE: …`. */
  readonly notices: readonly string[]
}

/** Everything is held in memory: whoever wants more has psql. */
const maximumBytes = 64 * 1024 * 1024
const maximumNotices = 100

/** Values as the server wrote them. */
const asText = {getTypeParser: () => (value: unknown) => value}

/**
 * Runs SQL, one statement or several in one transaction. Aborting cancels it on the server.
 * @throws PosternError FAILED with what the server said, or what opening the session throws
 */
export async function runStatement(
  session: StatementSession,
  sql: string,
  abort: AbortSignal,
): Promise<StatementOutput> {
  const socket = await makePrivateSocket()
  try {
    const proxy = await startLocalProxy({listen: {kind: 'unix', path: socket.path}, source: session})
    try {
      return await runOn(socket, session, {sql, abort})
    } finally {
      await proxy.close()
    }
  } finally {
    await socket.remove()
  }
}

type StatementSession = UpstreamSource & Pick<DatabaseSession, 'route'>

interface Task {
  readonly sql: string
  readonly abort: AbortSignal
}

async function runOn(socket: PrivateSocket, {route}: StatementSession, {sql, abort}: Task): Promise<StatementOutput> {
  const {default: pg} = await import('pg')
  const place = {host: socket.directory, port: socket.port, user: route.dbUser, database: route.dbName, ssl: false}
  const client = new pg.Client({...place, application_name: 'postern db exec'})
  const notices: string[] = []
  client.on('notice', ({severity = 'NOTICE', message = ''}) => {
    if (notices.length < maximumNotices) notices.push(`${severity}: ${message}`)
  })
  // A connection that ends is told to whoever waits for an answer.
  client.on('error', () => undefined)
  const config: QueryArrayConfig = {text: sql, rowMode: 'array', types: asText}
  const query = new pg.Query<unknown[]>(config)
  const cancel = (): void => {
    cancelQuery(new pg.Client(place), client, query)
  }
  try {
    await client.connect()
    abort.addEventListener('abort', cancel)
    if (abort.aborted) throw new PosternError('FAILED', 'It was interrupted.')
    return {results: await collect(client, query), notices}
  } catch (error) {
    throw serverFailure(error)
  } finally {
    abort.removeEventListener('abort', cancel)
    await client.end().catch(() => undefined)
  }
}

/** The results of all statements, once the server is done. */
function collect(client: Client, query: Query<unknown[]>): Promise<StatementResult[]> {
  return new Promise((resolve, reject) => {
    let size = 0
    query.on('row', (row, result) => {
      size += (row as (string | null)[]).reduce((sum, value) => sum + (value?.length ?? 0) + 1, 0)
      if (size <= maximumBytes) {
        result?.addRow(row)
        return
      }
      const message = `The answer is larger than ${maximumBytes / 1024 / 1024} MiB.`
      reject(new PosternError('FAILED', message, {hint: 'Ask for less, or use `postern db connect` and psql.'}))
      // Nobody reads the rest.
      void client.end()
    })
    query.on('error', reject)
    query.on('end', (results: unknown) => {
      const all = (Array.isArray(results) ? results : [results]) as QueryArrayResult<(string | null)[]>[]
      resolve(
        all.map(({command, rowCount, fields, rows}) => ({
          command,
          row_count: rowCount,
          columns: fields.map(({name}) => name),
          rows,
        })),
      )
    })
    client.query(query)
  })
}

/** pg can send a cancel request over a connection of its own, which its types do not tell. */
interface Canceller {
  cancel(client: Client, query: Query): void
}

function cancelQuery(canceller: Client, client: Client, query: Query<unknown[]>): void {
  canceller.on('error', () => undefined)
  const typed = canceller as unknown as Canceller
  typed.cancel(client, query)
}

/** One sentence, the server's own words when it said any. */
function serverFailure(error: unknown): PosternError {
  if (error instanceof PosternError) return error
  const {severity, code, detail, hint} = error as Partial<DatabaseError>
  if (severity === undefined) {
    return new PosternError('FAILED', `The connection was lost: ${messageOf(error).replace(/\.$/, '')}.`, {
      cause: error,
      hint: 'Whether the statement was carried out is not known: look before you run it again.',
    })
  }
  const message = `${severity}: ${messageOf(error)}${code === undefined ? '' : ` (SQLSTATE ${code})`}`
  const hints = [...(detail === undefined ? [] : [detail]), ...(hint === undefined ? [] : [hint])]
  return new PosternError('FAILED', message, {hint: hints, cause: error})
}
