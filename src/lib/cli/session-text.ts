import type {SessionsResponse} from '../api/live-session.js'
import {fitColumn, renderTable} from './table.js'

const head = [
  ...['ID', 'User', 'Database', 'DB User', 'DB Name', 'Since', 'State', 'Agent'],
  ...['Running Since', 'Statement'],
] as const
const statementColumn = head.indexOf('Statement')

/** Sessions as a table, the oldest first. @param width of the terminal; undefined cuts nothing */
export function renderSessions({sessions}: SessionsResponse, width?: number): Promise<string> {
  const rows = [...sessions]
    .sort((one, other) => (one.started < other.started ? -1 : 1))
    .map((session) => [
      session.sid,
      session.user,
      session.database,
      session.dbUser,
      session.dbName,
      withoutFraction(session.started),
      session.state,
      session.hostname === '' ? session.hostId : session.hostname,
      withoutFraction(session.statementStarted ?? ''),
      (session.statement ?? '').replace(/\s+/g, ' ').trim(),
    ])
  return renderTable(head, width === undefined ? rows : fitColumn(rows, {column: statementColumn, width, head}))
}

const withoutFraction = (moment: string): string => moment.replace(/\.\d+Z$/, 'Z')

/** What is said about agents that did not answer; undefined when all did. */
export function silentAgents({silent}: SessionsResponse): string | undefined {
  return silent.length === 0
    ? undefined
    : `Some agents did not answer, so their sessions are missing: ${silent.join(', ')}.`
}
