/**
 * Values that hold values: arrays, ranges, multiranges and composites (PostgreSQL's arrayfuncs.c, rangetypes.c,
 * multirangetypes.c, rowtypes.c).
 */
import {PayloadCursor, type DecodeText} from './payload.js'
import {typeIds as types} from './type-names.js'

/** The text of an element; undefined for bytes that are no value of its type. @param decode reads what is text in it */
export type ElementText = (value: Buffer, decode: DecodeText) => string | undefined

/** PostgreSQL's MAXDIM. */
const maximumDimensions = 6

interface Dimension {
  readonly length: number
  readonly lowerBound: number
}

/**
 * The number of dimensions, whether there is a NULL, the elements' type; of each dimension its length and lower bound; the
 * elements with their lengths, the last dimension's index running fastest.
 */
export function arrayText(
  value: Buffer,
  decode: DecodeText,
  elementType: number,
  element: ElementText | undefined,
): string | undefined {
  const cursor = new PayloadCursor({payload: value, size: value.length})
  const count = cursor.int32()
  cursor.int32()
  if (!element || count < 0 || count > maximumDimensions || cursor.uint32() !== elementType) return undefined
  const dimensions = Array.from({length: count}, () => ({length: cursor.int32(), lowerBound: cursor.int32()}))
  if (dimensions.some(({length}) => length < 0)) return undefined
  if (count === 0 || dimensions.some(({length}) => length === 0)) return cursor.finish('{}')
  // Each element takes at least its length's four bytes: no array is longer than its bytes say.
  const elements = dimensions.reduce((product, {length}) => product * length, 1)
  if (elements > value.length / 4) return undefined
  const delimiter = elementType === types.box ? ';' : ','
  const text = nested(dimensions, 0, delimiter, () => {
    const text = readValue(cursor, decode, element)
    return text === null ? 'NULL' : text === undefined ? undefined : quoteElement(text, delimiter)
  })
  return text === undefined ? undefined : cursor.finish(boundsText(dimensions) + text)
}

/** Only bounds that do not begin at 1 are shown: `[0:2]={a,b,c}`. */
function boundsText(dimensions: readonly Dimension[]): string {
  if (dimensions.every(({lowerBound}) => lowerBound === 1)) return ''
  return `${dimensions.map(({length, lowerBound}) => `[${lowerBound}:${lowerBound + length - 1}]`).join('')}=`
}

function nested(
  dimensions: readonly Dimension[],
  depth: number,
  delimiter: string,
  read: () => string | undefined,
): string | undefined {
  const dimension = dimensions[depth]
  if (!dimension) return read()
  const parts: string[] = []
  while (parts.length < dimension.length) {
    const part = nested(dimensions, depth + 1, delimiter, read)
    if (part === undefined) return undefined
    parts.push(part)
  }
  return `{${parts.join(delimiter)}}`
}

/** A value after its length; null for NULL. */
function readValue(cursor: PayloadCursor, decode: DecodeText, element: ElementText): string | null | undefined {
  const length = cursor.int32()
  if (length === -1) return null
  const bytes = cursor.bytes(length)
  return cursor.stopped ? undefined : element(bytes, decode)
}

function quoteElement(text: string, delimiter: string): string {
  const plain = text !== '' && !/["\\{} \t\n\r\v\f]|^null$/i.test(text) && !text.includes(delimiter)
  return plain ? text : `"${text.replace(/["\\]/g, '\\$&')}"`
}

const rangeFlags = {empty: 1, lowerInclusive: 2, upperInclusive: 4, lowerInfinite: 8, upperInfinite: 16} as const

/** A byte of flags, then the bounds that there are, with their lengths. */
export function rangeText(value: Buffer, decode: DecodeText, bound: ElementText): string | undefined {
  const cursor = new PayloadCursor({payload: value, size: value.length})
  const flags = cursor.uint8()
  const has = (flag: keyof typeof rangeFlags): boolean => (flags & rangeFlags[flag]) !== 0
  if (has('empty')) return cursor.finish('empty')
  const lower = has('lowerInfinite') ? '' : readBound(cursor, decode, bound)
  const upper = has('upperInfinite') ? '' : readBound(cursor, decode, bound)
  if (lower === undefined || upper === undefined) return undefined
  const open = has('lowerInclusive') && !has('lowerInfinite') ? '[' : '('
  const close = has('upperInclusive') && !has('upperInfinite') ? ']' : ')'
  return cursor.finish(`${open}${lower},${upper}${close}`)
}

function readBound(cursor: PayloadCursor, decode: DecodeText, bound: ElementText): string | undefined {
  const bytes = cursor.bytes(cursor.int32())
  const text = cursor.stopped ? undefined : bound(bytes, decode)
  return text?.includes(' ') === true ? `"${text}"` : text
}

/** The number of ranges, then the ranges with their lengths. */
export function multirangeText(value: Buffer, decode: DecodeText, range: ElementText): string | undefined {
  const cursor = new PayloadCursor({payload: value, size: value.length})
  const count = cursor.uint32()
  const ranges: string[] = []
  while (ranges.length < count) {
    const bytes = cursor.bytes(cursor.int32())
    const text = cursor.stopped ? undefined : range(bytes, decode)
    if (text === undefined) return undefined
    ranges.push(text)
  }
  return cursor.finish(`{${ranges.join(',')}}`)
}

/** Characters for a byte: quotes are doubled at each level, which a sender could make thousands of times as much of. */
const mostGrowth = 8

/** The number of fields, then of each the type and the value with its length. @param fieldOf decodes a value of a type */
export function compositeText(
  value: Buffer,
  decode: DecodeText,
  fieldOf: (type: number) => ElementText,
): string | undefined {
  const cursor = new PayloadCursor({payload: value, size: value.length})
  const count = cursor.int32()
  const fields: string[] = []
  while (fields.length < count) {
    const text = readValue(cursor, decode, fieldOf(cursor.uint32()))
    if (text === undefined || cursor.stopped) return undefined
    fields.push(text === null ? '' : quoteField(text))
  }
  const text = `(${fields.join(',')})`
  return count > 0 && text.length <= mostGrowth * value.length ? cursor.finish(text) : undefined
}

/** NULL is nothing at all. */
function quoteField(text: string): string {
  const plain = text !== '' && !/["\\(), \t\n\r\v\f]/.test(text)
  return plain ? text : `"${text.replace(/["\\]/g, '$&$&')}"`
}
