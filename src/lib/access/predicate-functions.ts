/** The functions that every predicate may call. */
import {PosternError} from '../core/errors.js'
import {compileExpression, compilePattern} from './pattern.js'
import {invalidAt} from './predicate-syntax.js'

export type Type = 'text' | 'list' | 'flag' | 'number'
/** `undefined`: not known yet. */
export type Value = string | readonly string[] | boolean | number | undefined

/** `literal`: a text in quotes, known when the predicate is compiled. */
export type Parameter = Type | 'literal'

export interface Operation<Scope> {
  readonly takes: readonly Parameter[]
  /** Any number of these besides. */
  readonly more?: Type
  readonly gives: Type
  /** Given the literals, what evaluates the other parameters. @throws PosternError INVALID for a literal that is none */
  readonly prepare: (literals: readonly string[], at: number) => Prepared<Scope>
}

interface Prepared<Scope> {
  readonly run: (values: readonly Value[], scope: Scope) => Value
  /** Instructions that may run for each character; absent for next to none. */
  readonly cost?: number
}

/** Replacements in replacements could double a text many times. */
const longestText = 8192

const simple = (takes: readonly Parameter[], gives: Type, run: (...values: never[]) => Value): Operation<unknown> => ({
  takes,
  gives,
  // The types of the values were checked against `takes` when the predicate was compiled.
  prepare: () => ({run: (values) => run(...(values as never[]))}),
})

type List = readonly string[]

const hasPrefix = simple(['text', 'text'], 'flag', (text: string, prefix: string) => text.startsWith(prefix))

export const functions: Readonly<Record<string, Operation<unknown>>> = {
  contains: simple(['list', 'text'], 'flag', (list: List, text: string) => list.includes(text)),
  contains_any: simple(['list', 'list'], 'flag', (list: List, wanted: List) => {
    const there = new Set(list)
    return wanted.some((text) => there.has(text))
  }),
  contains_all: simple(['list', 'list'], 'flag', (list: List, wanted: List) => {
    const there = new Set(list)
    // Nothing is not contained: an empty trait must not open everything.
    return wanted.length > 0 && wanted.every((text) => there.has(text))
  }),
  equals: simple(['text', 'text'], 'flag', (one: string, other: string) => one === other),
  exists: simple(['text'], 'flag', (text: string) => text !== ''),
  has_prefix: hasPrefix,
  hasPrefix,
  set: {takes: [], more: 'text', gives: 'list', prepare: () => ({run: (values) => values as List})},
  split: simple(['text', 'text'], 'list', (text: string, separator: string) => text.split(separator)),
  'strings.lower': simple(['list'], 'list', (list: List) => list.map((text) => text.toLowerCase())),
  'strings.upper': simple(['list'], 'list', (list: List) => list.map((text) => text.toUpperCase())),
  'email.local': simple(['list'], 'list', (list: List) => list.flatMap((text) => localPart(text) ?? [])),
  'regexp.match': {
    takes: ['list', 'literal'],
    gives: 'flag',
    prepare: ([pattern = ''], at) => {
      const {matches, cost} = located(at, () => compilePattern(pattern))
      return {cost, run: ([list]) => (list as List).some(matches)}
    },
  },
  'regexp.replace': {
    takes: ['list', 'literal', 'literal'],
    gives: 'list',
    prepare: ([pattern = '', replacement = ''], at) => {
      const expression = located(at, () => compileExpression(pattern))
      const replace = (text: string): string[] => {
        const matcher = expression.matcher(text)
        return matcher.find() ? [limited(matcher.replaceAll(replacement))] : []
      }
      return {cost: expression.programSize(), run: ([list]) => (list as List).flatMap(replace)}
    },
  },
}

/** What stands before the last `@`; undefined for what is no address. */
function localPart(address: string): string | undefined {
  const at = address.lastIndexOf('@')
  return at > 0 && at < address.length - 1 ? address.slice(0, at) : undefined
}

function limited(text: string): string {
  if (text.length <= longestText) return text
  throw new PosternError('INVALID', `A replacement gives a text of more than ${longestText} characters.`)
}

function located<T>(at: number, compile: () => T): T {
  try {
    return compile()
  } catch (error) {
    throw error instanceof PosternError ? invalidAt(at, error.message) : error
  }
}
