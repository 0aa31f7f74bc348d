/** What text search looks at, and what it looks for (PostgreSQL's tsvector.c, tsquery.c). */
import {PayloadCursor, type DecodeText} from './payload.js'

/** A query of many operators is as deep as it is long. */
const maximumDepth = 1000

const weights = ['', 'C', 'B', 'A'] as const
/** Of a position, the highest two bits are the weight. */
const weightShift = 14
const positionMask = 0x3fff

/** The number of lexemes, then each: its text, the number of its positions, the positions with their weights. */
export function tsvectorText(value: Buffer, decode: DecodeText): string | undefined {
  const cursor = new PayloadCursor({payload: value, size: value.length}, decode)
  const count = cursor.int32()
  if (count < 0) return undefined
  const lexemes: string[] = []
  while (lexemes.length < count && !cursor.stopped) {
    const text = quoteLexeme(cursor.text())
    const positions = readPositions(cursor)
    lexemes.push(positions === '' ? text : `${text}:${positions}`)
  }
  return cursor.finish(lexemes.join(' '))
}

function readPositions(cursor: PayloadCursor): string {
  const count = cursor.uint16()
  const positions: string[] = []
  while (positions.length < count && !cursor.stopped) {
    const position = cursor.uint16()
    positions.push(`${position & positionMask}${weights[position >> weightShift] ?? ''}`)
  }
  return positions.join(',')
}

function quoteLexeme(text: string): string {
  return `'${text.replace(/['\\]/g, '$&$&')}'`
}

const operators = {not: 1, and: 2, or: 3, phrase: 4} as const
/** Which operator binds more. */
const priorities: Readonly<Record<number, number>> = {
  [operators.or]: 1,
  [operators.and]: 2,
  [operators.phrase]: 3,
  [operators.not]: 4,
}

/** The number of items, then these, an operator before what it works on, the right side first. */
export function tsqueryText(value: Buffer, decode: DecodeText): string | undefined {
  const cursor = new PayloadCursor({payload: value, size: value.length}, decode)
  cursor.uint32()
  const text = readItem(cursor, {parent: 0, isRight: false, depth: 0})
  return text === undefined ? undefined : cursor.finish(text)
}

interface Place {
  /** Priority of the operator that this stands under. */
  readonly parent: number
  /** Right of an operator of phrases, which goes from left to right. */
  readonly isRight: boolean
  readonly depth: number
}

function readItem(cursor: PayloadCursor, place: Place): string | undefined {
  if (cursor.stopped || place.depth > maximumDepth) return undefined
  const kind = cursor.uint8()
  if (kind === 1) return readOperand(cursor)
  return kind === 2 ? readOperator(cursor, place) : undefined
}

const prefixMark = '*'
const weightLetters = ['D', 'C', 'B', 'A'] as const

function readOperand(cursor: PayloadCursor): string | undefined {
  const weight = cursor.uint8()
  const isPrefix = cursor.uint8() !== 0
  const text = quoteLexeme(cursor.text())
  const letters = [...weightLetters.keys()]
    .reverse()
    .map((bit) => (weight & (1 << bit) ? (weightLetters[bit] ?? '') : ''))
  const marks = `${isPrefix ? prefixMark : ''}${letters.join('')}`
  return marks === '' ? text : `${text}:${marks}`
}

function readOperator(cursor: PayloadCursor, {parent, isRight, depth}: Place): string | undefined {
  const operator = cursor.uint8()
  const priority = priorities[operator]
  if (priority === undefined) return undefined
  if (operator === operators.not) {
    const operand = readItem(cursor, {parent: priority, isRight: false, depth: depth + 1})
    if (operand === undefined) return undefined
    return priority < parent ? `( !${operand} )` : `!${operand}`
  }
  const distance = operator === operators.phrase ? cursor.uint16() : 0
  const right = readItem(cursor, {parent: priority, isRight: operator === operators.phrase, depth: depth + 1})
  const left = readItem(cursor, {parent: priority, isRight: false, depth: depth + 1})
  if (left === undefined || right === undefined) return undefined
  const sign =
    operator === operators.or ? '|' : operator === operators.and ? '&' : distance === 1 ? '<->' : `<${distance}>`
  const text = `${left} ${sign} ${right}`
  const needs = priority < parent || (operator === operators.phrase && isRight)
  return needs ? `( ${text} )` : text
}
