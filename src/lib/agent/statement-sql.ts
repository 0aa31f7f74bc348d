/** What only the SQL of a statement says: which of its commands is complete, and whether a transaction ends with it. */
import type {Statement} from '../audit/statement.js'
import {isPartialRollback, mayCommit, mayRollBackPartly, splitStatements} from '../pgwire/sql-statements.js'

/** What a ROLLBACK was; undefined for one to a savepoint. */
export function rolledBack(statement: Statement): 'rollback' | 'unknown' | undefined {
  const sql = statementAt(statement, 'rollback')
  if (sql !== undefined) return isPartialRollback(sql) ? undefined : 'rollback'
  return mayRollBackPartly(statement.subject) ? 'unknown' : 'rollback'
}

/** Whether a statement inside of a transaction could have ended it with a commit, as far as its SQL is known. */
export function couldCommit({subject}: Statement): boolean {
  return /"(?:unresolved|db_query_truncated)":true/.test(subject) || mayCommit(subject)
}

/** The statement in the SQL whose command was completed last, when it begins with this word; undefined when that cannot be said. */
export function statementAt({subject, completed}: Statement, word: string): string | undefined {
  const {db_query} = JSON.parse(`{${subject}}`) as {db_query?: string}
  const sql = splitStatements(db_query ?? '')[completed - 1]
  return sql?.slice(0, word.length).toLowerCase() === word ? sql : undefined
}
