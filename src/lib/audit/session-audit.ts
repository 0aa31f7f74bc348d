import type {Clock} from '../core/clock.js'
import {
  asRefusedStart,
  boundaryFields,
  sessionEvent,
  sessionFields,
  sqlFields,
  type AuditEvent,
  type SessionEventName,
  type SessionFacts,
} from './event.js'
import type {OpenSession} from './open-sessions.js'
import type {Spool} from './spool.js'
import {trimName, trimParameters, type SqlText} from './trimming.js'

/** Bytes of a malformed message that are kept. */
const maximumPacketBytes = 4096

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

  query(sql: SqlText): void {
    this.#record('db.session.query', {...sqlFields('db_query', sql), success: true})
  }

  parse(statement: string, sql: SqlText): void {
    this.#record('db.session.postgres.statements.parse', {
      statement_name: trimName(statement),
      ...sqlFields('query', sql),
    })
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

  execute(portal: string): void {
    this.#record('db.session.postgres.statements.execute', {portal_name: trimName(portal)})
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
