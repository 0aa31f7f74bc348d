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

/** Whether such a ROLLBACK could be somewhere in the SQL. */
export function mayRollBackPartly(sql: string): boolean {
  return /\brollback\b[^;]*\bto\b/i.test(sql)
}

/** Whether a statement's words could end a transaction: so may nothing without one of these. */
export function mayCommit(sql: string): boolean {
  return /\b(?:commit|end|prepare)\b/i.test(sql)
}

/** The name in `DEALLOCATE [PREPARE] name` or `PREPARE name …`, as the server stores it; undefined for anything else. */
export function preparedName(statement: string): string | undefined {
  const [first, second, third] = words(statement, 3)
  if (first === 'deallocate') return second === 'prepare' && third !== undefined ? third : second
  return first === 'prepare' && second !== 'transaction' ? second : undefined
}

/** The first words of a statement: folded, or as they stand between double quotes. */
function words(statement: string, count: number): string[] {
  const found: string[] = []
  for (const {text} of tokens(statement)) {
    if (found.length === count) break
    found.push(text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text.toLowerCase())
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
    String.raw`(?<comment>--[^\n]*|/\*)`,
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
