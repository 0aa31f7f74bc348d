import type {SessionsResponse, SessionState} from '../api/live-session.js'
import {dropColumns, fitColumn, renderTable} from './table.js'

const head = [
  ...['ID', 'User', 'Database', 'DB User', 'DB Name', 'Since', 'State', 'Agent'],
  ...['Running Since', 'Statement'],
]
const statement = 'Statement'
/** What a narrow terminal does without, the first of them first. */
const missable = ['Agent', 'Running Since', 'DB Name', 'DB User', 'Since', statement]

/** A session as `sessions ls --format json` shows it. */
export interface SessionData {
  readonly sid: string
  readonly user: string
  /** Name of the database resource. */
  readonly database: string
  readonly db_user: string
  readonly db_name: string
  /** `ip:port` of the client. */
  readonly source: string
  /** RFC 3339 */
  readonly started: string
  readonly state: SessionState
  readonly statement?: string | undefined
  /** RFC 3339 */
  readonly statement_started?: string | undefined
  readonly host_id: string
  readonly hostname: string
}

export const sessionsData = ({sessions}: SessionsResponse): SessionData[] =>
  sessions.map(({dbUser, dbName, statementStarted, hostId, ...session}) => ({
    ...session,
    db_user: dbUser,
    db_name: dbName,
    ...(statementStarted !== undefined && {statement_started: statementStarted}),
    host_id: hostId,
  }))

/** Sessions as a table, the oldest first. @param width of the terminal; undefined cuts and leaves out nothing */
export async function renderSessions(sessions: readonly SessionData[], width?: number): Promise<string> {
  const rows = [...sessions]
    .sort((one, other) => (one.started < other.started ? -1 : 1))
    .map((session) => [
      session.sid,
      session.user,
      session.database,
      session.db_user,
      session.db_name,
      withoutFraction(session.started),
      session.state,
      session.hostname === '' ? session.host_id : session.hostname,
      withoutFraction(session.statement_started ?? ''),
      (session.statement ?? '').replace(/\s+/g, ' ').trim(),
    ])
  if (width === undefined) return renderTable(head, rows)
  const fitting = await dropColumns({head, rows}, {cut: statement, missable, width})
  const column = fitting.head.indexOf(statement)
  return renderTable(
    fitting.head,
    column < 0 ? fitting.rows : await fitColumn(fitting.rows, {column, width, head: fitting.head}),
  )
}

/** Heading, underline and a session. */
const leastRows = 3

/** As much of the table as a terminal has rows for, with its heading: what scrolls away is seen by nobody. */
export function fitRows(table: string, rows: number): string {
  const lines = table.split('\n')
  // One row is for the cursor.
  if (lines.length < rows) return table
  const shown = Math.max(rows - 2, leastRows)
  return [...lines.slice(0, shown), `... and ${lines.length - shown} more, which sessions ls lists.`].join('\n')
}

const withoutFraction = (moment: string): string => moment.replace(/\.\d+Z$/, 'Z')

/** What is said about agents that did not answer; undefined when all did. */
export function silentAgents({silent}: SessionsResponse): string | undefined {
  return silent.length === 0
    ? undefined
    : `Some agents did not answer, so their sessions are missing: ${silent.join(', ')}.`
}
