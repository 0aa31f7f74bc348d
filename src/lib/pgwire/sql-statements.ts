/**
 * Where the statements of a simple query begin and end, and what the few of them name that change what a session has
 * prepared (PostgreSQL documentation, "Lexical Structure"). Only read when a CommandComplete says that there was one.
 */

/** A statement without the comments in front of it. */
export function splitStatements(sql: string): string[] {
  const statements: string[] = []
  let start = -1
  let depth = 0
  for (const {text, at} of tokens(sql)) {
    if (start < 0 && text !== ';') start = at
    if (text === '(') depth += 1
    else if (text === ')') depth = Math.max(0, depth - 1)
    else if (text === ';' && depth === 0) {
      if (start >= 0) statements.push(sql.slice(start, at))
      start = -1
    }
  }
  if (start >= 0) statements.push(sql.slice(start))
  return statements
}

/** Whether a ROLLBACK goes back to a savepoint only, and the transaction goes on. */
export function isPartialRollback(statement: string): boolean {
  return words(statement, 3).slice(1).includes('to')
}

/** Whether such a ROLLBACK could be somewhere in the SQL, or be what that executes. Takes time in proportion to it. */
export function mayRollBackPartly(sql: string): boolean {
  const at = sql.search(/\brollback\b/i)
  return mayExecute(sql) || (at >= 0 && /\bto\b/i.test(sql.slice(at)))
}

/** Whether it could run a prepared statement, which may end a transaction or go back to a savepoint. */
const mayExecute = (sql: string): boolean => /\bexecute\b/i.test(sql)

/** Whether a statement, or a procedure that it calls, commits by itself: then a part of it can stand when it fails. */
export function commitsByItself(sql: string): boolean {
  const commits = ['call', 'do', 'vacuum', 'cluster', 'reindex', 'analyze', 'analyse']
  if (hasUncertainEnds(sql) || /\bconcurrently\b/i.test(sql)) return true
  return splitStatements(sql).some((each) => commits.includes(words(each, 1)[0] ?? ''))
}

/** Whether it is worth a look; also when it is JSON, where an escape may stand in front of a word. */
export function mayCommitByItself(sql: string): boolean {
  return /(?:call|do|vacuum|cluster|reindex|analy[sz]e|concurrently)\b/i.test(sql)
}

/** Whether a statement's words could end a transaction: so may nothing without one of these. */
export function mayCommit(sql: string): boolean {
  return mayExecute(sql) || /\b(?:commit|end|prepare)\b/i.test(sql)
}

/**
 * Whether the text alone does not say where its statements end: how a backslash counts in a string is a setting, the
 * statements in the body of a function have ends of their own, and what could not be read may be a part of a character.
 */
export function hasUncertainEnds(sql: string): boolean {
  return /\\|\batomic\b/i.test(sql) || /\p{Surrogate}/u.test(sql)
}

/** The name in `DEALLOCATE [PREPARE] name` or `PREPARE name …`, as the server stores it; undefined for anything else. */
export function preparedName(statement: string): string | undefined {
  const [first, second, third, fourth] = words(statement, 4)
  if (first === 'deallocate' && second === 'prepare' && third !== undefined) return nameIn(third, fourth)
  return (first === 'deallocate' || first === 'prepare') && second !== 'transaction' ? nameIn(second, third) : undefined
}

/** The name in `CLOSE name` or `DECLARE name …`; undefined for anything else. */
export function cursorNameIn(statement: string): string | undefined {
  const [first, second, third] = words(statement, 3)
  return first === 'close' || first === 'declare' ? nameIn(second, third) : undefined
}

/** Of names with escapes (`U&"…"`), and those that the server's locale folds, nobody can say here what they are. */
function nameIn(word: string | undefined, next: string | undefined): string | undefined {
  if (word === undefined || (word === 'u' && next === '&')) return undefined
  if (word.startsWith('"')) return word.slice(1, -1).replaceAll('""', '"')
  return /^[\x20-\x7e]+$/.test(word) ? word : undefined
}

/** The first words of a statement: folded, ASCII alone as the server does it, or as they stand with their double quotes. */
function words(statement: string, count: number): string[] {
  const found: string[] = []
  for (const {text} of tokens(statement)) {
    if (found.length === count) break
    found.push(text.startsWith('"') ? text : text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()))
  }
  return found
}

interface Token {
  readonly text: string
  readonly at: number
}

/** Comments; strings with backslashes, plain and dollar-quoted ones; identifiers in quotes; words; single characters. */
const token = new RegExp(
  [
    String.raw`(?<comment>--[^\n\r]*|/\*)`,
    String.raw`[eE]'(?:[^'\\]|\\[^]|'')*(?:'|$)`,
    String.raw`'(?:[^']|'')*(?:'|$)`,
    String.raw`"(?:[^"]|"")*(?:"|$)`,
    String.raw`(?<tag>\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$)`,
    String.raw`[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*`,
    String.raw`[^\s]`,
  ].join('|'),
  'g',
)

function* tokens(sql: string): Generator<Token> {
  const pattern = new RegExp(token)
  for (let match = pattern.exec(sql); match; match = pattern.exec(sql)) {
    const {comment, tag} = match.groups ?? {}
    if (comment === '/*') pattern.lastIndex = endOfComment(sql, pattern.lastIndex)
    else if (tag !== undefined) {
      const end = sql.indexOf(tag, pattern.lastIndex)
      pattern.lastIndex = end < 0 ? sql.length : end + tag.length
    }
    if (comment === undefined) yield {text: match[0], at: match.index}
  }
}

/** Comments of this kind nest. */
function endOfComment(sql: string, from: number): number {
  const mark = /\/\*|\*\//g
  mark.lastIndex = from
  let depth = 1
  for (let match = mark.exec(sql); match; match = mark.exec(sql)) {
    depth += match[0] === '/*' ? 1 : -1
    if (depth === 0) return mark.lastIndex
  }
  return sql.length
}
