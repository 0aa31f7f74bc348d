/**
 * The syntax of predicates, as roles hold them in label expressions, conditions of rules and templates:
 *
 *   predicate  = both { "||" both }          operand = "(" predicate ")" | text | number | "true" | "false" | place
 *   both       = test { "&&" test }          place   = path [ "(" [ predicate { "," predicate } ] ")" ] { "[" predicate "]" }
 *   test       = { "!" } operand [ ( "==" | "!=" ) operand ]     path = name { "." name }
 */
import {PosternError} from '../core/errors.js'

/** A part of a predicate; `at` is its first character, from 0. */
export type Node = {readonly at: number} & (
  | {readonly kind: 'literal'; readonly value: string | number | boolean}
  | {readonly kind: 'path'; readonly path: readonly string[]}
  | {readonly kind: 'index'; readonly of: Node; readonly key: Node}
  | {readonly kind: 'call'; readonly name: string; readonly parameters: readonly Node[]}
  | {readonly kind: 'not'; readonly operand: Node}
  | {readonly kind: 'and' | 'or'; readonly operands: readonly Node[]}
  | {readonly kind: 'equal'; readonly negated: boolean; readonly left: Node; readonly right: Node}
)

/** Parentheses, calls and negations inside each other. */
const maximumDepth = 32

interface Token {
  readonly kind: 'name' | 'text' | 'number' | 'sign' | 'end'
  readonly text: string
  readonly at: number
}

const tokenForms = {
  space: /\s+/y,
  /** A hyphen may stand inside, as in names of traits; there is no subtraction. */
  name: /[A-Za-z_](?:[\w-]*\w)?/y,
  number: /\d+(?:\.\d+)?/y,
  text: /"((?:[^"\\]|\\.)*)"|`([^`]*)`/y,
  sign: /&&|\|\||==|!=|[!()[\],.]/y,
} as const

/** @throws PosternError INVALID saying what is wrong, and where */
export function parsePredicate(text: string): Node {
  const parser = new Parser(text, 0)
  const node = parser.predicate()
  parser.expectEnd()
  return node
}

/** The predicate in a text from a place on, up to `}}`. @returns it, and the place after the braces @throws as above */
export function parseTemplate(text: string, from: number): {readonly node: Node; readonly end: number} {
  const parser = new Parser(text, from)
  const node = parser.predicate()
  return {node, end: parser.expectBraces()}
}

/** An error about a place in a predicate; people count characters from 1. */
export function invalidAt(at: number, why: string): PosternError {
  return new PosternError('INVALID', `at character ${at + 1}: ${why}`)
}

class Parser {
  readonly #text: string
  #next: Token
  #depth = 0

  constructor(text: string, from: number) {
    this.#text = text
    this.#next = this.#read(from)
  }

  predicate(): Node {
    return this.#joined('or', '||', () => this.#joined('and', '&&', () => this.#test()))
  }

  expectEnd(): void {
    if (this.#next.kind !== 'end' || this.#next.at < this.#text.length) throw this.#unexpected('an operator or the end')
  }

  expectBraces(): number {
    const {kind, at} = this.#next
    if (kind === 'end' && this.#text.startsWith('}}', at)) return at + 2
    throw this.#unexpected('"}}"')
  }

  #joined(kind: 'and' | 'or', sign: string, part: () => Node): Node {
    const first = part()
    const operands = [first]
    while (this.#takes(sign)) operands.push(part())
    return operands.length === 1 ? first : {kind, operands, at: first.at}
  }

  #test(): Node {
    const {at} = this.#next
    if (this.#takes('!')) return this.#deeper(() => ({kind: 'not', operand: this.#test(), at}))
    const left = this.#operand()
    for (const [sign, negated] of [
      ['==', false],
      ['!=', true],
    ] as const) {
      if (this.#takes(sign)) return {kind: 'equal', negated, left, right: this.#operand(), at}
    }
    return left
  }

  #operand(): Node {
    const token = this.#next
    const {kind, text, at} = token
    if (this.#takes('(')) {
      const inner = this.#deeper(() => this.predicate())
      this.#expect(')')
      return inner
    }
    switch (kind) {
      case 'text':
        this.#advance()
        return {kind: 'literal', value: unquote(token), at}
      case 'number':
        this.#advance()
        return {kind: 'literal', value: Number(text), at}
      case 'name':
        return this.#place()
      case 'sign':
      case 'end':
        throw this.#unexpected('a value')
    }
  }

  #place(): Node {
    const {at} = this.#next
    const path = [this.#name()]
    while (this.#takes('.')) path.push(this.#name())
    if (path.length === 1 && (path[0] === 'true' || path[0] === 'false')) {
      return {kind: 'literal', value: path[0] === 'true', at}
    }
    let node: Node = this.#takes('(')
      ? {kind: 'call', name: path.join('.'), parameters: this.#deeper(() => this.#parameters()), at}
      : {kind: 'path', path, at}
    while (this.#takes('[')) {
      const key = this.#deeper(() => this.predicate())
      this.#expect(']')
      node = {kind: 'index', of: node, key, at}
    }
    return node
  }

  #parameters(): Node[] {
    if (this.#takes(')')) return []
    const parameters = [this.predicate()]
    while (this.#takes(',')) parameters.push(this.predicate())
    this.#expect(')')
    return parameters
  }

  #name(): string {
    if (this.#next.kind !== 'name') throw this.#unexpected('a name')
    const {text} = this.#next
    this.#advance()
    return text
  }

  #deeper<T>(parse: () => T): T {
    if (this.#depth >= maximumDepth) throw invalidAt(this.#next.at, 'it is nested too deeply')
    this.#depth += 1
    const parsed = parse()
    this.#depth -= 1
    return parsed
  }

  #takes(sign: string): boolean {
    if (this.#next.kind !== 'sign' || this.#next.text !== sign) return false
    this.#advance()
    return true
  }

  #expect(sign: string): void {
    if (!this.#takes(sign)) throw this.#unexpected(`"${sign}"`)
  }

  #unexpected(wanted: string): PosternError {
    const {kind, text, at} = this.#next
    if (kind !== 'end') return invalidAt(at, `there is "${text}" where ${wanted} is expected`)
    const rest = this.#text.slice(at, at + 1)
    if (rest === '"' || rest === '`') return invalidAt(at, 'the text that begins here has no end')
    return invalidAt(at, rest === '' ? `it ends where ${wanted} is expected` : `"${rest}" means nothing here`)
  }

  #advance(): void {
    this.#next = this.#read(this.#next.at + this.#next.text.length)
  }

  /** The token at a place; what is none ends the predicate there. */
  #read(from: number): Token {
    const match = (form: RegExp, at: number): string | undefined => {
      form.lastIndex = at
      return form.exec(this.#text)?.[0]
    }
    const at = from + (match(tokenForms.space, from)?.length ?? 0)
    for (const kind of ['name', 'number', 'text', 'sign'] as const) {
      const text = match(tokenForms[kind], at)
      if (text !== undefined) return {kind, text, at}
    }
    return {kind: 'end', text: '', at}
  }
}

/** Between back quotes everything stands for itself; between double quotes a backslash takes the next character. */
function unquote({text, at}: Token): string {
  const inner = text.slice(1, -1)
  if (text.startsWith('`')) return inner
  return inner.replace(/\\(.)/gs, (_escape, character: string) => {
    if (character === 'n') return '\n'
    if (character === 't') return '\t'
    if (character === '"' || character === '\\') return character
    throw invalidAt(at, `"\\${character}" is no escape; write \\\\ for a backslash, or the text between back quotes`)
  })
}
