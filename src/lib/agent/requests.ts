/**
 * What a client has asked of the server, in order. A request that the server will not get to is
 * recorded as skipped: after an ErrorResponse it reads on at the client's next Sync.
 */
import type {SessionAudit} from '../audit/session-audit.js'
import {Statement} from '../audit/statement.js'
import type {ClientEncoding} from '../pgwire/client-encoding.js'
import {ClientTexts} from './client-texts.js'
import type {Measurement} from './measurement.js'
import {Names} from './names.js'
import {Pipeline} from './pipeline.js'
import {Portal, Prepared, statementOf, unfinished, type Describe, type Subject} from './prepared.js'
import {couldCommitPartly, mayUsePrepared} from './statement-sql.js'
import {Transactions} from './transactions.js'
import {UntoldSql} from './untold-sql.js'

export type Kind = 'query' | 'function' | 'parse' | 'bind' | 'describe' | 'execute' | 'close' | 'sync' | 'copy-end'

/** Of a statement that nobody prepared on the wire. */
export const unresolvedSql = '"db_query":"","unresolved":true'

const unclearName =
  'The client used a name for a statement or portal that is too long, or not text enough, to say what the server takes it for.'
const misplacedInCopy = 'The client sent a request in the middle of COPY data.'

/** What a session may keep prepared: texts, parameters and names. */
const maximumWeight = 16 * 1024 * 1024
/**
 * The same of what the server has not answered. A server gathers 8 KiB of answers before it sends them, unless it is asked to:
 * those to some 400 requests, each with parameters and SQL of 64 KiB, which nobody can be held back from sending.
 */
const maximumUnansweredWeight = 64 * 1024 * 1024
/** What a request takes beside its texts. */
const overhead = 256

interface RequestsOptions {
  readonly audit: SessionAudit
  readonly measurement: Measurement
  /** Bytes of names that the server tells apart. */
  readonly longestName: number
  /** Of the client's texts, as the server said it at sign-in. */
  readonly encoding: ClientEncoding
}

export class Requests {
  readonly names: Names
  readonly pipeline = new Pipeline<Kind, Subject>()
  readonly transactions: Transactions
  readonly #audit: SessionAudit
  readonly measurement: Measurement
  /** After an error, before the client's Sync. */
  #skipping = false
  /** The server takes COPY data. */
  #inCopy = false
  /** It does, and the client has not said that this was all. */
  #copying = false
  /** Syncs that the server ignores when it reads them in a COPY, and answers when the COPY has failed before. */
  #syncsInCopy = 0
  readonly #untold: UntoldSql
  #misplaced: string | undefined
  readonly texts: ClientTexts

  constructor({audit, measurement, longestName, encoding}: RequestsOptions) {
    this.#audit = audit
    this.measurement = measurement
    this.texts = new ClientTexts(this.pipeline, encoding)
    this.#untold = new UntoldSql(audit, (statement) => {
      this.#record(statement)
    })
    this.transactions = new Transactions((statement) => {
      this.#record(statement)
    }, couldCommitPartly)
    this.names = new Names({
      longestName,
      encoding: () => this.texts.encoding,
      // The newer line counts.
      asked: (statement) => {
        audit.asked(statement)
      },
      settled: (statement) => {
        this.transactions.settled(statement)
      },
    })
  }

  /** What the session has more of than is kept; what it does then nobody could say any more. */
  get excess(): 'names' | 'requests' | undefined {
    if (this.names.weight > maximumWeight) return 'names'
    return this.pipeline.weight > maximumUnansweredWeight ? 'requests' : undefined
  }

  /** The server has come to what is next in order, and has read it by the encoding of now. */
  reread(): void {
    const statement = this.texts.reread()
    // The newer line counts.
    if (statement) this.#audit.asked(statement)
  }

  /** A name in what the client sends now, as the server tells it from others. */
  nameOf(text: string): string {
    this.texts.nameSent(text)
    const name = this.names.of(text)
    if (name === undefined) this.#misplaced = unclearName
    return name ?? ''
  }

  /**
   * Why nobody can say what a request was, in one sentence: it came in the middle of COPY data, where the server ends a
   * session too, or its names are not certain.
   */
  get misplaced(): string | undefined {
    return this.#misplaced ?? this.texts.uncertainty
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
    for (const {statement} of this.names.portals.values()) if (statement?.asked === true) yield statement
    yield* this.transactions.waiting
  }

  /** @param size bytes of the message, as for the others */
  query(statement: Statement, size: number): void {
    this.#ask('query', statement, size)
  }

  functionCall(statement: Statement, size: number): void {
    this.#ask('function', statement, size)
  }

  /** @param reread the SQL, where what goes before is not answered */
  parse(name: string, sql: string, types: readonly number[], reread?: () => string): void {
    if (this.#skips()) return
    const prepared = new Prepared(name, sql, types)
    prepared.reread = reread
    this.names.put(prepared)
    this.pipeline.push('parse', prepared, prepared.weight)
    this.#untold.add(prepared)
  }

  /** @param describe says the statement's subject when the name is that of a prepared statement, or of none that is known */
  bind(name: string, statementName: string, describe: Describe, size: number): void {
    const prepared = this.names.findPrepared(statementName)
    if (prepared) this.#untold.forget(prepared)
    const statement = new Statement(this.#audit.nextStatement(), describe(prepared))
    statement.bytesFromClient = size
    if (this.#skips()) {
      this.#skip(statement)
      return
    }
    const portal = new Portal(name, prepared, statement)
    if (this.pipeline.length > 0)
      portal.unresolved = {statementName, describe, encoding: this.texts.encoding, sql: prepared?.sql}
    this.names.put(portal)
    this.pipeline.push('bind', portal, portal.weight)
  }

  execute(name: string, size: number): void {
    // What was bound in vain is recorded already.
    if (this.#skips()) return
    const portal = this.names.findPortal(name) ?? this.#unknownPortal(name)
    if (portal.statement) this.#begin(portal.statement, size)
    this.pipeline.push('execute', portal)
  }

  describe(kind: 'statement' | 'portal', name: string): void {
    if (this.#skips()) return
    this.pipeline.push('describe', kind === 'statement' ? this.names.findPrepared(name) : this.names.findPortal(name))
  }

  close(kind: 'statement' | 'portal', name: string): void {
    if (this.#skips()) return
    const prepared = kind === 'statement' ? this.names.findPrepared(name) : undefined
    if (prepared) this.#untold.tell(prepared)
    const closing = kind === 'statement' ? new Prepared(name, '', [], true) : new Portal(name)
    this.names.put(closing)
    this.pipeline.push('close', closing, closing.weight)
  }

  sync(): void {
    if (this.#copying) {
      this.#syncsInCopy += 1
      return
    }
    this.#skipping = false
    this.pipeline.push('sync', undefined)
  }

  /** CopyDone or CopyFail. */
  copyEnded(): void {
    if (this.#copying) this.#copying = false
    // With nothing asked there is no COPY to end, and the server ignores it.
    else if (this.pipeline.length > 0) this.pipeline.push('copy-end', undefined)
  }

  /** The portal that the server executes for the request that is next in order. */
  executed(expected: Portal): Portal {
    const {name} = expected
    const standing = this.names.portals.get(name)
    if (standing === expected || (!standing && expected.unknown)) return expected
    const portal = standing ?? this.#unknownPortal(name)
    if (portal.statement) this.#begin(portal.statement, 0)
    this.pipeline.replace(portal)
    return portal
  }

  /** The server wants COPY data: what stands before the client's end of it is not answered. */
  copyBegan(): void {
    if (this.pipeline.kind !== 'query' && this.pipeline.kind !== 'execute') return
    const found = this.pipeline.indexOf('copy-end', 1)
    const end = found < 0 ? this.pipeline.length : found
    for (let index = 1; index < end; index += 1)
      if (this.pipeline.at(index)?.kind !== 'sync') this.#misplaced = misplacedInCopy
    this.#inCopy = true
    this.#syncsInCopy += this.pipeline.drop('sync', end)
    if (found >= 0) this.pipeline.drop('copy-end', this.pipeline.indexOf('copy-end', 1) + 1)
    this.#copying = found < 0
  }

  /** The server has answered a request, and so takes no COPY data. @param failed maybe before it had read all of that */
  copyOver(failed: boolean): void {
    if (!failed || !this.#inCopy) this.#syncsInCopy = 0
    this.#inCopy = this.#copying = false
  }

  /** A ReadyForQuery before the answer to what is next in order: whether it is that for a Sync in a COPY that failed. */
  takesSyncOfCopy(): boolean {
    this.#skipping = this.#copying = false
    if (this.#syncsInCopy === 0) return false
    this.#syncsInCopy -= 1
    return true
  }

  /** The server reads on at the client's next Sync. */
  skipToSync(): void {
    if (this.#syncsInCopy > 0 && this.#hasRequestBeforeSync()) {
      // One of the Syncs in the COPY may be the next: then these are not skipped.
      this.pipeline.shift()
      this.#misplaced = misplacedInCopy
      return
    }
    while (this.pipeline.kind !== undefined && this.pipeline.kind !== 'sync') this.skipOne()
    this.#skipping = this.pipeline.kind === undefined
  }

  #hasRequestBeforeSync(): boolean {
    const second = this.pipeline.at(1)?.kind
    return second !== undefined && second !== 'sync' && second !== 'copy-end'
  }

  /** What is next in order is not done. */
  skipOne(): void {
    const {kind, subject} = this.pipeline
    this.pipeline.shift()
    const isNamed = subject instanceof Prepared || subject instanceof Portal
    if (isNamed && (kind === 'parse' || kind === 'bind' || kind === 'close')) this.names.undo(subject)
    if (subject instanceof Prepared) this.#untold.forget(subject)
    const statement = unfinished(statementOf(subject))
    if (statement && (kind === 'query' || kind === 'function' || kind === 'bind')) this.#skip(statement)
    else if (statement && kind === 'execute' && subject instanceof Portal && subject.unknown) this.#skip(statement)
  }

  /** Whether the server does not read what the client sends now. */
  #skips(): boolean {
    if (this.#copying || (this.#skipping && this.#syncsInCopy > 0)) this.#misplaced = misplacedInCopy
    return this.#skipping
  }

  #skip(statement: Statement): void {
    statement.execution = 'skipped'
    statement.finished = true
    this.transactions.settled(statement)
  }

  #record(statement: Statement): void {
    if (statement.recorded) return
    statement.recorded = true
    this.#audit.statement(statement)
  }

  #unknownPortal(name: string): Portal {
    const fields = name === '' ? '' : `,"portal_name":${JSON.stringify(name)}`
    const portal = new Portal(name, undefined, new Statement(this.#audit.nextStatement(), unresolvedSql + fields))
    portal.unknown = true
    return portal
  }

  #ask(kind: 'query' | 'function', statement: Statement, size: number): void {
    statement.bytesFromClient = size
    if (this.#skips()) {
      this.#skip(statement)
      return
    }
    this.#begin(statement, 0)
    this.pipeline.push(kind, statement, overhead + statement.subject.length)
  }

  /** Records the SQL of what was prepared and not bound since. */
  tellPrepared(): void {
    this.#untold.tellAll()
  }

  /** From here on the server may run it. */
  #begin(statement: Statement, size: number): void {
    if (!this.#untold.isEmpty && mayUsePrepared(statement)) this.tellPrepared()
    statement.bytesFromClient += size
    if (statement.asked) return
    statement.asked = true
    this.measurement.begin(statement)
    this.#audit.asked(statement)
  }
}
