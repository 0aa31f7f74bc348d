import {randomUUID} from 'node:crypto'
import type {EventsResponse} from '../api/responses.js'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import type {AppendOutcome, Backend, EventRecord} from '../storage/backend.js'

/** The control plane's own events: names and codes of the client contract, chapter 6.3; below the line, our own. */
const codes = {
  'user.login': {done: 'T1000I', failed: 'T1000W'},
  'user.create': {done: 'T1002I'},
  'user.update': {done: 'T1003I'},
  'user.delete': {done: 'T1004I'},
  'user.password_change': {done: 'T1005I'},
  'reset_password_token.create': {done: 'T6000I'},
  'join_token.create': {done: 'TJT00I'},
  'instance.join': {done: 'TJ002I', failed: 'TJ002E'},
  'cert.create': {done: 'TC000I'},
  'role.created': {done: 'T9000I'},
  'role.deleted': {done: 'T9001I'},
  'role.updated': {done: 'T9002I'},
  'lock.created': {done: 'TLK00I'},
  'lock.deleted': {done: 'TLK01I'},
  'session.recording.access': {done: 'T2012I'},
  'db.create': {done: 'TDB03I'},
  'db.update': {done: 'TDB04I'},
  'db.delete': {done: 'TDB05I'},
  'health_check_config.create': {done: 'THCC001I'},
  'health_check_config.update': {done: 'THCC002I'},
  'health_check_config.delete': {done: 'THCC003I'},
  // ―――
  'join_token.delete': {done: 'PJT01I'},
  'user.logout_everywhere': {done: 'PUS01I'},
  'user.lockout': {done: 'PUS02W'},
  'database_server.refused': {done: 'PDS00W'},
  'audit.conflict': {done: 'PAU00E'},
  'audit.missing_sessions': {done: 'PAU01E'},
} as const

export type OwnEventName = keyof typeof codes

export type EventFields = Readonly<Record<string, unknown>>

/** Fields for something without an end. */
export const noExpiry = '0001-01-01T00:00:00Z'

export interface EventFilter {
  readonly event?: string | undefined
  readonly user?: string | undefined
  readonly sid?: string | undefined
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly limit: number
  readonly cursor?: string | undefined
}

/** The audit log. What appends is done only when its event is on disk. */
export class AuditLog {
  readonly #backend: Backend
  readonly #cluster: string
  readonly #clock: Clock

  constructor(backend: Backend, cluster: string, clock: Clock) {
    this.#backend = backend
    this.#cluster = cluster
    this.#clock = clock
  }

  /** One event of the control plane; with `success: false` among the fields it has the code of the failure. */
  async append(event: OwnEventName, fields: EventFields): Promise<void> {
    const now = this.#clock.now()
    const {done, failed = done}: {done: string; failed?: string} = codes[event]
    const body = {
      ei: 0,
      event,
      code: fields.success === false ? failed : done,
      uid: randomUUID(),
      time: new Date(now).toISOString(),
      cluster_name: this.#cluster,
      ...fields,
    }
    const user = typeof fields.user === 'string' ? fields.user : undefined
    await this.#backend.appendEvents([{time: now, event, user, hash: '', body: JSON.stringify(body)}])
  }

  /** Events of others, checked by the caller. */
  appendForeign(records: readonly EventRecord[]): Promise<AppendOutcome[]> {
    return this.#backend.appendEvents(records)
  }

  /** @throws PosternError INVALID when the cursor is none of ours */
  async list({cursor, from, to, ...filter}: EventFilter): Promise<EventsResponse> {
    if (cursor !== undefined && !/^\d{1,15}$/.test(cursor)) {
      throw new PosternError('INVALID', 'The cursor is not one that this cluster gave.')
    }
    const {bodies, next} = await this.#backend.listEvents({
      ...filter,
      from: from === undefined ? undefined : Date.parse(from),
      to: to === undefined ? undefined : Date.parse(to),
      after: cursor === undefined ? undefined : Number(cursor),
    })
    return {
      events: bodies.map((body) => JSON.parse(body) as Record<string, unknown>),
      ...(next === undefined ? {} : {cursor: String(next)}),
    }
  }
}
