import {
  CompiledQuery,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type DatabaseConnection,
  type DatabaseIntrospector,
  type Dialect,
  type DialectAdapter,
  type Driver,
  type Kysely,
  type QueryCompiler,
  type QueryResult,
  type SqliteDatabase,
  type SqliteStatement,
} from 'kysely'

/** A database as libsql opens it. */
export interface OpenDatabase extends SqliteDatabase {
  readonly inTransaction: boolean
}

/**
 * Kysely's SQLite dialect over exactly one connection, for libsql: after one SQLITE_BUSY that library may answer for
 * writes that it then loses, so a connection that saw one is closed and opened anew before its next use.
 */
export class SingleConnectionDialect implements Dialect {
  readonly #open: () => OpenDatabase

  /** `open` opens the file and takes its lock. */
  constructor(open: () => OpenDatabase) {
    this.#open = open
  }

  createDriver(): Driver {
    return new SingleConnectionDriver(this.#open)
  }

  createQueryCompiler(): QueryCompiler {
    return new SqliteQueryCompiler()
  }

  createAdapter(): DialectAdapter {
    return new SqliteAdapter()
  }

  createIntrospector(db: Kysely<unknown>): DatabaseIntrospector {
    return new SqliteIntrospector(db)
  }
}

class SingleConnectionDriver implements Driver {
  readonly #open: () => OpenDatabase
  #connection: SingleConnection | undefined
  /** Settles when the one before has released the connection. */
  #turn: Promise<void> = Promise.resolve()
  #release: () => void = () => undefined

  constructor(open: () => OpenDatabase) {
    this.#open = open
  }

  init(): Promise<void> {
    return Promise.resolve()
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    const before = this.#turn
    let release = (): void => undefined
    this.#turn = new Promise((resolve) => {
      release = resolve
    })
    await before
    this.#release = release
    try {
      if (this.#connection?.broken) {
        this.#connection.close()
        this.#connection = undefined
      }
      return (this.#connection ??= new SingleConnection(this.#open()))
    } catch (error) {
      release()
      throw error
    }
  }

  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    // A deferred transaction takes the write lock in its middle, where waiting is no longer possible.
    await connection.executeQuery(CompiledQuery.raw('begin immediate'))
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('commit'))
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    // After some errors, such as a full disk, SQLite has done it (sqlite.org/lang_transaction.html, chapter 3).
    if (!this.#connection?.inTransaction) return
    await connection.executeQuery(CompiledQuery.raw('rollback'))
  }

  releaseConnection(): Promise<void> {
    this.#release()
    return Promise.resolve()
  }

  destroy(): Promise<void> {
    this.#connection?.close()
    this.#connection = undefined
    return Promise.resolve()
  }
}

/** Statements kept ready: more than there are different ones, but for lists of keys. */
const keptStatements = 100

class SingleConnection implements DatabaseConnection {
  readonly #database: OpenDatabase
  /** By their text: preparing one costs as much as storing several rows. */
  readonly #statements = new Map<string, SqliteStatement>()
  broken = false

  constructor(database: OpenDatabase) {
    this.#database = database
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- what the library throws must reject, not throw
  async executeQuery<R>({sql, parameters}: CompiledQuery): Promise<QueryResult<R>> {
    try {
      const statement = this.#prepare(sql)
      if (statement.reader) return {rows: statement.all(parameters) as R[]}
      return {rows: [], numAffectedRows: BigInt(statement.run(parameters).changes)}
    } catch (error) {
      if (isBusy(error)) this.broken = true
      throw error
    }
  }

  get inTransaction(): boolean {
    return this.#database.inTransaction
  }

  streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('this connection does not stream')
  }

  close(): void {
    this.#statements.clear()
    this.#database.close()
  }

  #prepare(sql: string): SqliteStatement {
    const ready = this.#statements.get(sql)
    if (ready) return ready
    const statement = this.#database.prepare(sql)
    if (this.#statements.size >= keptStatements) this.#statements.clear()
    this.#statements.set(sql, statement)
    return statement
  }
}

/** Whether another connection holds the file. */
export function isBusy(error: unknown): boolean {
  const {code} = error as {code?: unknown}
  return typeof code === 'string' && (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED'))
}
