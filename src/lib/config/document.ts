import {isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit, type Document, type Node} from 'yaml'
import {PosternError} from '../core/errors.js'
import {isNestedDeeply} from '../resources/nesting.js'

/** Where a value stands in the file: keys and list positions from the top. */
export type Path = readonly PropertyKey[]

/** Something wrong in the file. */
export interface Problem {
  readonly path: Path
  /** A sentence, or a predicate of the path (`must be yes or no`); without the full stop. */
  readonly message: string
  readonly hint?: string | undefined
}

/** A YAML file as plain values, and the line of each of them. */
export interface ConfigDocument {
  /** What people call the file: usually its path. */
  readonly name: string
  /** Maps, lists and strings; a value that was left empty is undefined. */
  readonly value: unknown
  /** The line, from 1, of a value; of its nearest ancestor when it is not there. */
  readonly lineOf: (path: Path) => number
}

/**
 * Reads one YAML document.
 * @throws PosternError INVALID naming the line that is not YAML
 */
export function readDocument(text: string, name: string): ConfigDocument {
  if (isNestedDeeply(text)) {
    throw new PosternError('INVALID', `${name} is nested too deeply.`)
  }
  const lines = new LineCounter()
  // With the failsafe schema every scalar stays the text it is: an account id keeps its leading zero, a label
  // `1.10` its last digit, and `no` is not yet anything but a word.
  const document = parseDocument(text, {lineCounter: lines, schema: 'failsafe', merge: true, prettyErrors: false})
  const broken = document.errors[0] ?? document.warnings[0]
  if (broken) {
    const {line} = lines.linePos(broken.pos[0])
    throw new PosternError('INVALID', `${name} line ${line}: this is not valid YAML: ${explain(broken)}.`, {
      cause: broken,
    })
  }
  visit(document, {
    Scalar: (key, node) => {
      if (key !== 'key' && node.type === 'PLAIN' && /^(~|null)$/i.test(String(node.value))) node.value = ''
    },
  })
  return {name, value: plainValue(document, name), lineOf: (path) => lines.linePos(findOffset(document, path)).line}
}

const explanations: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: 'a key is written twice',
  TAB_AS_INDENT: 'a tab is used for indentation',
  BAD_INDENT: 'the indentation does not fit the lines above',
  MULTIPLE_DOCS: 'it holds more than one document',
  TAG_RESOLVE_FAILED: 'tags (a leading !) are not used in this file',
}

function explain(broken: {readonly code: string; readonly message: string}): string {
  return explanations[broken.code] ?? broken.message
}

function plainValue(document: Document, name: string): unknown {
  try {
    const value: unknown = document.toJS()
    return emptyToUndefined(value === '' || value === null ? {} : value)
  } catch (error) {
    throw new PosternError('INVALID', `${name}: its aliases expand to too much or refer to nothing.`, {cause: error})
  }
}

/** In maps only: an empty item of a list is left for the list's own check. */
function emptyToUndefined(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(emptyToUndefined)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, entry]) => [key, entry === '' ? undefined : emptyToUndefined(entry)]),
  )
}

function findOffset(document: Document, path: Path): number {
  let node: unknown = document.contents
  let offset = startOf(node) ?? 0
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document)
    if (isMap(node)) {
      const pair = node.items.find(({key}) => isScalar(key) && key.value === step)
      if (!pair) break
      offset = startOf(pair.key) ?? offset
      node = pair.value
    } else if (isSeq(node) && typeof step === 'number') {
      node = node.items[step]
      offset = startOf(node) ?? offset
    } else break
  }
  return offset
}

const startOf = (node: unknown): number | undefined => (node as Node | null | undefined)?.range?.[0]

/** What is wrong, as sentences in the order of the file: `NAME line N: what is wrong.` */
export function describeProblems(document: ConfigDocument, problems: readonly Problem[]): string[] {
  return inFileOrder(document, problems).map(
    ({line, path, message}) => `${document.name} line ${line}: ${sentence(path, message)}`,
  )
}

/** All problems as one error: the first in its message, the others in the hints. */
export function problemsError(document: ConfigDocument, problems: readonly Problem[]): PosternError {
  const [message = '', ...others] = describeProblems(document, problems)
  const hint = inFileOrder(document, problems)[0]?.hint
  return new PosternError('INVALID', message, {
    hint: [...(hint ? [hint] : []), ...others.map((other) => `Also ${other}`)],
  })
}

function inFileOrder({lineOf}: ConfigDocument, problems: readonly Problem[]): (Problem & {readonly line: number})[] {
  return problems.map((problem) => ({...problem, line: lineOf(problem.path)})).sort((a, b) => a.line - b.line)
}

/** A message that begins with a capital letter is a sentence of its own. */
function sentence(path: Path, message: string): string {
  const subject = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`)).join('')
  return /^\p{Lu}/u.test(message) ? `${message}.` : `${subject.replace(/^\./, '') || 'the file'} ${message}.`
}
