/**
 * Compares everything that the control plane knows about sessions:
 *
 *   audit log ── its seals hold (event-chain.ts)
 *
 *   recording ── its seals hold, its events count without a gap
 *      │ the same events
 *   audit log
 *      │ first event, number of records, last link
 *   chain of the agent's sessions ── numbers without a gap, links hold
 *      │ connection id, bytes
 *   what the proxies carried
 */
import type {VerificationLine} from '../api/verification.js'
import {isRecordingOnly, type AuditEvent} from '../audit/event.js'
import type {SealKeys, Vouched} from '../audit/seal.js'
import {digestOf} from '../audit/seal.js'
import {verifyRecording, type RecordingVerdict} from '../audit/verification.js'
import type {Clock} from '../core/clock.js'
import {messageOf, PosternError} from '../core/errors.js'
import type {Backend, Splice, StoredSessionLink} from '../storage/backend.js'
import type {RecordingFiles, StoredRecording} from '../storage/recording-files.js'
import {readBody, unreadable} from './audit-log.js'
import {verifyEvents} from './event-chain.js'
import {readPrunedHead} from './pruned-head.js'
import {isRecorded, recordingPruned} from './recordings.js'
import type {Sealing} from './sealing.js'
import {linkFlaw, linksOfSession, missingBetween} from './session-chain.js'

export interface AuditVerificationOptions {
  readonly backend: Backend
  readonly files: RecordingFiles<Vouched>
  readonly sealing: Sealing
  /** Resolves when what is being stored of a session now is in all of its places. */
  readonly settled: (sid: string) => Promise<void>
  readonly clock: Clock
}

type Problem = Extract<VerificationLine, {type: 'problem'}>

/** What there is to say of one session. */
interface Finding {
  readonly verdict?: RecordingVerdict
  readonly problem?: Problem
}

const pageSize = 500
/** A session's events may still be on their way so long after its connection has ended. */
const settleMilliseconds = 60_000
/** A connection that carried no session, such as a reserve or a cancel request, has handshakes and little more. */
const handshakeBytes = 32 * 1024
/** Events say their time by the clocks of agents; they are removed by the control plane's. */
const clockDifference = 24 * 3_600_000
/** TLS adds little to what it carries; much more than an agent tells of is something that it does not tell. */
const tlsShare = 1.2

export class AuditVerification {
  readonly #options: AuditVerificationOptions

  constructor(options: AuditVerificationOptions) {
    this.#options = options
  }

  /** Everything about one session. @throws PosternError NOT_FOUND */
  async *session(sid: string): AsyncGenerator<VerificationLine> {
    const links = await this.#options.backend.listLinks({sid, limit: linksOfSession})
    const verdict = yield* this.#session(sid, links)
    if (!verdict && links.some(({kind}) => kind === 'pruned')) throw recordingPruned(sid)
    if (!verdict && links.length === 0) {
      throw new PosternError('NOT_FOUND', `There is no session ${sid}.`, {
        hint: '`postern recordings ls` lists the recordings.',
      })
    }
  }

  /** Everything there is. @param head of the audit log, as a summary once gave it: it must be there still */
  async *everything(head?: string): AsyncGenerator<VerificationLine> {
    const seen = new Set<string>()
    let records = 0
    let open = 0
    const agents = new Set<string>()
    const newest = new Map<string, StoredSessionLink>()
    /** The numbers of the sessions that started last. */
    const told = new Map<string, number>()
    const starts = new Map<string, StoredSessionLink>()
    const keys = this.#keys
    let problems = 0
    const count = (line: VerificationLine): VerificationLine => {
      if (line.type === 'problem') problems += 1
      return line
    }
    let pruned = 0
    const log = yield* passOn(verifyEvents({backend: this.#options.backend, keys, head}), count)
    for (let after = 0; ;) {
      const page = await this.#options.backend.listLinks({after, limit: pageSize})
      for (const link of page) {
        const place = `${link.host}/${link.stream}`
        agents.add(link.host)
        for (const line of agentProblems(link, newest.get(place), told.get(place) ?? 0, keys)) yield count(line)
        newest.set(place, link)
        if (link.kind === 'start') told.set(place, link.number)
        after = link.position
        if (link.kind === 'start') starts.set(link.sid, link)
        else if (link.kind === 'pruned') pruned += 1
        if (link.kind !== 'end') continue
        const start = starts.get(link.sid)
        starts.delete(link.sid)
        seen.add(link.sid)
        const walk = this.#session(link.sid, start ? [start, link] : [link])
        records += (yield* passOn(walk, count))?.records ?? 0
      }
      if (page.length < pageSize) break
    }
    for (const [sid, start] of starts) {
      seen.add(sid)
      open += 1
      records += (yield* passOn(this.#session(sid, [start]), count))?.records ?? 0
    }
    for (const sid of await this.#options.files.list()) {
      if (seen.has(sid)) continue
      seen.add(sid)
      records += (yield* passOn(this.#session(sid, []), count))?.records ?? 0
    }
    for await (const line of this.#strangeConnections()) yield count(line)
    yield {type: 'summary', sessions: seen.size, records, agents: agents.size, problems, open, pruned, ...log}
  }

  get #keys(): SealKeys {
    return this.#options.sealing.keys
  }

  async *#session(
    sid: string,
    links: readonly StoredSessionLink[],
  ): AsyncGenerator<VerificationLine, RecordingVerdict | undefined> {
    let found = await this.#look(sid, links)
    // Events are in one place before they are in the next: a problem is what is the same when that is over.
    for (let before = ''; found.problem && JSON.stringify(found.problem) !== before;) {
      before = JSON.stringify(found.problem)
      await this.#options.settled(sid)
      found = await this.#look(sid, links)
    }
    if (found.problem) yield found.problem
    return found.verdict
  }

  async #look(sid: string, links: readonly StoredSessionLink[]): Promise<Finding> {
    const start = links.find(({kind}) => kind === 'start')
    const end = links.find(({kind}) => kind === 'end')
    const log = new LogCursor(this.#options.backend, sid, this.#keys)
    const verdict = await this.#verdict(sid, log)
    if (verdict === undefined) {
      const isMissing = ((end ?? start)?.records ?? 0) > 0 && !(await this.#isPruned(sid))
      return isMissing ? {problem: problem(sid, 'Its recording is missing.')} : {}
    }
    if (typeof verdict === 'string') return {problem: problem(sid, verdict)}
    if (verdict.broken) {
      const {problem: sentence, line, ei} = verdict.broken
      return {verdict, problem: {...problem(sid, sentence), line, ei}}
    }
    const rest = await log.next()
    if (rest?.event === unreadable)
      return {verdict, problem: problem(sid, 'The audit log goes on behind its recording with a damaged event.')}
    if (rest) {
      const ei = Number(rest.ei)
      return {verdict, problem: {...problem(sid, `Its recording was cut: the audit log goes on with event ${ei}.`), ei}}
    }
    if (end && (end.records !== verdict.records || end.head !== verdict.sealed.link)) {
      const sentence = `Its recording is not the one of ${end.records} records with which it ended.`
      return {verdict, problem: problem(sid, sentence)}
    }
    const splice = start?.connection === undefined ? undefined : await this.#options.backend.splice(start.connection)
    const told = splice && this.#compare(splice, verdict)
    return told === undefined ? {verdict} : {verdict, problem: problem(sid, told)}
  }

  async #isPruned(sid: string): Promise<boolean> {
    const links = await this.#options.backend.listLinks({sid, limit: linksOfSession})
    return links.some(({kind}) => kind === 'pruned')
  }

  /** What the recording says of itself; a sentence when it cannot be read, undefined when there is none. */
  async #verdict(sid: string, log: LogCursor): Promise<RecordingVerdict | string | undefined> {
    let stored: StoredRecording | undefined
    try {
      stored = await this.#options.files.get(sid)
      if (!stored) return undefined
      return await verifyRecording(stored.read() as AsyncIterable<Buffer>, {
        keys: this.#keys,
        onRecord: (record) => log.compare(record),
      })
    } catch (error) {
      return `Its recording cannot be read: ${messageOf(error)}`
    } finally {
      await stored?.close().catch(() => undefined)
    }
  }

  /** What the proxy carried, beside what the agent told. */
  #compare({ended, toAgent, toClient}: Splice, {end}: RecordingVerdict): string | undefined {
    if (!end) {
      return ended < this.#options.clock.now() - settleMilliseconds
        ? `Its end is missing: its connection ended at ${new Date(ended).toISOString()}.`
        : undefined
    }
    const {bytes_from_client: fromClient, bytes_from_server: fromServer} = end
    if (toAgent > Number(fromClient) * tlsShare + handshakeBytes)
      return `The proxy carried ${toAgent} bytes of its client, and its agent tells of ${String(fromClient)}.`
    if (toClient > Number(fromServer) * tlsShare + handshakeBytes)
      return `The proxy carried ${toClient} bytes to its client, and its agent tells of ${String(fromServer)}.`
    return undefined
  }

  /** Connections that carried more than a handshake, and that no session names. */
  async *#strangeConnections(): AsyncGenerator<VerificationLine> {
    const {backend, clock} = this.#options
    const before = clock.now() - settleMilliseconds
    for (let after = ''; ;) {
      const page = await backend.strangeSplices({before, moreThan: handshakeBytes, after, limit: pageSize})
      for (const {id, host, opened, toAgent, toClient} of page) {
        after = id
        const time = new Date(opened).toISOString()
        const what = `A connection to agent ${host} from ${time} carried ${toAgent} and ${toClient} bytes`
        yield {type: 'problem', subject: 'connection', id, problem: `${what}, and no session of the agent names it.`}
      }
      if (page.length < pageSize) return
    }
  }
}

/** The same lines, counted; answers what they come to. */
async function* passOn<T>(
  lines: AsyncGenerator<VerificationLine, T>,
  count: (line: VerificationLine) => VerificationLine,
): AsyncGenerator<VerificationLine, T> {
  for (;;) {
    const {done, value} = await lines.next()
    if (done) return value
    yield count(value)
  }
}

function* agentProblems(
  link: StoredSessionLink,
  before: StoredSessionLink | undefined,
  told: number,
  keys: SealKeys,
): Generator<Problem> {
  const {host: id, kind, number, sid} = link
  const flaw = linkFlaw(link, before, keys)
  if (flaw !== undefined) {
    const where = `the ${kind} of its session ${number} (${sid})`
    yield {type: 'problem', subject: 'agent', id, problem: `In the chain of its sessions, at ${where}, ${flaw}.`}
  }
  const missing = missingBetween(link, told)
  if (missing !== undefined) {
    yield {type: 'problem', subject: 'agent', id, problem: `Its sessions ${missing} are missing (before ${sid}).`}
  }
}

function problem(sid: string, sentence: string): Problem {
  return {type: 'problem', subject: 'session', id: sid, problem: sentence}
}

/** The audit log's events of a session, beside its recording. */
class LogCursor {
  readonly #backend: Backend
  readonly #sid: string
  #page: AuditEvent[] = []
  #after: number | undefined = 0
  readonly #keys: SealKeys
  /** Before this moment, in milliseconds, events were removed as too old; undefined while that was not looked at. */
  #removedBefore: number | undefined

  constructor(backend: Backend, sid: string, keys: SealKeys) {
    this.#backend = backend
    this.#sid = sid
    this.#keys = keys
  }

  /** The next event that belongs into a recording as well. */
  async next(): Promise<AuditEvent | undefined> {
    for (;;) {
      const event = this.#page.shift()
      if (event && (isComparable(event) || event.event === unreadable)) return event
      if (event) continue
      if (this.#after === undefined) return undefined
      const {bodies, next} = await this.#backend.listEvents({sid: this.#sid, after: this.#after, limit: pageSize})
      this.#page = bodies.map((body) => readBody(body, 0))
      this.#after = next
    }
  }

  /** Why a record is not what the log has in its place; undefined when it is. */
  async compare(record: AuditEvent): Promise<string | undefined> {
    if (isRecordingOnly(String(record.event))) return undefined
    const event = await this.next()
    if (event?.event === unreadable) return `The audit log has a damaged event in the place of ${String(record.ei)}.`
    if (event?.ei !== record.ei && (await this.#isRemoved(record))) {
      if (event) this.#page.unshift(event)
      return undefined
    }
    // Behind the first that is there, none may be missing.
    this.#removedBefore = 0
    if (!event) return `The audit log does not have event ${String(record.ei)}.`
    if (event.ei !== record.ei)
      return `The audit log has event ${String(event.ei)} in the place of ${String(record.ei)}.`
    return digest(event) === digest(record) ? undefined : `The audit log has another event ${String(record.ei)}.`
  }

  async #isRemoved({time}: AuditEvent): Promise<boolean> {
    if (this.#removedBefore === undefined) {
      const pruned = await readPrunedHead(this.#backend, this.#keys)
      this.#removedBefore = pruned ? pruned.olderThan + clockDifference : 0
    }
    return Date.parse(String(time)) < this.#removedBefore
  }
}

function isComparable({event, code}: AuditEvent): boolean {
  return isRecorded(String(event), String(code))
}

/** Of what the agent told; the rest was added by the control plane, in one of the two places. */
function digest(event: AuditEvent): string {
  const own = Object.entries(event).filter(([key]) => !['server_id', 'cluster_name', 'received_at'].includes(key))
  return digestOf(JSON.stringify(own)).toString('hex')
}
