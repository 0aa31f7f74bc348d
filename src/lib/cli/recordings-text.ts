import {startOfDay, type AuditEvent} from './audit-text.js'
import {renderTable} from './table.js'

const dayMilliseconds = 86_400_000

/** Sessions by the events with which they ended. */
export function renderRecordings(ends: readonly AuditEvent[]): Promise<string> {
  const rows = ends.map(({sid, db_protocol, user, db_service, time}) => [
    ...[sid, db_protocol, user, db_service].map(String),
    String(time).replace(/\.\d+Z$/, 'Z'),
  ])
  return renderTable(['ID', 'Type', 'Participants', 'Target', 'Timestamp'], rows)
}

/** Without sessions whose recordings were too old. @param prune the newest event that says so */
export function keptSince(ends: readonly AuditEvent[], prune: AuditEvent | undefined): AuditEvent[] {
  const kept = prune === undefined ? '' : String(prune.older_than)
  return ends.filter(({received_at: received}) => String(received) >= kept)
}

/** The first or the last moment of a day, RFC 3339. @throws PosternError USAGE */
export function parseDay(text: string, edge: 'start' | 'end'): string {
  const start = startOfDay(text)
  return new Date(edge === 'start' ? start : start + dayMilliseconds - 1).toISOString()
}
