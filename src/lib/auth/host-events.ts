import {hash} from 'node:crypto'
import {z} from 'zod'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import {isNestedDeeper} from '../core/nesting.js'
import {describeIssues} from '../resources/resource.js'
import type {EventRecord} from '../storage/backend.js'
import type {AuditLog} from './audit-log.js'
import type {HostCaller} from './caller.js'
import {digestOf} from '../audit/seal.js'
import {startRefused, type AuditEvent} from '../audit/event.js'
import {formatRecordingUrl} from '../audit/recording-url.js'
import type {SessionLink} from '../storage/backend.js'
import {isAudited, isRecorded, type Recordings} from './recordings.js'
import {startLink, type SessionChain} from './session-chain.js'
import type {UnrecordedSessions} from './unrecorded-sessions.js'

/** An agent trims SQL to 64 KiB; what is much larger is no event of one. */
const maximumEventBytes = 256 * 1024
/** The results of a query have columns, which have names; nothing of an agent goes deeper. */
const maximumLevels = 16
/** What agents may tell of: sessions with databases, and nothing that the control plane says itself. */
const allowedNames = /^(db\.session\.|client\.disconnect$|session\.rejected$)/
/** Conflicts remembered, so that an agent that repeats itself does not fill the log. */
const rememberedConflicts = 1000

const maximumEvents = 10_000

/** What is looked at; agents say more, which is kept. */
const eventSchema = z.object({
  event: z.string().max(128).regex(allowedNames, 'is not an event that agents report'),
  code: z.string().min(1).max(32),
  uid: z.uuid(),
  time: z.iso.datetime({offset: true}),
  ei: z.number().int().nonnegative(),
  /** It becomes the name of a file: in one spelling only. */
  sid: z.uuid().lowercase().optional(),
  user: z.string().max(256).optional(),
  server_id: z.string().optional(),
  cluster_name: z.string().optional(),
  /** That is ours to say. */
  received_at: z.never().optional(),
})

export interface HostEventsOptions {
  readonly audit: AuditLog
  readonly recordings: Recordings
  readonly chain: SessionChain
  readonly unrecorded: UnrecordedSessions
  readonly cluster: string
  readonly clock: Clock
  readonly logger: Logger
}

/** An event of an agent, checked and bound to it. */
interface HostEvent {
  readonly event: AuditEvent
  readonly record: EventRecord
  readonly code: string
  /** As the agent wrote it, and a recording keeps it. */
  readonly line: string
}

/** Events that agents send: bound to the sender, each stored once, in the audit log, the recording of its session, or both. */
export class HostEvents {
  readonly #options: HostEventsOptions
  readonly #conflicts = new Set<string>()
  /** What is being stored: of which sessions, until when. */
  readonly #storing = new Set<{readonly sids: ReadonlySet<string>; readonly over: Promise<unknown>}>()

  constructor(options: HostEventsOptions) {
    this.#options = options
  }

  /**
   * Stores what is new of these events, one JSON object a line; sending an event again is harmless.
   * @throws PosternError INVALID when one is not an agent's to report (then none is stored), CONFLICT when another event
   *   with the same session and index is there (then all the others are stored)
   */
  async store(lines: Buffer, caller: HostCaller): Promise<void> {
    const read = this.#readAll(lines, caller)
    const storing = this.#store(read, caller)
    const sids = new Set(read.flatMap(({record: {sid}}) => sid ?? []))
    const entry = {sids, over: storing.catch(() => undefined)}
    this.#storing.add(entry)
    try {
      await storing
    } finally {
      this.#storing.delete(entry)
    }
  }

  /** Resolves when nothing that is being stored now is of this session any more: until then the log has it, and the recording not yet. */
  async settled(sid: string): Promise<void> {
    await Promise.all([...this.#storing].flatMap(({sids, over}) => (sids.has(sid) ? [over] : [])))
  }

  async #store(read: readonly HostEvent[], caller: HostCaller): Promise<void> {
    const unrecorded = await this.#refuseForeign(read, caller)
    const audited = read.filter(({record}) => isAudited(record.event))
    const outcomes = await this.#options.audit.appendForeign(audited.map(({record}) => record))
    const conflicting = audited.filter((_event, index) => outcomes[index] === 'conflict')
    const recorded = read.filter((event) => !conflicting.includes(event))
    const recordable = recorded.filter(({record}) => !unrecorded.has(record.sid ?? ''))
    conflicting.push(...(await this.#record(recordable, caller)))
    await this.#options.chain.append(await this.#links(recorded, unrecorded, caller))
    await this.#tellUploads(recordable, caller)
    for (const {record} of conflicting) await this.#alarm(record, caller)
    const [first] = conflicting
    if (first) {
      const {ei = 0, sid = ''} = first.record
      throw new PosternError('CONFLICT', `Another event ${ei} of session ${sid} is stored already; this one was not.`, {
        hint: 'An agent’s spool was changed, or two agents share one.',
      })
    }
  }

  /** A session is told of by one host. @returns the sessions that get no recording @throws PosternError INVALID */
  async #refuseForeign(events: readonly HostEvent[], caller: HostCaller): Promise<ReadonlySet<string>> {
    const {recordings, unrecorded} = this.#options
    const without = new Set<string>()
    const sessions = new Map(events.flatMap(({record}) => (record.sid === undefined ? [] : [[record.sid, record]])))
    const starts = new Map(events.filter(isStart).map(({record, event}) => [record.sid, event]))
    for (const [sid, record] of sessions) {
      const host = await unrecorded.hostOf(sid, starts.get(sid), caller)
      if (host !== undefined) without.add(sid)
      if (host === undefined ? await recordings.accepts(sid, caller) : host === caller.hostId) continue
      await this.#alarm(record, caller)
      throw new PosternError('INVALID', `Session ${sid} belongs to another host.`)
    }
    return without
  }

  /** @returns the events in whose place the recording has another one */
  async #record(events: readonly HostEvent[], caller: HostCaller): Promise<HostEvent[]> {
    const lines = new Map(
      events.flatMap((event) => {
        const {sid, ei, event: name} = event.record
        if (sid === undefined || ei === undefined || !isRecorded(name, event.code)) return []
        return [[{sid, ei, line: event.line}, event]]
      }),
    )
    const conflicts = await this.#options.recordings.append([...lines.keys()], caller)
    return conflicts.flatMap((record) => lines.get(record) ?? [])
  }

  /** The sessions that begin and end with these events. */
  async #links(
    events: readonly HostEvent[],
    unrecorded: ReadonlySet<string>,
    {hostId}: HostCaller,
  ): Promise<SessionLink[]> {
    const links: SessionLink[] = []
    for (const hostEvent of events) {
      const {event, record, line} = hostEvent
      const {sid} = record
      if (sid === undefined) continue
      if (isStart(hostEvent)) {
        const link = startLink(event, sid, hostId, digestOf(line).toString('hex'))
        if (link) links.push(unrecorded.has(sid) ? {...link, records: 0} : link)
      } else if (record.event === 'db.session.end') {
        const start = links.find((link) => link.sid === sid) ?? (await this.#options.chain.startOf(sid))
        const sealed = this.#options.recordings.sealed(sid)
        const {records = 0, link: head = ''} = sealed ?? {}
        if (start) links.push({...start, kind: 'end', records, head})
      }
    }
    return links
  }

  /** Says of each recording that it is complete: all events of its session are stored, up to the end. */
  async #tellUploads(events: readonly HostEvent[], {hostId}: HostCaller): Promise<void> {
    const {audit, recordings, cluster} = this.#options
    const uploads = events.flatMap(({record, event}) => {
      const {sid, ei, event: name, user} = record
      if (sid === undefined || ei === undefined || name !== 'db.session.end') return []
      if (recordings.sealed(sid)?.records !== ei + 1) return []
      const {db_service} = event
      const url = formatRecordingUrl({cluster, sid})
      return [{server_id: hostId, sid, session_user: user, ...(typeof db_service === 'string' && {db_service}), url}]
    })
    await audit.conclude('session.upload', uploads)
  }

  #readAll(lines: Buffer, caller: HostCaller): HostEvent[] {
    const texts = lines.toString('utf8').split('\n')
    if (texts.at(-1) === '') texts.pop()
    if (texts.length > maximumEvents) {
      throw new PosternError('INVALID', `The request holds more than ${maximumEvents} events.`)
    }
    const received = new Date(this.#options.clock.now()).toISOString()
    return texts.map((text, index) => this.#read(text, index, received, caller))
  }

  #read(text: string, index: number, received: string, {hostId}: HostCaller): HostEvent {
    const invalid = (what: string, cause?: unknown): PosternError =>
      new PosternError('INVALID', `Event ${index} of the request ${what}.`, {cause})
    if (Buffer.byteLength(text) > maximumEventBytes) throw invalid(`is larger than ${maximumEventBytes} bytes`)
    const event = parseEvent(text)
    const checked = eventSchema.safeParse(event)
    if (!checked.success) throw invalid(`is not valid: ${describeIssues(checked.error)}`)
    const {sid, ei, user, time, code, event: name, server_id, cluster_name} = checked.data
    if (isNestedDeeper(event, maximumLevels)) throw invalid('is nested too deeply')
    // It speaks for itself only.
    if ((server_id ?? hostId) !== hostId) throw invalid('is of another host')
    if ((cluster_name ?? this.#options.cluster) !== this.#options.cluster) throw invalid('is of another cluster')
    // In one spelling only: no member twice, which one reader would see and another not.
    const line = JSON.stringify(event)
    const added = JSON.stringify({
      ...(server_id === undefined && {server_id: hostId}),
      ...(cluster_name === undefined && {cluster_name: this.#options.cluster}),
      received_at: received,
    })
    return {
      event: event as AuditEvent,
      code,
      line,
      record: {
        time: Date.parse(time),
        event: name,
        user,
        sid,
        ei: sid === undefined ? undefined : ei,
        hash: hash('sha256', line),
        body: `${line.slice(0, -1)},${added.slice(1)}`,
      },
    }
  }

  async #alarm({sid, ei, event, hash}: EventRecord, {hostId}: HostCaller): Promise<void> {
    if (this.#conflicts.has(hash)) return
    if (this.#conflicts.size >= rememberedConflicts) this.#conflicts.clear()
    this.#conflicts.add(hash)
    this.#options.logger.error('An agent sent another event in the place of one that is stored.', {
      host_id: hostId,
      sid,
      ei,
    })
    await this.#options.audit.append('audit.conflict', {
      server_id: hostId,
      conflict_sid: sid,
      conflict_ei: ei,
      conflict_event: event,
      conflict_sha256: hash,
    })
  }
}

/** Whether a session begins with it. */
function isStart({record, code}: HostEvent): boolean {
  return record.event === 'db.session.start' && code !== startRefused
}

/** What a line holds; undefined when that is no JSON. */
function parseEvent(line: string): unknown {
  try {
    return JSON.parse(line) as unknown
  } catch {
    return undefined
  }
}
