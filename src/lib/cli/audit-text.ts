import {parseDuration} from '../core/duration.js'
import {PosternError} from '../core/errors.js'
import {fitColumn, renderTable} from './table.js'

export type AuditEvent = Readonly<Record<string, unknown>>

/**
 * A moment as people give it, in RFC 3339: itself, a day, or a length of time before now.
 * @throws PosternError USAGE
 */
export function parseMoment(text: string, now: number): string {
  if (/^\d{4}-\d{2}-\d{2}(T.+)?$/.test(text)) {
    const moment = Date.parse(text)
    if (!Number.isNaN(moment)) return new Date(moment).toISOString()
  }
  try {
    return new Date(now - parseDuration(text)).toISOString()
  } catch (error) {
    throw new PosternError('USAGE', `"${text}" is not a moment.`, {
      cause: error,
      hint: 'Write 2026-11-20T10:00:00Z, 2026-11-20, or 2h for two hours ago.',
    })
  }
}

const head = ['Time', 'Event', 'User', 'Code', 'Details'] as const

/** Events as a table, in the order given. @param width of the terminal; undefined cuts nothing */
export function renderEvents(events: readonly AuditEvent[], width?: number): Promise<string> {
  const rows = events.map((event) => [
    textOf(event.time),
    textOf(event.event),
    textOf(event.user),
    textOf(event.code),
    describe(event),
  ])
  return renderTable(head, width === undefined ? rows : fitColumn(rows, {column: head.indexOf('Details'), width, head}))
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
  return line.length > longestDetail ? `${line.slice(0, longestDetail)}...` : line
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  if (Array.isArray(value)) return value.map(textOf).join(',')
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : ''
}
