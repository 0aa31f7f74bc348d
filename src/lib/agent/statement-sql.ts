/** What only the SQL of a statement says: which of its commands is complete, and whether a transaction ends with it. */
import type {Statement} from '../audit/statement.js'
import {
  commitsByItself,
  cursorNameIn,
  hasUncertainEnds,
  isPartialRollback,
  mayCommit,
  mayCommitByItself,
  mayRollBackPartly,
  preparedName,
  splitStatements,
} from '../pgwire/sql-statements.js'

/** There is no such prepared statement, no such portal. */
const nothingRan: ReadonlySet<string> = new Set(['26000', '34000'])

/** What a ROLLBACK was; undefined for one to a savepoint. */
export function rolledBack(statement: Statement): 'rollback' | 'unknown' | undefined {
  const sql = statementAt(statement, 'rollback')
  if (sql !== undefined) return isPartialRollback(sql) ? undefined : 'rollback'
  return readingOf(statement).mayRollBackPartly ? 'unknown' : 'rollback'
}

/** Whether a statement inside of a transaction could have ended it with a commit, as far as its SQL is known. */
export function couldCommit(statement: Statement): boolean {
  return isCut(statement) || mayCommit(sqlOf(statement))
}

/** Whether it could have committed a part of what it did before it, or its transaction, failed; as far as its SQL is known. */
export function couldCommitPartly(statement: Statement): boolean {
  if (statement.sqlState !== undefined && nothingRan.has(statement.sqlState)) return false
  return isCut(statement) || (mayCommitByItself(statement.subject) && commitsByItself(sqlOf(statement)))
}

/** Whether it could run or forget what was prepared by a message, as far as its SQL is known. */
export function mayUsePrepared(statement: Statement): boolean {
  return isCut(statement) || /execute|deallocate|discard/i.test(statement.subject)
}

/** The name that a PREPARE or DEALLOCATE is about; undefined when that cannot be said. */
export function preparedStatementName(statement: Statement, word: 'prepare' | 'deallocate'): string | undefined {
  return preparedName(statementAt(statement, word) ?? '')
}

/** The name that a DECLARE or CLOSE is about; undefined when that cannot be said. */
export function cursorName(statement: Statement, word: 'declare' | 'close'): string | undefined {
  return cursorNameIn(statementAt(statement, word) ?? '')
}

/** The statement in the SQL whose command was completed last, when it begins with this word; undefined when that cannot be said. */
function statementAt(statement: Statement, word: string): string | undefined {
  const found = readingOf(statement).statements?.[statement.completed - 1]
  return found?.slice(0, word.length).toLowerCase() === word ? found : undefined
}

interface Reading {
  readonly subject: string
  /** In the SQL; undefined when that does not say where they end. */
  readonly statements: readonly string[] | undefined
  readonly mayRollBackPartly: boolean
}

/** A query may have thousands of statements, and a CommandComplete for each: it is read for the first of them. */
const readings = new WeakMap<Statement, Reading>()

function readingOf(statement: Statement): Reading {
  const {subject} = statement
  const known = readings.get(statement)
  if (known?.subject === subject) return known
  const sql = isCut(statement) ? undefined : sqlOf(statement)
  const reading = {
    subject,
    statements: sql === undefined || hasUncertainEnds(sql) ? undefined : splitStatements(sql),
    mayRollBackPartly: sql === undefined || mayRollBackPartly(sql),
  }
  readings.set(statement, reading)
  return reading
}

/** Whether its SQL is not known, or not all of it. */
function isCut({subject}: Statement): boolean {
  return /"(?:unresolved|db_query_truncated)":true/.test(subject)
}

/** The fields that hold a statement's SQL, as JSON without braces: those of its parameters and names are left out. */
export function sqlFields({subject}: Statement): string {
  const fields = Object.entries(JSON.parse(`{${subject}}`) as object)
  const own = fields.filter(([key]) => !/^db_query_parameters|_name$/.test(key))
  return JSON.stringify(Object.fromEntries(own)).slice(1, -1)
}

function sqlOf({subject}: Statement): string {
  const {db_query: sql = ''} = JSON.parse(`{${subject}}`) as {db_query?: string}
  return sql
}
