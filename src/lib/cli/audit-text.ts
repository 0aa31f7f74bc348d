import {parseDuration} from '../core/duration.js'
import {PosternError} from '../core/errors.js'
import {fitColumn, renderTable} from './table.js'

export type AuditEvent = Readonly<Record<string, unknown>>

/**
 * A moment as people give it, in RFC 3339: itself, a day, or a length of time before now.
 * @throws PosternError USAGE
 */
export function parseMoment(text: string, now: number): string {
  const [, day, time] = /^(\d{4}-\d{2}-\d{2})(T.+)?$/.exec(text) ?? []
  try {
    if (day === undefined) return new Date(Math.max(0, now - parseDuration(text))).toISOString()
    startOfDay(day)
    // Without a zone it would be this machine's, where days are those of UTC.
    if (time === undefined || /(Z|[+-]\d{2}:?\d{2})$/.test(time)) return new Date(text).toISOString()
  } catch (error) {
    throw notMoment(text, error)
  }
  throw notMoment(text)
}

function notMoment(text: string, cause?: unknown): PosternError {
  return new PosternError('USAGE', `"${text}" is not a moment.`, {
    cause,
    hint: 'Write 2026-11-20T10:00:00Z (or with another zone, as +01:00), 2026-11-20, or 2h for two hours ago.',
  })
}

/** A day in UTC that there is, in milliseconds since 1970. @throws PosternError USAGE */
export function startOfDay(text: string): number {
  const start = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(text) : Number.NaN
  // Date.parse takes the 30th of February for the 2nd of March.
  if (!Number.isNaN(start) && new Date(start).toISOString().startsWith(text)) return start
  throw new PosternError('USAGE', `"${text}" is not a day.`, {hint: 'Write 2026-11-20.'})
}

const head = ['Time', 'Event', 'User', 'Code', 'Details'] as const

/** Events as a table, in the order given. @param width of the terminal; undefined cuts nothing */
export async function renderEvents(events: readonly AuditEvent[], width?: number): Promise<string> {
  const rows = events.map((event) => [
    textOf(event.time),
    textOf(event.event),
    textOf(event.user),
    textOf(event.code),
    describe(event),
  ])
  if (width === undefined) return renderTable(head, rows)
  return renderTable(head, await fitColumn(rows, {column: head.indexOf('Details'), width, head}))
}

/** What says most about an event of any type, in this order. */
const telling = [
  ...[
    'name',
    'role',
    'roles',
    'host_id',
    'node_name',
    'cert_type',
    'method',
    'db_query',
    'error',
    'reason',
    'older_than',
  ],
] as const
/** What else tells about an event that is about a session, and not of one. */
const tellingOfSession = ['session_user', 'sid'] as const
const longestDetail = 120

function describe(event: AuditEvent): string {
  const database = textOf(event.db_service)
  const dbUser = textOf(event.db_user)
  const place = dbUser === '' ? database : `${database} as ${dbUser} to ${textOf(event.db_name)}`
  const keys = dbUser === '' ? [...tellingOfSession, ...telling] : telling
  const details = keys.flatMap((key) => {
    const value = textOf(event[key])
    return value === '' ? [] : [`${key}=${shorten(value)}`]
  })
  return [...(place === '' ? [] : [place]), ...details].join(' ')
}

/** On one line: SQL often has several. */
function shorten(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim()
  const characters = line.length > longestDetail ? Array.from(line) : []
  return characters.length > longestDetail ? `${characters.slice(0, longestDetail).join('')}...` : line
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  if (Array.isArray(value)) return value.map(textOf).join(',')
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : ''
}
