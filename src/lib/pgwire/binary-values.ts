/**
 * Values in the binary format as PostgreSQL would write them, with its default settings and in UTC: the other side of the
 * types' `send` functions (src/backend/utils/adt). The bytes come from whoever sent them, and a value may not become a text
 * that is out of proportion to them.
 */
import {arrayText, compositeText, multirangeText, rangeText, type ElementText} from './binary-containers.js'
import {dateText, intervalText, timestampText, timeText, timeWithZoneText} from './binary-dates.js'
import {circleText, lineText, pathText, pointsText, polygonText} from './binary-geometry.js'
import {hardwareAddressText, networkText} from './binary-networks.js'
import {float4Text, float8Text, numericText} from './binary-numbers.js'
import {tsqueryText, tsvectorText} from './binary-text-search.js'
import {decodeText, type DecodeText} from './payload.js'
import {elementTypes, typeIds as types} from './type-names.js'

/**
 * The text of a value, undefined for a type that is not known and for bytes that are no value of it.
 * @param decode reads what is text in it, UTF-8 unless told otherwise
 */
export function binaryText(type: number, value: Buffer, decode: DecodeText = decodeText): string | undefined {
  return textOf(type, value, decode, maximumLevels)
}

/** Composites inside of one another; deeper ones are not decoded. */
const maximumLevels = 8
/** Types of users have higher object ids (FirstNormalObjectId). */
const lastOwnType = 16_383

/** Of a type that users have made the value itself says whether it is a composite: its fields and their types are in it. */
function textOf(type: number, value: Buffer, decode: DecodeText, levels: number): string | undefined {
  const decoder = decoders.get(type)
  if (decoder) return decoder(value, decode)
  const element = elementTypes.get(type)
  if (element !== undefined) return arrayText(value, decode, element, decoders.get(element))
  if (levels === 0 || (type <= lastOwnType && type !== types.record)) return undefined
  return compositeText(value, decode, (field) => (bytes) => textOf(field, bytes, decode, levels - 1))
}

/** A decoder of values of one size only. */
const sized =
  (size: number, read: ElementText): ElementText =>
  (value, decode) =>
    value.length === size ? read(value, decode) : undefined

const text: ElementText = (value, decode) => decode(value)

const uint4 = sized(4, (value) => String(value.readUInt32BE()))

const range = (bound: ElementText): ElementText => {
  return (value, decode) => rangeText(value, decode, bound)
}

const multirange = (bound: ElementText): ElementText => {
  return (value, decode) => multirangeText(value, decode, range(bound))
}

const int4 = sized(4, (value) => String(value.readInt32BE()))
const int8 = sized(8, (value) => String(value.readBigInt64BE()))
const date = sized(4, (value) => dateText(value.readInt32BE()))
const timestamp = sized(8, (value) => timestampText(value.readBigInt64BE()))
const timestamptz = sized(8, (value) => timestampText(value.readBigInt64BE(), '+00'))

const decoders: ReadonlyMap<number, ElementText> = new Map<number, ElementText>([
  [types.bool, sized(1, (value) => (value[0] === 0 ? 'f' : 't'))],
  [types.bytea, (value) => `\\x${value.toString('hex')}`],
  [types.int2, sized(2, (value) => String(value.readInt16BE()))],
  [types.int4, int4],
  [types.int8, int8],
  // Those that stand for something in a catalog, too: its name only the server knows.
  ...[types.oid, types.regproc, types.regclass, types.regtype, types.xid, types.cid].map(withDecoder(uint4)),
  [types.xid8, sized(8, (value) => String(value.readBigUInt64BE()))],
  [types.tid, sized(6, (value) => `(${value.readUInt32BE()},${value.readUInt16BE(4)})`)],
  [types.pg_lsn, sized(8, (value) => [value.readUInt32BE(), value.readUInt32BE(4)].map(hexadecimal).join('/'))],
  [types.float4, sized(4, (value) => float4Text(value.readFloatBE()))],
  [types.float8, sized(8, (value) => float8Text(value.readDoubleBE()))],
  [types.numeric, numericText],
  ...[types.text, types.varchar, types.bpchar, types.name, types.refcursor].map(withDecoder(text)),
  ...[types.json, types.xml, types.unknown].map(withDecoder(text)),
  // A byte, whatever the encoding.
  [types.char, (value) => decodeText(value)],
  ...[types.jsonb, types.jsonpath].map(
    withDecoder((value, decode) => (value[0] === 1 ? decode(value.subarray(1)) : undefined)),
  ),
  [types.uuid, sized(16, uuidText)],
  [types.tsvector, tsvectorText],
  [types.tsquery, tsqueryText],
  [types.pg_snapshot, snapshotText],
  ...[types.bit, types.varbit].map(withDecoder(bitsText)),
  [types.date, date],
  [types.time, sized(8, (value) => timeText(value.readBigInt64BE()))],
  [types.timetz, sized(12, (value) => timeWithZoneText(value.readBigInt64BE(), value.readInt32BE(8)))],
  [types.timestamp, timestamp],
  [types.timestamptz, timestamptz],
  [types.interval, sized(16, intervalText)],
  ...[types.inet, types.cidr].map(withDecoder(networkText)),
  [types.macaddr, sized(6, hardwareAddressText)],
  [types.macaddr8, sized(8, hardwareAddressText)],
  [types.point, sized(16, pointsText)],
  [types.lseg, sized(32, (value) => `[${pointsText(value)}]`)],
  [types.box, sized(32, pointsText)],
  [types.line, sized(24, lineText)],
  [types.circle, sized(24, circleText)],
  [types.path, pathText],
  [types.polygon, polygonText],
  [types.int4range, range(int4)],
  [types.int8range, range(int8)],
  [types.numrange, range(numericText)],
  [types.daterange, range(date)],
  [types.tsrange, range(timestamp)],
  [types.tstzrange, range(timestamptz)],
  [types.int4multirange, multirange(int4)],
  [types.int8multirange, multirange(int8)],
  [types.nummultirange, multirange(numericText)],
  [types.datemultirange, multirange(date)],
  [types.tsmultirange, multirange(timestamp)],
  [types.tstzmultirange, multirange(timestamptz)],
])

/** The number of transactions under way, the oldest, the one that comes next, those under way: `10:20:10,14`. */
function snapshotText(value: Buffer): string | undefined {
  if (value.length < 20 || value.length !== 20 + 8 * value.readUInt32BE()) return undefined
  const [oldest, next, ...running] = Array.from({length: (value.length - 4) / 8}, (_, index) =>
    String(value.readBigInt64BE(4 + 8 * index)),
  )
  return [oldest, next, running.join(',')].join(':')
}

function withDecoder(decoder: ElementText): (type: number) => [number, ElementText] {
  return (type) => [type, decoder]
}

function hexadecimal(number: number): string {
  return number.toString(16).toUpperCase()
}

function uuidText(value: Buffer): string {
  return value.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/** The number of bits, then the bits, the first one the highest. */
function bitsText(value: Buffer): string | undefined {
  if (value.length < 4) return undefined
  const count = value.readInt32BE()
  const bytes = value.subarray(4)
  if (count < 0 || Math.ceil(count / 8) !== bytes.length) return undefined
  return Array.from(bytes, (byte) => byte.toString(2).padStart(8, '0'))
    .join('')
    .slice(0, count)
}
