import {randomUUID} from 'node:crypto'
import type {Clock} from '../core/clock.js'
import {
  asRefusedStart,
  boundaryFields,
  sessionEvent,
  sessionFields,
  type AuditEvent,
  type SessionEventName,
  type SessionFacts,
} from './event.js'
import {sessionEvents} from './event-codes.js'
import {formatAsked, type OpenSession} from './open-sessions.js'
import type {Spool} from './spool.js'
import type {Fate, Statement} from './statement.js'
import {trimSql, type SqlText} from './trimming.js'

/** Bytes of a malformed message that are kept. */
const maximumPacketBytes = 4096
/** Bytes of SQL in one event of its own. */
const sqlPartBytes = 65_536

interface Refusal {
  readonly error: string
  readonly message: string
  /** The decision of roles and locks that refused it (resources/explanation.ts). */
  readonly decision?: object | undefined
}

export interface SessionEnd {
  /** Why it ended, one sentence. */
  readonly reason: string
  readonly bytesFromClient: number
  readonly bytesFromServer: number
  /** NotificationResponses that were delivered. */
  readonly notifications?: number
  /** The transaction that was open, and what the server does with it. */
  readonly open?: {readonly transaction: number; readonly fate: Fate} | undefined
}

interface CurrentStatement {
  readonly sql: string | undefined
  /** Milliseconds since 1970; absent when nothing runs. */
  readonly since?: number
}

/**
 * The audit of one session. Events gather until `flush`, which writes them with one write(2): call it before the bytes
 * that they speak of are forwarded. Where those have been asked for already, `flushSoon` does.
 */
export class SessionAudit implements OpenSession {
  readonly facts: SessionFacts
  /** The statements that were asked for and have no event. */
  unrecorded: () => Iterable<Statement> = () => []
  readonly #spool: Spool
  readonly #clock: Clock
  readonly #common: AuditEvent
  /** The same as JSON without braces: statements are many. */
  readonly #commonJson: string
  #index = 0
  #statements = 0
  /** Queries and statements to prepare, so far. */
  #texts = 0
  /** Milliseconds since 1970. */
  startedAt = 0
  transaction: number | undefined
  /** The SQL that came last, as far as an event has it. */
  #newestSql: string | undefined
  #pending = ''

  constructor(spool: Spool, clock: Clock, facts: SessionFacts) {
    this.#spool = spool
    this.#clock = clock
    this.facts = facts
    this.#common = sessionFields(facts)
    this.#commonJson = JSON.stringify(this.#common).slice(1, -1)
  }

  get sid(): string {
    return this.facts.sid
  }

  get nextIndex(): number {
    return this.#index
  }

  get endFields(): AuditEvent {
    return {
      ...this.#common,
      ...boundaryFields(this.facts),
      ...this.#mode,
      start_time: new Date(this.startedAt).toISOString(),
    }
  }

  /** Whether what only a recording has is written. */
  get #isRecorded(): boolean {
    return this.facts.recording !== 'off'
  }

  /** Said where it is not the usual one. */
  get #mode(): AuditEvent {
    const {recording} = this.facts
    return recording === 'node' ? {} : {session_recording: recording}
  }

  /** What the server works on, and since when; when it waits, the SQL that came last. As far as an event has it. */
  get current(): CurrentStatement {
    for (const {subject, startedAt, finished} of this.unrecorded()) {
      if (finished) continue
      const {db_query: sql} = JSON.parse(`{${subject}}`) as AuditEvent
      if (typeof sql === 'string') return {sql, since: this.#clock.now() - (this.#clock.monotonic() - startedAt)}
    }
    return {sql: this.#newestSql}
  }

  get unanswered(): string {
    let lines = ''
    for (const {number, event, subject} of this.unrecorded())
      lines += formatAsked(this.facts.sid, number, event, subject)
    return lines
  }

  /** The session is ready for queries. */
  started({pid, userAgent}: {readonly pid?: number | undefined; readonly userAgent?: string | undefined}): void {
    this.startedAt = this.#clock.now()
    const event = this.#event(
      'db.session.start',
      boundaryFields(this.facts),
      this.#mode,
      this.#spool.nextSession(),
      {success: true},
      pid === undefined ? {} : {postgres_pid: pid},
      userAgent ? {user_agent: userAgent} : {},
    )
    this.#add(event)
    this.#spool.begin(this, this.#take())
  }

  /** The session did not come about. `error` is for administrators, `message` is what the user was told. */
  refused({error, message, decision}: Refusal): void {
    const event = this.#event('db.session.start', boundaryFields(this.facts), {
      success: false,
      error,
      message,
      ...(decision && {decision}),
    })
    this.#add(asRefusedStart(event))
    this.flush()
  }

  /** It did not come about because the user has as many sessions as the roles allow. */
  rejected(reason: string): void {
    this.#add(this.#event('session.rejected', boundaryFields(this.facts), {reason}))
    this.flush()
  }

  /** The session ends because its client was idle for too long, or may not go on. */
  disconnected(reason: string): void {
    this.#add(this.#event('client.disconnect', boundaryFields(this.facts), {reason}))
  }

  /** The number of the session's next statement. */
  nextStatement(): number {
    this.#statements += 1
    return this.#statements
  }

  /** Fields that hold SQL, as JSON without braces; when an event cannot take all of it, pieces with the whole go before. */
  sqlFields(sql: SqlText): string {
    this.#texts += 1
    const {text, sha256} = trimSql(sql)
    this.#newestSql = text
    const field = formatSql(text, sql.encoding)
    if (sha256 === undefined) return field
    if (!this.#isRecorded) return `${field},"db_query_truncated":true,"db_query_sha256":"${sha256}"`
    // With a hash of its own it was too long for a message to be kept, and its pieces are there already.
    if (sql.sha256 === undefined) this.#sqlPieces(this.#texts, sql.bytes ?? Buffer.from(sql.text))
    return `${field},"db_query_truncated":true,"db_query_sha256":"${sha256}","db_query_parts":${this.#texts}`
  }

  /** The next piece of SQL that is too long for an event; the message that it belongs to ends with the last one. */
  sqlPart(bytes: Buffer): void {
    this.#sqlPieces(this.#texts + 1, bytes)
  }

  /** The client asks for a statement: from here on the spool knows of it. */
  asked({number, event, subject}: Statement): void {
    this.#pending += formatAsked(this.facts.sid, number, event, subject)
  }

  /** What came of a statement. */
  statement(statement: Statement): void {
    const {event, subject} = statement
    if (statement.transaction !== undefined) this.transaction = statement.openTransaction
    const code = sessionEvents[event][statement.success ? 'done' : 'failed']
    const time = new Date(this.#clock.now()).toISOString()
    this.#pending += `{"ei":${this.#index++},"event":"${event}","code":"${code}","uid":"${randomUUID()}","time":"${time}",${this.#commonJson},${subject},${statement.outcome()}}\n`
  }

  /** An error of the server that answers no statement. */
  serverError(error: string, sqlState: string): void {
    if (!this.#isRecorded) return
    this.#record('db.session.result', {
      success: false,
      error,
      sqlstate: sqlState,
      affected_records: 0,
    })
  }

  malformedPacket(packet: Buffer): void {
    this.#record('db.session.malformed_packet', {
      payload: packet.subarray(0, maximumPacketBytes).toString('base64'),
    })
  }

  /**
   * Ends the session's audit; resolves when all of it is on the disk.
   * @throws PosternError FAILED when it is not; the spool writes it as soon as it can
   */
  async ended({reason, bytesFromClient, bytesFromServer, notifications = 0, open}: SessionEnd): Promise<void> {
    this.#add(
      this.#event('db.session.end', this.endFields, {
        end_time: new Date(this.#clock.now()).toISOString(),
        reason,
        bytes_from_client: bytesFromClient,
        bytes_from_server: bytesFromServer,
        ...(notifications > 0 && {notifications}),
        ...(open && {transaction: open.transaction, transaction_outcome: open.fate}),
      }),
    )
    this.#spool.end(this, this.#take())
    await this.#spool.sync()
  }

  /** Writes what has gathered. @throws PosternError FAILED when it cannot be written: then it is kept, and nothing may be forwarded. */
  flush(): void {
    if (this.#pending === '') return
    this.#spool.append(this.#pending)
    this.#pending = ''
  }

  /** Writes what has gathered within milliseconds; `onFailure` hears why it cannot be written. */
  flushSoon(onFailure: (reason: string) => void): void {
    if (this.#pending !== '') this.#spool.appendSoon(this.#take(), onFailure)
  }

  #sqlPieces(text: number, bytes: Buffer): void {
    if (!this.#isRecorded) return
    const {cluster, sid} = this.facts
    for (let offset = 0; offset < bytes.length; offset += sqlPartBytes) {
      const data = bytes.toString('base64', offset, offset + sqlPartBytes)
      const fields = {cluster_name: cluster, sid, part_of: text, data}
      this.#add(sessionEvent('db.session.sql.part', this.#index++, this.#clock.now(), fields))
    }
  }

  #record(name: SessionEventName, fields: AuditEvent): void {
    this.#add(this.#event(name, fields))
  }

  #event(name: SessionEventName, ...fields: readonly AuditEvent[]): AuditEvent {
    return sessionEvent(name, this.#index++, this.#clock.now(), this.#common, ...fields)
  }

  #add(event: AuditEvent): void {
    this.#pending += `${JSON.stringify(event)}\n`
  }

  #take(): string {
    const lines = this.#pending
    this.#pending = ''
    return lines
  }
}

/** The fields of SQL that an event takes whole. @param encoding PostgreSQL's name of the one it was in, where that was not UTF-8 */
export function formatSql(text: string, encoding: string | undefined): string {
  const field = `"db_query":${JSON.stringify(text)}`
  return encoding === undefined ? field : `${field},"db_query_encoding":"${encoding}"`
}
