import {DatabaseCertificateMemory} from '../config/database-certificates.js'
import {PosternError} from '../core/errors.js'
import {requestExamination} from '../localproxy/examination-request.js'
import type {CheckName, Finding} from '../resources/finding.js'
import {openDatabaseSession, type DatabaseSession, type DatabaseSessionOptions} from './database-session.js'
import {renderTable} from './table.js'

export interface ExaminedCheck {
  readonly check: CheckName
  readonly result: Finding['outcome']
  /** What was seen; why it failed, or was skipped. */
  readonly reason: string
  /** A stable word for why it failed. */
  readonly problem?: string
  readonly fix?: string
}

export interface ExaminedDatabase {
  readonly database: string
  readonly db_user: string
  readonly db_name: string
  /** Name of the host whose agent looked. */
  readonly agent: string
  /** Whether nothing failed. */
  readonly ok: boolean
  readonly checks: readonly ExaminedCheck[]
}

/**
 * Has the agent of a database look at it, as the user.
 * @throws PosternError when there is nobody to ask, or no such database
 */
export async function examineDatabase(
  options: DatabaseSessionOptions,
): Promise<ExaminedDatabase & {readonly notices: readonly string[]}> {
  let session: DatabaseSession
  try {
    // Looking at a database as somebody is no login to it that later commands should find.
    const databases = new DatabaseCertificateMemory(options.login.databases)
    session = await openDatabaseSession({...options, login: {...options.login, databases}})
  } catch (error) {
    if (!(error instanceof PosternError) || error.code !== 'ACCESS_DENIED') throw error
    return denied(error, options)
  }
  const {database, dbUser, dbName} = session.route
  const {agent, findings} = await requestExamination(session, {dbUser, dbName})
  const checks = findings.map(describeFinding)
  const ok = checks.every(({result}) => result !== 'fail')
  return {database, db_user: dbUser, db_name: dbName, agent, ok, checks, notices: session.notices}
}

/** The cluster gives no certificate for what no role allows. */
function denied(
  {message, hints}: PosternError,
  {selector, dbUser = '', dbName = ''}: DatabaseSessionOptions,
): ExaminedDatabase & {readonly notices: readonly string[]} {
  const fix = hints.join(' ')
  const check: ExaminedCheck = {check: 'access', result: 'fail', reason: message, problem: 'access-denied', fix}
  const names = {database: selector.name ?? '', db_user: dbUser, db_name: dbName}
  return {...names, agent: '', ok: false, checks: [check], notices: []}
}

export function describeFinding(finding: Finding): ExaminedCheck {
  const {check, outcome: result} = finding
  if (finding.outcome !== 'fail') return {check, result, reason: finding.detail}
  const {problem, cause: reason, fix} = finding.diagnosis
  return {check, result, reason, problem, fix}
}

/** A row for each check, and below one that failed what to do about it. */
export function renderExamination({checks}: ExaminedDatabase): Promise<string> {
  const rows = checks.flatMap(({check, result, reason, fix}) => [
    [check, result, reason],
    ...(fix === undefined || fix === '' ? [] : [['', 'fix', fix]]),
  ])
  return renderTable(['Check', 'Result', 'Reason'], rows)
}
