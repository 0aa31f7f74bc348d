import {sessionEvents} from './event-codes.js'
import {commonFields, sessionEvent, type AuditEvent} from './event.js'
import type {Statement} from './statement.js'

/** A session whose end will have to be written. */
export interface OpenSession {
  readonly sid: string
  /** `ei` of its next event. */
  readonly nextIndex: number
  /** What its end event carries, whenever that comes. */
  readonly endFields: AuditEvent
  /** Number of the transaction that its newest statement left open. */
  readonly transaction: number | undefined
  /** Lines of `formatAsked` for what was asked and is not recorded. */
  readonly unanswered: string
}

/** How a spool numbers its sessions, from 1 on and over all processes that use it: a number that is missing is a session that is. */
export interface Numbering {
  /** The name of the sequence, a UUID. */
  readonly stream: string
  /** Sessions that have begun. */
  readonly sessions: number
}

/** Lines of the spool's own, never sent: the sessions that are open at this point. */
const linePrefix = '{"open":'
/** Another such line: what the database was asked to do. The event of it comes when it is known what came of it. */
const askedPrefix = '{"asked":'
const newline = 0x0a

type StatementEvent = Statement['event']

/** @param subject the fields of its event that say what was asked, as JSON without braces */
export function formatAsked(sid: string, statement: number, event: StatementEvent, subject: string): string {
  return `${askedPrefix}"${sid}","statement":${statement},"event":"${event}","fields":{${subject}}}\n`
}

export function formatOpenSessions(sessions: readonly OpenSession[], numbering?: Numbering): string {
  const open = sessions.map(({sid, nextIndex, endFields, transaction}) => ({sid, nextIndex, endFields, transaction}))
  const line = `${JSON.stringify({open, ...(numbering && {numbering})})}\n`
  return line + sessions.map(({unanswered}) => unanswered).join('')
}

/** Whole lines without those of the spool's own. */
export function eventLines(lines: Buffer): Buffer {
  const events = Buffer.allocUnsafe(lines.length)
  let size = 0
  for (let start = 0; start < lines.length;) {
    const end = lines.indexOf(newline, start) + 1
    if (!isOwnLine(lines, start)) size += lines.copy(events, size, start, end)
    start = end
  }
  return events.subarray(0, size)
}

function isOwnLine(lines: Buffer, start: number): boolean {
  return startsWith(lines, start, askedPrefix) || startsWith(lines, start, linePrefix)
}

function startsWith(lines: Buffer, start: number, prefix: string): boolean {
  for (let index = 0; index < prefix.length; index += 1) {
    if (lines[start + index] !== prefix.charCodeAt(index)) return false
  }
  return true
}

interface Asked {
  readonly statement: number
  readonly event: StatementEvent
  readonly fields: AuditEvent
}

interface Unfinished {
  readonly asked: Map<number, Asked>
  nextIndex: number
  readonly endFields: AuditEvent
  transaction: number | undefined
  lastEvent: string | undefined
}

/** Reads the lines that a process left, and knows at the end which sessions it never ended. */
export class UnfinishedSessions {
  readonly sessions = new Map<string, Unfinished>()
  /** Where the numbering goes on; undefined when nothing says it. */
  numbering: Numbering | undefined

  /** Reads one line; a damaged one says nothing. */
  read(line: string): void {
    const record = parse(line)
    if (!record) return
    if (line.startsWith(linePrefix)) {
      this.numbering = (record.numbering as Numbering | undefined) ?? this.numbering
      for (const {sid, nextIndex, endFields, transaction} of record.open as OpenSession[]) {
        const lastEvent = this.sessions.get(sid)?.lastEvent
        this.sessions.set(sid, {nextIndex, endFields, transaction, lastEvent, asked: new Map()})
      }
      return
    }
    if (line.startsWith(askedPrefix)) {
      const {asked: sid, ...asked} = record as unknown as Asked & {asked: string}
      this.sessions.get(sid)?.asked.set(asked.statement, asked)
      return
    }
    if (this.numbering && record.agent_stream === this.numbering.stream) {
      this.numbering = {...this.numbering, sessions: Number(record.agent_session)}
    }
    const session = this.sessions.get(String(record.sid))
    if (!session) return
    if (record.event === 'db.session.end') {
      this.sessions.delete(String(record.sid))
      return
    }
    session.asked.delete(Number(record.statement))
    session.transaction = openTransaction(record, session.transaction)
    session.nextIndex = Math.max(session.nextIndex, Number(record.ei) + 1)
    session.lastEvent = String(record.time)
  }
}

/** The transaction that is open behind the event of a statement. */
function openTransaction(record: AuditEvent, before?: number): number | undefined {
  const several = record.transactions as AuditEvent[] | undefined
  const {transaction, transaction_outcome: fate} = several?.at(-1) ?? record
  if (typeof transaction !== 'number') return before
  return fate === undefined ? transaction : undefined
}

function parse(line: string): AuditEvent | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as AuditEvent) : undefined
  } catch {
    return undefined
  }
}

/** Lines that end these sessions. When they ended nobody can say, so the events claim no time for it. */
export function endUnfinished({sessions}: UnfinishedSessions, now: number): string {
  let lines = ''
  for (const {nextIndex, endFields, transaction, lastEvent, asked} of sessions.values()) {
    let index = nextIndex
    const add = (event: AuditEvent): void => {
      lines += `${JSON.stringify(event)}\n`
      index += 1
    }
    for (const {statement, event, fields} of asked.values()) {
      const unanswered = sessionEvent(event, index, now, commonFields(endFields), fields, outcomeUnknown(statement))
      add({...unanswered, code: sessionEvents[event].failed})
    }
    const last = lastEvent === undefined ? '' : ` Its last event was at ${lastEvent}.`
    const reason = `The agent stopped without warning while the session was open.${last}`
    // What ends a transaction is asked for before; without that the server rolls it back.
    const fate = asked.size > 0 ? 'in doubt' : 'rollback'
    const open = transaction === undefined ? {} : {transaction, transaction_outcome: fate}
    add(sessionEvent('db.session.end', index, now, endFields, {reason}, open))
  }
  return lines
}

function outcomeUnknown(statement: number): AuditEvent {
  return {statement, success: false, execution: 'unanswered', affected_records: 0, transaction_outcome: 'in doubt'}
}
