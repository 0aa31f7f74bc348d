import type {ApiClient} from '../api/client.js'
import {startOfDay, type AuditEvent} from './audit-text.js'
import {renderTable} from './table.js'

const dayMilliseconds = 86_400_000
/** Of the audit log, asked for at once. */
const pageSize = 1000

/** Sessions by the events with which they ended. */
export function renderRecordings(ends: readonly AuditEvent[]): Promise<string> {
  const rows = ends.map(({sid, db_protocol, user, db_service, time}) => [
    ...[sid, db_protocol, user, db_service].map(String),
    String(time).replace(/\.\d+Z$/, 'Z'),
  ])
  return renderTable(['ID', 'Type', 'Participants', 'Target', 'Timestamp'], rows)
}

interface RecordedQuery {
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly before?: string | undefined
  /** How many at most. */
  readonly limit: number
}

/** The newest sessions whose recordings are there, oldest first, by the events with which they ended. */
export async function listRecorded(
  client: Pick<ApiClient, 'events'>,
  {limit, before: start, ...range}: RecordedQuery,
): Promise<{
  readonly ends: AuditEvent[]
  /** To go on before them; undefined when there are no older ones. */
  readonly older?: string | undefined
}> {
  const {events: prunes} = await client.events({event: 'audit.recordings.prune', limit: 1})
  const keptSince = prunes[0] === undefined ? '' : String(prunes[0].older_than)
  const ends: AuditEvent[] = []
  // Sessions without a recording are among the others.
  for (let before = start; ;) {
    const wanted = limit - ends.length
    // What is not shown is not fetched either, unless much of it has no recording.
    const size = before === start ? limit : pageSize
    const {events, cursors, older} = await client.events({...range, event: 'db.session.end', before, limit: size})
    const page = events.map((event, index) => ({event, cursor: cursors[index]}))
    const kept = page.filter(({event: {received_at: received}}) => String(received) >= keptSince)
    const recorded = kept.filter(({event: {session_recording: mode}}) => mode !== 'off')
    const shown = recorded.slice(-wanted)
    ends.unshift(...shown.map(({event}) => event))
    if (recorded.length > wanted) return {ends, older: shown[0]?.cursor}
    // Before what was removed everything was.
    if (older === undefined || kept.length < page.length) return {ends}
    if (ends.length === limit) return {ends, older}
    before = older
  }
}

/** The first or the last moment of a day, RFC 3339. @throws PosternError USAGE */
export function parseDay(text: string, edge: 'start' | 'end'): string {
  const start = startOfDay(text)
  return new Date(edge === 'start' ? start : start + dayMilliseconds - 1).toISOString()
}
