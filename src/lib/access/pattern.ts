import {RE2JS} from 're2js'
import {messageOf, PosternError} from '../core/errors.js'

/** What an expression may expand to. */
const maximumExpansion = 50_000
/**
 * What expressions may compile to that are judged together: one alone, those of a role, those of a selector. RE2 takes time in
 * proportion to it; with as many, the slowest kinds (`(a?){n}`, `(.*[ab]){n}`) were measured to take a tenth of a second
 * for a label of 1,024 characters, the longest there is, and its answer is kept.
 */
export const maximumInstructions = 2000

/** Values whose answer an expression keeps. */
const rememberedValues = 64

export interface Pattern {
  /** Whether the whole of a value is meant. */
  readonly matches: (value: string) => boolean
  /** Instructions that may run for each character of a value. */
  readonly cost: number
}

/**
 * A pattern of a role: `*`, a glob, `^a regular expression$`, or the value itself; the whole value, case-sensitive.
 * @throws PosternError INVALID
 */
export function compilePattern(pattern: string): Pattern {
  if (pattern === '*') return {matches: () => true, cost: 0}
  if (pattern.length > 1 && pattern.startsWith('^') && pattern.endsWith('$')) {
    const expression = compileExpression(pattern)
    // Labels have few values, and the same ones again and again.
    const known = new Map<string, boolean>()
    const matches = (value: string): boolean => {
      const before = known.get(value)
      if (before !== undefined) return before
      const fits = value === pattern || expression.matches(value)
      if (known.size >= rememberedValues) known.clear()
      known.set(value, fits)
      return fits
    }
    return {matches, cost: expression.programSize()}
  }
  if (!pattern.includes('*')) return {matches: (value) => value === pattern, cost: 0}
  const pieces = pattern.split('*')
  return {matches: (value) => matchesGlob(pieces, value), cost: 1}
}

/** Linear in the value's length, whatever the glob: each piece is taken at its first possible place. */
function matchesGlob(pieces: readonly string[], value: string): boolean {
  const first = pieces[0] ?? ''
  const last = pieces.at(-1) ?? ''
  if (value.length < first.length + last.length || !value.startsWith(first) || !value.endsWith(last)) return false
  let position = first.length
  const end = value.length - last.length
  for (const piece of pieces.slice(1, -1)) {
    const found = value.indexOf(piece, position)
    if (found < 0 || found + piece.length > end) return false
    position = found + piece.length
  }
  return position <= end
}

/**
 * Regular expressions come from roles and run in agents; RE2 judges in time linear in the value, so none can stall one.
 * @throws PosternError INVALID when it is not an RE2 expression, or one too large to be run
 */
export function compileExpression(pattern: string): RE2JS {
  const invalid = (why: string, cause?: unknown): PosternError =>
    new PosternError('INVALID', `"${pattern}" is not a regular expression that can be used: ${why}.`, {cause})
  const tooLarge = 'its repetitions make it too large'
  if (expansion(pattern) > maximumExpansion) throw invalid(tooLarge)
  const expression = compile(pattern, (error) => invalid(messageOf(error), error))
  if (expression.programSize() > maximumInstructions) throw invalid(tooLarge)
  return expression
}

function compile(pattern: string, failure: (error: unknown) => PosternError): RE2JS {
  try {
    return RE2JS.compile(pattern)
  } catch (error) {
    throw failure(error)
  }
}

/** An upper bound of the pattern's length with `{n,m}` written out; RE2 itself allows nested repetitions 1000 in all. */
function expansion(pattern: string): number {
  const counts = [...pattern.matchAll(/\{(\d+)(?:,(\d*))?\}/g)].map(([, low, high]) => Number(high) || Number(low))
  return pattern.length * counts.reduce((factor, count) => Math.min(factor * Math.max(count, 1), 1000), 1)
}
