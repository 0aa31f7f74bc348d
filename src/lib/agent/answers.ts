/**
 * Which answer of the server belongs to which request of the client, and so what became of each statement. The server
 * answers in the order in which it was asked:
 *
 *   simple query     Query ──► ([RowDescription] CommandComplete | EmptyQueryResponse)… | ErrorResponse ──► ReadyForQuery
 *   extended query   Parse ──► ParseComplete; Bind ──► BindComplete; Close ──► CloseComplete
 *                    Describe ──► [ParameterDescription] RowDescription | NoData
 *                    Execute ──► CommandComplete | EmptyQueryResponse | PortalSuspended
 *                    Sync ──► ReadyForQuery; after an ErrorResponse the server skips everything up to it
 *   COPY FROM STDIN  CopyInResponse ──► until CopyDone or CopyFail the server ignores every Sync
 *
 * The Complete messages are counted, not opened; what they confirm is looked up at the next message that is.
 */
import type {SessionAudit} from '../audit/session-audit.js'
import {Statement, type Fate} from '../audit/statement.js'
import {trimText} from '../audit/trimming.js'
import {clientEncoding, type ClientEncoding} from '../pgwire/client-encoding.js'
import type {Payload} from '../pgwire/payload.js'
import type {CommandTag, TransactionStatus} from '../pgwire/server-messages.js'
import type {ServerError} from '../pgwire/server-error.js'
import {counters} from '../pgwire/server-stream.js'
import {Columns} from './columns.js'
import type {Measurement, Passed} from './measurement.js'
import type {Pipeline} from './pipeline.js'
import type {Names} from './names.js'
import {Portal, Prepared, statementOf, unfinished, type Subject} from './prepared.js'
import type {Kind, Requests} from './requests.js'
import {couldCommit, rolledBack} from './statement-sql.js'
import type {Transactions} from './transactions.js'

/** An error's text comes from the server, and may quote a query. */
const maximumErrorBytes = 16_384
const sqlStateLength = 5
/** Longer tags are no server's. */
const maximumTagLength = 64

/** `offset` counts the server's bytes up to the end of the answer. */
export class Answers {
  readonly #audit: SessionAudit
  readonly #requests: Requests
  readonly #names: Names
  readonly #pipeline: Pipeline<Kind, Subject>
  readonly #transactions: Transactions
  readonly #measurement: Measurement
  readonly #passed: Passed
  readonly #columns = new Columns()
  /** How many of the counted messages are looked up. */
  #parsed = 0
  #bound = 0
  #closed = 0
  #withoutData = 0

  constructor(audit: SessionAudit, requests: Requests, measurement: Measurement, passed: Passed) {
    this.#audit = audit
    this.#requests = requests
    this.#names = requests.names
    this.#pipeline = requests.pipeline
    this.#transactions = requests.transactions
    this.#measurement = measurement
    this.#passed = passed
  }

  parameterDescription(types: readonly number[]): void {
    this.advance()
    const {kind, subject} = this.#pipeline
    if (kind === 'describe' && subject instanceof Prepared) this.#names.described(subject, {types})
  }

  /** Of the server's texts. */
  get encoding(): ClientEncoding {
    return this.#requests.texts.encoding
  }

  /** The server has changed a setting that it tells of. */
  parameterStatus(setting: {readonly name: string; readonly value: string} | undefined): void {
    if (setting?.name !== 'client_encoding') return
    this.advance()
    this.#requests.texts.readAs(clientEncoding(setting.value))
    this.#names.reencoded()
  }

  rowDescription(described: Payload): void {
    this.advance()
    const {kind, subject} = this.#pipeline
    const columns = this.#columns.read(described, this.encoding.decode)
    if (kind === 'query' && subject instanceof Statement) subject.describe(columns)
    else if (kind === 'describe') {
      if (subject instanceof Prepared || subject instanceof Portal) this.#names.described(subject, {columns})
      this.#pipeline.shift()
    }
  }

  copyBegan(direction: 'in' | 'out' | 'both'): void {
    this.#measurement.copyBegan(this.#current(), direction)
    if (direction !== 'out') this.#requests.copyBegan()
  }

  completed(tag: CommandTag | undefined, offset: number): void {
    const statement = this.#current()
    this.#requests.copyOver(false)
    if (!statement) return
    const {rows = 0} = tag ?? {}
    const command = tag?.command.slice(0, maximumTagLength) ?? ''
    statement.complete(command, rows)
    this.#measurement.answered(statement, offset)
    this.#transactions.completed(statement, command, rolledBack)
    if (this.#pipeline.kind === 'execute') this.#finish(statement)
    this.#names.command(command, statement)
  }

  /** An EmptyQueryResponse. */
  empty(offset: number): void {
    const statement = this.#current()
    this.#requests.copyOver(false)
    if (!statement) return
    this.#measurement.answered(statement, offset)
    this.#transactions.ran(statement)
    if (this.#pipeline.kind === 'execute') this.#finish(statement)
  }

  suspended(offset: number): void {
    const {rows} = this.#measurement
    const statement = this.#current()
    this.#requests.copyOver(false)
    if (!statement) return
    const {subject} = this.#pipeline
    statement.rows += rows
    // Of a portal that was not bound here, each Execute is a statement of its own.
    statement.suspended = subject instanceof Portal && !subject.unknown
    this.#measurement.answered(statement, offset)
    this.#transactions.ran(statement)
    if (this.#pipeline.kind === 'execute') this.#pipeline.shift()
  }

  /** A FunctionCallResponse. */
  returned(offset: number): void {
    const statement = this.#current()
    this.#requests.copyOver(false)
    if (statement) this.#measurement.answered(statement, offset)
  }

  failed(error: ServerError, offset: number): void {
    this.advance()
    this.#requests.reread()
    this.#requests.copyOver(true)
    const {kind, subject} = this.#pipeline
    const code = error.code.slice(0, sqlStateLength)
    const text = trimText(`${error.severity}: ${error.message} (SQLSTATE ${code})`, maximumErrorBytes)
    const statement = this.#failing(kind, subject)
    if (statement) {
      statement.error = text
      statement.sqlState = code
      this.#measurement.answered(statement, offset)
      this.#transactions.failed(statement)
    } else {
      this.#transactions.aborted()
      if (kind !== 'sync' || !this.#transactions.failedToCommit(text, code)) this.#audit.serverError(text, code)
    }
    if (kind === undefined || kind === 'query' || kind === 'function' || kind === 'sync') return
    if (statement) statement.finished = true
    this.#requests.skipToSync()
  }

  /** ReadyForQuery. */
  ready(status: TransactionStatus | undefined, offset: number): void {
    this.advance()
    const {kind, subject} = this.#pipeline
    const isAnswered = kind === 'sync' || (subject instanceof Statement && subject.endedAt > 0)
    if (isAnswered || !this.#requests.takesSyncOfCopy()) this.#finishRequest(offset)
    this.#measurement.ready(offset)
    if (status === 'I') this.#names.leavePortals()
    this.#transactions.ready(status ?? 'I')
  }

  #finishRequest(offset: number): void {
    for (;;) {
      const {kind, subject} = this.#pipeline
      if (kind === undefined) return
      if (kind !== 'query' && kind !== 'function' && kind !== 'sync') {
        this.#requests.skipOne()
        continue
      }
      this.#pipeline.shift()
      if (!(subject instanceof Statement)) return
      this.#measurement.answered(subject, offset)
      this.#transactions.ran(subject)
      subject.finished = true
      return
    }
  }

  /** The session is over: records what has not come to an end. @returns the transaction that was open, and what became of it */
  end(offset: number): {transaction: number; fate: Fate} | undefined {
    const {open, status} = this.#transactions
    this.#requests.tellPrepared()
    const bound: Portal[] = []
    let inDoubt = false
    while (this.#pipeline.kind !== undefined) {
      const {kind, subject} = this.#pipeline
      this.#pipeline.shift()
      if (kind === 'bind' && subject instanceof Portal) bound.push(subject)
      const statement = kind === 'bind' ? undefined : statementOf(subject)
      if (kind === 'sync' && status === 'I') inDoubt = true
      if (!statement || statement.finished || !statement.asked) continue
      if (status === 'I' || couldCommit(statement)) inDoubt = true
      statement.execution = 'unanswered'
      statement.finished = true
      this.#measurement.answered(statement, offset)
      this.#transactions.ran(statement)
    }
    this.#names.leavePortals()
    for (const portal of bound) this.#names.abandon(portal)
    const fate = this.#transactions.close(inDoubt ? 'in doubt' : 'rollback')
    return open === undefined || status === 'I' ? undefined : {transaction: open, fate}
  }

  /** Takes what the counted messages answer. */
  advance(): void {
    const passed = this.#passed
    for (;;) {
      const {kind, subject} = this.#pipeline
      if (kind === 'parse') {
        if (passed.count(counters.parseComplete) <= this.#parsed) return
        this.#parsed += 1
      } else if (kind === 'bind') {
        if (passed.count(counters.bindComplete) <= this.#bound) return
        this.#bound += 1
      } else if (kind === 'close') {
        if (passed.count(counters.closeComplete) <= this.#closed) return
        this.#closed += 1
      } else if (kind === 'describe') {
        if (passed.count(counters.noData) <= this.#withoutData) return
        this.#withoutData += 1
      } else if (kind !== 'copy-end') {
        return
      }
      this.#requests.reread()
      const isNamed = subject instanceof Prepared || subject instanceof Portal
      if (isNamed && kind !== 'describe') this.#names.confirm(subject)
      this.#pipeline.shift()
    }
  }

  /** The statement that the server works on. */
  #current(): Statement | undefined {
    this.advance()
    const {kind, subject} = this.#pipeline
    this.#requests.reread()
    if (kind === 'query' || kind === 'function') return statementOf(subject)
    if (kind !== 'execute' || !(subject instanceof Portal)) return undefined
    const portal = this.#requests.executed(subject)
    const {statement, prepared} = portal
    if (!statement) return undefined
    if (!statement.finished) {
      if (prepared?.columns !== undefined) statement.columns ??= prepared.columns
      return statement
    }
    // A portal that is executed again after its end.
    const again = new Statement(this.#audit.nextStatement(), statement.subject)
    again.asked = true
    again.startedAt = statement.endedAt
    portal.statement = again
    return again
  }

  /** The answer to an Execute ends its statement. */
  #finish(statement: Statement): void {
    statement.finished = true
    this.#pipeline.shift()
  }

  /** The statement that an error belongs to; the object that was not made is undone. */
  #failing(kind: Kind | undefined, subject: Subject): Statement | undefined {
    if (kind === 'parse' && subject instanceof Prepared) {
      const bind = this.#pipeline.indexOf('bind')
      const next = bind < 0 ? undefined : this.#pipeline.at(bind)?.subject
      const sync = this.#pipeline.indexOf('sync')
      // Who sends all of a statement at once gets one answer for all of it.
      if (next instanceof Portal && next.prepared === subject && (sync < 0 || bind < sync)) return next.statement
      return new Statement(this.#audit.nextStatement(), subject.sql)
    }
    if (kind === 'bind' && subject instanceof Portal) {
      this.#names.resolve(subject)
      return subject.statement
    }
    if (kind === 'describe') return subject instanceof Portal ? unfinished(subject.statement) : undefined
    return this.#current()
  }
}
