import {sessionEvent, type AuditEvent} from './event.js'

/** A session whose end will have to be written. */
export interface OpenSession {
  readonly sid: string
  /** `ei` of its next event. */
  readonly nextIndex: number
  /** What its end event carries, whenever that comes. */
  readonly endFields: AuditEvent
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

export function formatOpenSessions(sessions: readonly OpenSession[], numbering?: Numbering): string {
  const open = sessions.map(({sid, nextIndex, endFields}) => ({sid, nextIndex, endFields}))
  return `${JSON.stringify({open, ...(numbering && {numbering})})}\n`
}

export function isOpenSessionsLine(line: string): boolean {
  return line.startsWith(linePrefix)
}

interface Unfinished {
  nextIndex: number
  readonly endFields: AuditEvent
  lastEvent: string | undefined
}

/** Reads the lines that a process left, and knows at the end which sessions it never ended. */
export class UnfinishedSessions {
  readonly sessions = new Map<string, Unfinished>()
  /** Where the numbering goes on; undefined when nothing says it. */
  numbering: Numbering | undefined

  /** Reads one line; a damaged one says nothing. */
  read(line: string): void {
    let record: AuditEvent
    try {
      record = JSON.parse(line) as AuditEvent
    } catch {
      return
    }
    if (isOpenSessionsLine(line)) {
      this.numbering = (record.numbering as Numbering | undefined) ?? this.numbering
      for (const {sid, nextIndex, endFields} of record.open as OpenSession[]) {
        const lastEvent = this.sessions.get(sid)?.lastEvent
        this.sessions.set(sid, {nextIndex, endFields, lastEvent})
      }
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
    session.nextIndex = Math.max(session.nextIndex, Number(record.ei) + 1)
    session.lastEvent = String(record.time)
  }
}

/** Lines that end these sessions. When they ended nobody can say, so the events claim no time for it. */
export function endUnfinished({sessions}: UnfinishedSessions, now: number): string {
  return [...sessions.values()]
    .map(({nextIndex, endFields, lastEvent}) => {
      const last = lastEvent === undefined ? '' : ` Its last event was at ${lastEvent}.`
      const reason = `The agent stopped without warning while the session was open.${last}`
      return `${JSON.stringify(sessionEvent('db.session.end', nextIndex, now, endFields, {reason}))}\n`
    })
    .join('')
}
