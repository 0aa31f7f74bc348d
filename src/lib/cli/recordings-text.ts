import {PosternError} from '../core/errors.js'
import type {AuditEvent} from './audit-text.js'
import {renderTable} from './table.js'

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
  const time = edge === 'start' ? '00:00:00.000Z' : '23:59:59.999Z'
  const moment = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T${time}`) : Number.NaN
  if (Number.isNaN(moment)) throw new PosternError('USAGE', `"${text}" is not a day.`, {hint: 'Write 2026-11-20.'})
  return new Date(moment).toISOString()
}
