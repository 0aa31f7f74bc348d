/** What an execution came to, when that is neither success nor an error. */
export type Execution =
  /** Of a portal that was closed before its last row. */
  | 'partial'
  /** By the server, after an error in the same pipeline. */
  | 'skipped'
  /** The session ended first. */
  | 'unanswered'
  /** Bound, and never executed; or prepared, and not bound before something else was asked for. */
  | 'none'

/** What became of the changes: `mixed` where a query with several transactions committed some of them. */
export type Fate = 'commit' | 'rollback' | 'prepared' | 'mixed' | 'unknown' | 'in doubt'

/** Results of one query that are listed one by one, and what they take as JSON. */
const maximumResults = 100
const maximumResultLength = 16_384
/** Transactions of one query that are listed one by one, beside the newest. */
const maximumTransactions = 99

/** One thing that the client had the database do: a simple query, a bound portal, a function call. Becomes one event. */
export class Statement {
  readonly event: 'db.session.query' | 'db.session.postgres.function'
  /** Its place among the statements of the session. */
  readonly number: number
  /** Fields of the event that say what was asked, as JSON without braces. */
  subject: string
  /** Reads it again, where it is not certain yet how the server will. */
  reread: (() => string) | undefined
  /** The client has asked for its execution, and the spool says so. */
  asked = false
  /** The server has more rows of it, for who asks again. */
  suspended = false
  /** Nothing more will come of it. */
  finished = false
  /** For the end of its transaction. */
  waiting = false
  recorded = false
  /** Monotonic milliseconds. */
  startedAt = 0
  endedAt = 0
  bytesFromClient = 0
  bytesFromServer = 0
  /** Rows read or changed. */
  rows = 0
  command: string | undefined
  /** JSON. */
  columns: string | undefined
  copy: 'in' | 'out' | 'both' | undefined
  copyBytes = 0
  /** Bytes of COPY data that the client had sent when it asked. */
  copiedBefore = 0
  /** The same when it asked for what comes next. */
  copiedAfter: number | undefined
  /** `ERROR: … (SQLSTATE 42501)` */
  error: string | undefined
  sqlState: string | undefined
  execution: Execution | undefined
  /** What became of its transactions, as far as they have come to an end. */
  fate: Fate | undefined
  /** Completed commands; a simple query can have many. */
  completed = 0
  /** JSON, when there is more than one. */
  #results: string[] | undefined
  #resultLength = 0
  #firstTransaction: number | undefined
  #transaction: number | undefined
  /** Of the newest one. */
  #newestFate: Fate | undefined
  /** JSON, of those before the newest one. */
  #earlierTransactions: string[] | undefined

  constructor(number: number, subject: string, event: Statement['event'] = 'db.session.query') {
    this.number = number
    this.subject = subject
    this.event = event
  }

  get success(): boolean {
    return this.error === undefined && (this.execution === undefined || this.execution === 'partial')
  }

  /** The next command's rows have these columns. */
  describe(columns: string | undefined): void {
    this.#separate()
    this.columns = columns
  }

  /** One of its commands is complete. */
  complete(command: string, rows: number): void {
    this.#separate()
    this.completed += 1
    this.rows += rows
    this.command = command
    if (!this.#results) return
    const result = this.#result(command, rows)
    this.columns = undefined
    this.#resultLength += result.length
    if (this.#results.length < maximumResults && this.#resultLength <= maximumResultLength) this.#results.push(result)
  }

  /** The transaction that it is in, the newest of several. */
  get transaction(): number | undefined {
    return this.#transaction
  }

  /** The one that it left open; undefined when there is none. */
  get openTransaction(): number | undefined {
    return this.#newestFate === undefined ? this.#transaction : undefined
  }

  enter(transaction: number): void {
    if (transaction === this.#transaction) return
    if (this.#transaction !== undefined) {
      this.#earlierTransactions ??= []
      if (this.#earlierTransactions.length < maximumTransactions) this.#earlierTransactions.push(this.#newest())
    }
    this.#firstTransaction ??= transaction
    this.#transaction = transaction
    this.#newestFate = undefined
  }

  /** The transaction that it is in has come to its end. */
  end(fate: Fate): void {
    this.#newestFate = fate
    this.fate = this.fate === undefined || this.fate === fate ? fate : 'mixed'
  }

  /** Fields of the event that say what came of it, as JSON without braces. */
  outcome(): string {
    const {error, sqlState, execution, command, columns, copy, fate} = this
    let json = `"statement":${this.number},"success":${this.success}`
    if (execution !== undefined) json += `,"execution":"${execution}"`
    if (error !== undefined) json += `,"error":${JSON.stringify(error)}`
    if (sqlState !== undefined) json += `,"sqlstate":${JSON.stringify(sqlState)}`
    if (this.#results) json += `,"results":[${this.#results.join(',')}]`
    else if (command !== undefined) json += `,"command":${JSON.stringify(command)}`
    if (this.#results && this.#results.length < this.completed) json += `,"results_truncated":true`
    if (columns !== undefined) json += `,"columns":${columns}`
    if (copy !== undefined) json += `,"copy":"${copy}","copy_bytes":${this.copyBytes}`
    json += `,"affected_records":${this.rows}`
    if (this.asked) {
      const duration = Math.max(0, Math.round((this.endedAt - this.startedAt) * 1000) / 1000)
      json += `,"duration_ms":${duration},"bytes_from_client":${this.bytesFromClient},"bytes_from_server":${this.bytesFromServer}`
    }
    if (this.#firstTransaction !== undefined) json += `,"transaction":${this.#firstTransaction}`
    if (fate !== undefined) json += `,"transaction_outcome":"${fate}"`
    if (this.#earlierTransactions)
      json += `,"transactions":[${[...this.#earlierTransactions, this.#newest()].join(',')}]`
    return json
  }

  #newest(): string {
    const fate = this.#newestFate === undefined ? '' : `,"transaction_outcome":"${this.#newestFate}"`
    return `{"transaction":${this.#transaction ?? 0}${fate}}`
  }

  /** A second command: from now on each has its own result. */
  #separate(): void {
    if (this.completed !== 1 || this.#results) return
    this.#results = [this.#result(this.command ?? '', this.rows)]
    this.columns = undefined
  }

  #result(command: string, rows: number): string {
    const columns = this.columns === undefined ? '' : `,"columns":${this.columns}`
    return `{"command":${JSON.stringify(command)},"affected_records":${rows}${columns}}`
  }
}
