/**
 * What a client has asked of the server, in order, and what its names mean. A request that the server will not get to is
 * recorded as skipped: after an ErrorResponse it reads on at the client's next Sync.
 */
import type {SessionAudit} from '../audit/session-audit.js'
import {Statement} from '../audit/statement.js'
import {preparedName} from '../pgwire/sql-statements.js'
import type {Measurement} from './measurement.js'
import {NamedObjects} from './named-objects.js'
import {Pipeline} from './pipeline.js'
import {Portal, Prepared, PreparedStatements} from './prepared.js'
import {statementAt} from './statement-sql.js'
import {Transactions} from './transactions.js'

export type Kind = 'query' | 'function' | 'parse' | 'bind' | 'describe' | 'execute' | 'close' | 'sync' | 'copy-end'
export type Subject = Statement | Prepared | Portal | undefined

/** What a session may keep prepared: texts, parameters and names. */
const maximumWeight = 16 * 1024 * 1024

export class Requests {
  /** Bytes of names that the server tells apart. */
  readonly longestName: number
  readonly pipeline = new Pipeline<Kind, Subject>()
  readonly transactions: Transactions
  readonly #audit: SessionAudit
  readonly #measurement: Measurement
  readonly #prepared = new PreparedStatements()
  readonly #portals = new NamedObjects<Portal>()
  /** After an error, before the client's Sync. */
  #skipping = false
  /** The server takes COPY data. */
  #copying = false

  constructor(audit: SessionAudit, measurement: Measurement, longestName: number) {
    this.longestName = longestName
    this.#audit = audit
    this.#measurement = measurement
    this.transactions = new Transactions((statement) => {
      this.#record(statement)
    })
  }

  /** Whether the session has prepared more than is kept; what it does then nobody could say any more. */
  get overloaded(): boolean {
    return this.#prepared.weight + this.#portals.weight > maximumWeight
  }

  /** Requests without an answer. */
  get unanswered(): number {
    return this.pipeline.length
  }

  /** The server works on something and is not waiting for the client's COPY data. */
  get busy(): boolean {
    return this.pipeline.length > 0 && !this.#copying
  }

  /** Statements that were asked for and are not recorded. */
  *unrecorded(): Generator<Statement> {
    for (let index = 0; ; index += 1) {
      const entry = this.pipeline.at(index)
      if (!entry) break
      const statement = statementOf(entry.subject)
      if (statement?.asked === true && !statement.recorded) yield statement
    }
    for (const {statement} of this.#portals.objects()) if (statement?.asked === true) yield statement
    yield* this.transactions.waiting
  }

  /** The prepared statement of a name; undefined when nobody can say what it is. */
  findPrepared(name: string): Prepared | undefined {
    return this.#prepared.find(name)
  }

  /** @param size bytes of the message, as for the others */
  query(statement: Statement, size: number): void {
    this.#ask('query', statement, size)
  }

  functionCall(statement: Statement, size: number): void {
    this.#ask('function', statement, size)
  }

  parse(name: string, sql: string, types: readonly number[]): void {
    if (this.#skipping) return
    this.pipeline.push('parse', this.#prepared.add(name, sql, types))
  }

  bind(name: string, prepared: Prepared | undefined, statement: Statement, size: number): void {
    statement.bytesFromClient = size
    if (this.#skipping) {
      this.#skip(statement)
      return
    }
    const portal = new Portal(name, prepared, statement)
    this.#portals.put(portal)
    this.pipeline.push('bind', portal)
  }

  /** @param unknown makes the statement for a portal that nobody bound: a cursor, or a mistake */
  execute(name: string, size: number, unknown: () => Statement): void {
    // What was bound in vain is recorded already.
    if (this.#skipping) return
    const portal = this.#portals.find(name) ?? new Portal(name, undefined, unknown())
    const {statement} = portal
    if (statement) this.#begin(statement, size)
    this.pipeline.push('execute', portal)
  }

  describe(kind: 'statement' | 'portal', name: string): void {
    if (this.#skipping) return
    this.pipeline.push('describe', kind === 'statement' ? this.#prepared.find(name) : this.#portals.find(name))
  }

  close(kind: 'statement' | 'portal', name: string): void {
    if (this.#skipping) return
    if (kind === 'statement') {
      this.pipeline.push('close', this.#prepared.close(name))
    } else {
      const closing = new Portal(name, undefined, undefined)
      this.#portals.put(closing)
      this.pipeline.push('close', closing)
    }
  }

  sync(): void {
    if (this.#copying) return
    this.#skipping = false
    this.pipeline.push('sync', undefined)
  }

  /** CopyDone or CopyFail. */
  copyEnded(): void {
    if (this.#copying) this.#copying = false
    // With nothing asked there is no COPY to end, and the server ignores it.
    else if (this.pipeline.length > 0) this.pipeline.push('copy-end', undefined)
  }

  /** The server has done what the request says. */
  confirm(object: Subject): void {
    if (object instanceof Prepared) this.#prepared.confirm(object)
    else if (object instanceof Portal) {
      object.confirmed = true
      const previous = this.#portals.confirm(object)
      if (previous) this.#leave(previous)
    }
  }

  /** The server wants COPY data: what stands before the client's end of it is not answered. */
  copyBegan(): void {
    const end = this.pipeline.indexOf('copy-end', 1)
    this.pipeline.drop('sync', end < 0 ? this.pipeline.length : end)
    if (end >= 0) this.pipeline.drop('copy-end', this.pipeline.indexOf('copy-end', 1) + 1)
    this.#copying = end < 0
  }

  /** The server has answered, and so takes no COPY data. */
  copyOver(): void {
    this.#copying = false
  }

  /** The server reads on at the client's next Sync. */
  skipToSync(): void {
    while (this.pipeline.kind !== undefined && this.pipeline.kind !== 'sync') this.#skipOne()
    this.#skipping = this.pipeline.kind === undefined
  }

  /** What is next in order is not done. */
  #skipOne(): void {
    const {kind, subject} = this.pipeline
    this.pipeline.shift()
    if (subject instanceof Prepared || subject instanceof Portal) {
      if (kind === 'parse' || kind === 'bind' || kind === 'close') subject.undone = true
    }
    const statement = unfinished(statementOf(subject))
    if (statement && (kind === 'query' || kind === 'function' || kind === 'bind')) this.#skip(statement)
    else if (statement && kind === 'execute' && subject instanceof Portal && !subject.confirmed) this.#skip(statement)
  }

  /** A message in the middle of COPY data was the error; no more comes of it. */
  skipInCopy(): void {
    for (const kind of ['query', 'function'] as const) {
      const index = this.pipeline.indexOf(kind, 1)
      const statement = index < 0 ? undefined : unfinished(statementOf(this.pipeline.take(index)))
      if (!statement) continue
      this.#skip(statement)
      return
    }
  }

  #skip(statement: Statement): void {
    statement.execution = 'skipped'
    statement.finished = true
    this.transactions.settled(statement)
  }

  /** With the end of its transaction a portal is gone. */
  leavePortals(all = false): void {
    if (this.#portals.size === 0) return
    for (const portal of this.#portals.remove(({confirmed}) => all || confirmed)) this.#leave(portal)
  }

  /** Nothing more comes out of a portal. */
  #leave({statement}: Portal): void {
    if (!statement || statement.finished) return
    statement.finished = true
    statement.execution = statement.asked ? 'partial' : 'none'
    this.transactions.settled(statement)
  }

  #record(statement: Statement): void {
    if (statement.recorded) return
    statement.recorded = true
    this.#audit.statement(statement)
  }

  /** Names that the server gives or takes away by a command, in whatever way it was sent. */
  prepareOrForget(command: string, statement: Statement): void {
    if (command === 'DEALLOCATE ALL' || command === 'DISCARD ALL') this.#prepared.forget(undefined, this.#asked())
    if (command !== 'DEALLOCATE' && command !== 'PREPARE') return
    const name = preparedName(statementAt(statement, command.toLowerCase()) ?? '')
    if (name === undefined) return
    if (command === 'DEALLOCATE') this.#prepared.forget(name, this.#asked())
    else if (!this.#prepared.find(name)) this.#prepared.add(name, statement.subject)
  }

  /** What the client has prepared since it sent what is answered now. */
  *#asked(): Generator<Subject> {
    for (let index = 1; index < this.pipeline.length; index += 1) {
      const {kind, subject} = this.pipeline.at(index) ?? {}
      if (kind === 'parse') yield subject
    }
  }

  #ask(kind: 'query' | 'function', statement: Statement, size: number): void {
    statement.bytesFromClient = size
    if (this.#skipping) {
      this.#skip(statement)
      return
    }
    this.#begin(statement, 0)
    this.pipeline.push(kind, statement)
  }

  /** From here on the server may run it. */
  #begin(statement: Statement, size: number): void {
    statement.bytesFromClient += size
    if (statement.asked) return
    statement.asked = true
    this.#measurement.begin(statement)
    this.#audit.asked(statement)
  }
}

export function statementOf(subject: Subject): Statement | undefined {
  if (subject instanceof Statement) return subject
  return subject instanceof Portal ? subject.statement : undefined
}

export function unfinished(statement: Statement | undefined): Statement | undefined {
  return statement?.finished === true ? undefined : statement
}
