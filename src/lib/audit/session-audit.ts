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
import type {OpenSession} from './open-sessions.js'
import type {Spool} from './spool.js'
import {trimName, trimParameters, trimSql, trimText, type SqlText} from './trimming.js'

/** Bytes of a malformed message that are kept. */
const maximumPacketBytes = 4096
/** Bytes of SQL in one event of its own. */
const sqlPartBytes = 65_536
/** An error's text comes from the server, and may quote a query. */
const maximumErrorBytes = 65_536

/** What came of a statement. */
export interface StatementResult {
  /** `ei` of the event of the query or execution that it answers; undefined for an error that answers none. */
  readonly query: number | undefined
  /** Rows read or changed, 0 where the server counts none. */
  readonly rows?: number | undefined
  /** `ERROR: … (SQLSTATE 42501)` */
  readonly error?: string | undefined
}

export interface SessionEnd {
  /** Why it ended, one sentence. */
  readonly reason: string
  readonly bytesFromClient: number
  readonly bytesFromServer: number
}

/**
 * The audit of one session. Events gather until `flush`, which writes them with one write(2): call it before the bytes
 * that they speak of are forwarded.
 */
export class SessionAudit implements OpenSession {
  readonly facts: SessionFacts
  readonly #spool: Spool
  readonly #clock: Clock
  readonly #common: AuditEvent
  #index = 0
  #startedAt = 0
  #pending = ''

  constructor(spool: Spool, clock: Clock, facts: SessionFacts) {
    this.#spool = spool
    this.#clock = clock
    this.facts = facts
    this.#common = sessionFields(facts)
  }

  get sid(): string {
    return this.facts.sid
  }

  get nextIndex(): number {
    return this.#index
  }

  get endFields(): AuditEvent {
    return {...this.#common, ...boundaryFields(this.facts), start_time: new Date(this.#startedAt).toISOString()}
  }

  /** The session is ready for queries. */
  started({pid, userAgent}: {readonly pid?: number | undefined; readonly userAgent?: string | undefined}): void {
    this.#startedAt = this.#clock.now()
    const event = this.#event(
      'db.session.start',
      boundaryFields(this.facts),
      this.#spool.nextSession(),
      {success: true},
      pid === undefined ? {} : {postgres_pid: pid},
      userAgent ? {user_agent: userAgent} : {},
    )
    this.#add(event)
    this.#spool.begin(this, this.#take())
  }

  /** The session did not come about. `error` is for administrators, `message` is what the user was told. */
  refused({error, message}: {readonly error: string; readonly message: string}): void {
    const event = this.#event('db.session.start', boundaryFields(this.facts), {success: false, error, message})
    this.#add(asRefusedStart(event))
    this.flush()
  }

  /** @returns the `ei` that its results name */
  query(sql: SqlText): number {
    return this.#record('db.session.query', {...this.#sqlFields('db_query', sql), success: true})
  }

  parse(statement: string, sql: SqlText): void {
    this.#record('db.session.postgres.statements.parse', {
      statement_name: trimName(statement),
      ...this.#sqlFields('query', sql),
    })
  }

  /** The next piece of SQL that is too long for an event; the query or parse that it belongs to follows the last one. */
  sqlPart(bytes: Buffer): void {
    const {cluster, sid} = this.facts
    for (let offset = 0; offset < bytes.length; offset += sqlPartBytes) {
      const data = bytes.toString('base64', offset, offset + sqlPartBytes)
      const fields = {cluster_name: cluster, sid, data}
      this.#add(sessionEvent('db.session.sql.part', this.#index++, this.#clock.now(), fields))
    }
  }

  /** `cut`: there were more, or longer, parameters than are given. */
  bind(statement: string, portal: string, values: readonly (string | null)[], cut: boolean): void {
    const {parameters, truncated} = trimParameters(values)
    this.#record('db.session.postgres.statements.bind', {
      statement_name: trimName(statement),
      portal_name: trimName(portal),
      parameters,
      ...((cut || truncated) && {parameters_truncated: true}),
    })
  }

  /** @returns the `ei` that its results name */
  execute(portal: string): number {
    return this.#record('db.session.postgres.statements.execute', {portal_name: trimName(portal)})
  }

  close(kind: 'statement' | 'portal', name: string): void {
    this.#record('db.session.postgres.statements.close', {[`${kind}_name`]: trimName(name)})
  }

  functionCall(oid: number, values: readonly (string | null)[], cut: boolean): void {
    const {parameters, truncated} = trimParameters(values)
    this.#record('db.session.postgres.function', {
      function_oid: oid,
      function_args: parameters,
      ...((cut || truncated) && {function_args_truncated: true}),
    })
  }

  result({query, rows = 0, error}: StatementResult): void {
    this.#record('db.session.result', {
      ...(query !== undefined && {query_ei: query}),
      success: error === undefined,
      ...(error !== undefined && {error: trimText(error, maximumErrorBytes)}),
      affected_records: rows,
    })
  }

  malformedPacket(packet: Buffer): void {
    this.#record('db.session.malformed_packet', {
      payload: packet.subarray(0, maximumPacketBytes).toString('base64'),
    })
  }

  /** Ends the session's audit; resolves when all of it is on the disk. */
  async ended({reason, bytesFromClient, bytesFromServer}: SessionEnd): Promise<void> {
    this.#add(
      this.#event('db.session.end', this.endFields, {
        end_time: new Date(this.#clock.now()).toISOString(),
        reason,
        bytes_from_client: bytesFromClient,
        bytes_from_server: bytesFromServer,
      }),
    )
    this.#spool.end(this, this.#take())
    await this.#spool.sync()
  }

  /** Writes what has gathered. @throws PosternError FAILED when it cannot be written: then nothing may be forwarded. */
  flush(): void {
    if (this.#pending !== '') this.#spool.append(this.#take())
  }

  /** The fields of SQL under a key; when the event cannot take all of it, pieces with the whole go before. */
  #sqlFields(key: 'db_query' | 'query', sql: SqlText): AuditEvent {
    const {text, sha256} = trimSql(sql)
    if (sha256 === undefined) return {[key]: text}
    // With a hash of its own it was too long for a message to be kept, and its pieces are there already.
    if (sql.sha256 === undefined) this.sqlPart(sql.bytes ?? Buffer.from(sql.text))
    return {[key]: text, [`${key}_truncated`]: true, [`${key}_sha256`]: sha256}
  }

  #record(name: SessionEventName, fields: AuditEvent): number {
    const index = this.#index
    this.#add(this.#event(name, fields))
    return index
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
