import {randomUUID} from 'node:crypto'
import type {EventsResponse} from '../api/responses.js'
import {ownEvents} from '../audit/event-codes.js'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import type {SealingKey} from '../audit/seal.js'
import type {AppendOutcome, Backend, Change, EventRecord, EventSealer} from '../storage/backend.js'
import {eventSealer} from './event-chain.js'

export type OwnEventName = keyof typeof ownEvents

export type EventFields = Readonly<Record<string, unknown>>

/** Fields for something without an end. */
export const noExpiry = '0001-01-01T00:00:00Z'

/** Behind all events of a session, whose agent counts from 0. */
const lastIndex = 2 ** 31 - 1

export interface EventFilter {
  readonly event?: readonly string[] | undefined
  readonly db?: string | undefined
  readonly code?: string | undefined
  readonly success?: boolean | undefined
  readonly user?: string | undefined
  readonly sid?: string | undefined
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly limit: number
  readonly cursor?: string | undefined
  readonly before?: string | undefined
  /** Seconds to wait for something behind the cursor when there is nothing. */
  readonly wait?: number | undefined
}

/** The audit log. What appends is done only when its event is on disk. */
export class AuditLog {
  readonly #backend: Backend
  readonly #cluster: string
  readonly #clock: Clock
  readonly #seal: EventSealer
  /** Who waits for the next event. */
  readonly #waiting = new Set<() => void>()

  /** @param key seals what is appended */
  constructor(backend: Backend, cluster: string, clock: Clock, key: SealingKey) {
    this.#backend = backend
    this.#cluster = cluster
    this.#clock = clock
    this.#seal = eventSealer(key)
  }

  /** One event of the control plane; with `success: false` among the fields it has the code of the failure. */
  async append(event: OwnEventName, fields: EventFields): Promise<void> {
    await this.#append([this.#record(event, 0, fields)])
  }

  /** Changes with the event that tells of them: never one without the other. @throws as Backend.write does */
  async change(changes: readonly Change[], event: OwnEventName, fields: EventFields): Promise<void> {
    await this.#backend.write(changes, {records: [this.#record(event, 0, fields)], seal: this.#seal})
    this.#wake()
  }

  /** The last event of each of these sessions; one that has it already gets no other. */
  async conclude(event: OwnEventName, sessions: readonly (EventFields & {readonly sid: string})[]): Promise<void> {
    if (sessions.length === 0) return
    await this.#append(
      sessions.map((fields) => ({...this.#record(event, lastIndex, fields), ei: lastIndex, hash: event})),
    )
  }

  /** Events of others, checked by the caller. */
  appendForeign(records: readonly EventRecord[]): Promise<AppendOutcome[]> {
    return this.#append(records)
  }

  #record(event: OwnEventName, ei: number, fields: EventFields): EventRecord {
    const now = this.#clock.now()
    const {done, failed = done}: {done: string; failed?: string} = ownEvents[event]
    const body = {
      ei,
      event,
      code: fields.success === false ? failed : done,
      uid: randomUUID(),
      time: new Date(now).toISOString(),
      cluster_name: this.#cluster,
      ...fields,
    }
    const {user, sid} = fields
    return {
      time: now,
      event,
      ...(typeof user === 'string' && {user}),
      ...(typeof sid === 'string' && {sid}),
      hash: '',
      body: JSON.stringify(body),
    }
  }

  /** @throws PosternError INVALID when the cursor is none of ours */
  async list(filter: EventFilter): Promise<EventsResponse> {
    const {wait = 0} = filter
    const deadline = this.#clock.monotonic() + wait * 1000
    for (let {cursor} = filter; ;) {
      const appended = this.#nextAppend(Math.max(0, deadline - this.#clock.monotonic()))
      const answer = await this.#list({...filter, cursor})
      if (cursor === undefined || answer.events.length > 0 || this.#clock.monotonic() >= deadline) return answer
      cursor = answer.seen
      await appended
    }
  }

  async #list({
    event,
    db,
    code,
    success,
    from,
    to,
    cursor,
    before,
    user,
    sid,
    limit,
  }: EventFilter): Promise<EventsResponse> {
    const having = {db_service: db, code, success}
    const after = readCursor(cursor)
    const {bodies, positions, next, seen} = await this.#backend.listEvents({
      ...{user, sid, limit, events: event, having: withoutUndefined(having)},
      from: from === undefined ? undefined : Date.parse(from),
      to: to === undefined ? undefined : Date.parse(to),
      after,
      before: readCursor(before),
    })
    if (after !== undefined && bodies.length === 0) await this.#checkReached(after)
    const [oldest] = positions
    return {
      events: bodies.map((body, index) => readBody(body, positions[index] ?? 0)),
      cursors: positions.map(String),
      ...(next === undefined ? {} : {cursor: String(next)}),
      ...(seen === undefined ? {} : {seen: String(seen)}),
      ...(cursor === undefined && oldest !== undefined && bodies.length === limit ? {older: String(oldest)} : {}),
    }
  }

  /**
   * Whoever waits behind the end of the log would miss what is stored up to there.
   * @throws PosternError INVALID when the log never came so far
   */
  async #checkReached(position: number): Promise<void> {
    // What is removed as too old has newer events behind it.
    const newer = position === 0 || (await this.#backend.storedEvents({after: position - 1, limit: 1})).length > 0
    if (newer) return
    throw new PosternError('INVALID', `The audit log does not reach to the cursor ${position}.`, {
      hint: [
        'The cursor is from another cluster, or the log was replaced by an older copy.',
        'Without a cursor an export begins with the oldest event; `uid` tells repetitions apart.',
      ],
    })
  }

  /** Resolves when something was appended, or after so many milliseconds. */
  #nextAppend(milliseconds: number): Promise<void> {
    if (milliseconds === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer)
        this.#waiting.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, milliseconds).unref()
      this.#waiting.add(wake)
    })
  }

  async #append(records: readonly EventRecord[]): Promise<AppendOutcome[]> {
    const outcomes = await this.#backend.appendEvents(records, this.#seal)
    this.#wake()
    return outcomes
  }

  #wake(): void {
    for (const wake of this.#waiting) wake()
  }
}

/** @throws PosternError INVALID */
function readCursor(cursor: string | undefined): number | undefined {
  if (cursor === undefined) return undefined
  if (/^\d{1,15}$/.test(cursor)) return Number(cursor)
  throw new PosternError('INVALID', 'The cursor is not one that this cluster gave.')
}

function withoutUndefined(
  values: Readonly<Record<string, string | boolean | undefined>>,
): Record<string, string | boolean> {
  return Object.fromEntries(
    Object.entries(values).flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const])),
  )
}

export const unreadable = 'audit.unreadable'
/** What of a damaged event is shown. */
const damagedCharacters = 1000

/** An event as it is stored; one that is damaged must hold up no others, and must not vanish either. */
export function readBody(body: string, position: number): EventFields {
  try {
    const event: unknown = JSON.parse(body)
    if (typeof event === 'object' && event !== null && !Array.isArray(event)) return event as EventFields
  } catch {
    // Told below.
  }
  return {event: unreadable, code: ownEvents[unreadable].done, position, stored: body.slice(0, damagedCharacters)}
}
