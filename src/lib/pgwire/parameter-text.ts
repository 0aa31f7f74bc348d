/**
 * Parameters as text for the audit. The text form is the client's own; the binary forms are those of the types' `send`
 * functions (PostgreSQL, src/backend/utils/adt), written as PostgreSQL writes the values.
 */
import type {ParameterValue} from './client-messages.js'
import {decodeText} from './payload.js'
import {typeIds as types} from './type-names.js'

const textFormat = 0

export interface Parameters {
  /** 0 text, 1 binary; none for all text, one for all, or one per parameter. */
  readonly formats: readonly number[]
  readonly parameters: readonly ParameterValue[]
}

/**
 * Text as it is, binary values decoded where their type is known, else in base64; null for NULL.
 * @param typeIds object ids of the parameters' types, 0 or nothing where they are not known
 */
export function renderParameters(
  {formats, parameters}: Parameters,
  typeIds: readonly number[] = [],
): (string | null)[] {
  const common = formats.length === 0 ? textFormat : formats.length === 1 ? formats[0] : undefined
  const rendered: (string | null)[] = []
  for (let index = 0; index < parameters.length; index += 1) {
    const value = parameters[index] ?? null
    if (value === null) rendered.push(null)
    else if ((common ?? formats[index]) === textFormat) rendered.push(decodeText(value))
    else rendered.push(renderBinary(value, typeIds[index] ?? 0))
  }
  return rendered
}

function renderBinary(value: Buffer, type: number): string {
  return decoders.get(type)?.(value) ?? value.toString('base64')
}

/** Undefined for bytes that are no value of the type. */
type Decoder = (value: Buffer) => string | undefined

/** A decoder of values of one size only. */
const sized =
  (size: number, read: (value: Buffer) => string | undefined): Decoder =>
  (value) =>
    value.length === size ? read(value) : undefined

const uint4 = sized(4, (value) => String(value.readUInt32BE()))

const decoders: ReadonlyMap<number, Decoder> = new Map<number, Decoder>([
  [types.bool, sized(1, (value) => (value[0] === 0 ? 'f' : 't'))],
  [types.bytea, (value) => `\\x${value.toString('hex')}`],
  [types.int2, sized(2, (value) => String(value.readInt16BE()))],
  [types.int4, sized(4, (value) => String(value.readInt32BE()))],
  [types.int8, sized(8, (value) => String(value.readBigInt64BE()))],
  ...[types.oid, types.regproc, types.xid, types.cid].map((id): [number, Decoder] => [id, uint4]),
  [types.float4, sized(4, (value) => String(Number(value.readFloatBE().toPrecision(9))))],
  [types.float8, sized(8, (value) => String(value.readDoubleBE()))],
  ...[types.text, types.varchar, types.bpchar, types.name, types.char, types.json, types.xml, types.unknown].map(
    (id): [number, Decoder] => [id, decodeText],
  ),
  [types.jsonb, (value) => (value[0] === 1 ? decodeText(value.subarray(1)) : undefined)],
  [types.uuid, sized(16, decodeUuid)],
  [types.date, sized(4, (value) => decodeDate(value.readInt32BE()))],
  [types.time, sized(8, (value) => decodeTime(value.readBigInt64BE()))],
  [types.timestamp, sized(8, (value) => decodeTimestamp(value.readBigInt64BE()))],
  [types.timestamptz, sized(8, (value) => decodeTimestamp(value.readBigInt64BE(), '+00'))],
  [types.numeric, decodeNumeric],
])

function decodeUuid(value: Buffer): string {
  return value.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/** 2000-01-01, from which PostgreSQL counts. */
const epochMilliseconds = Date.UTC(2000, 0, 1)
const dayMilliseconds = 86_400_000
/** What a Date can hold. */
const maximumDays = 90_000_000

function decodeDate(days: number): string | undefined {
  if (days === 0x7fff_ffff) return 'infinity'
  if (days === -0x8000_0000) return '-infinity'
  if (Math.abs(days) > maximumDays) return undefined
  return dayOf(epochMilliseconds + days * dayMilliseconds)
}

/** `2026-11-20`, `0044-03-15 BC` */
function dayOf(milliseconds: number): string {
  const date = new Date(milliseconds)
  const year = date.getUTCFullYear()
  const two = (number: number): string => String(number).padStart(2, '0')
  const day = `${String(year > 0 ? year : 1 - year).padStart(4, '0')}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())}`
  return year > 0 ? day : `${day} BC`
}

const dayMicroseconds = 86_400_000_000n
const secondMicroseconds = 1_000_000n

/** `12:34:56.789` from microseconds since midnight. */
function decodeTime(microseconds: bigint): string | undefined {
  if (microseconds < 0n || microseconds > dayMicroseconds) return undefined
  const two = (number: bigint): string => String(number).padStart(2, '0')
  const seconds = microseconds / secondMicroseconds
  const fraction = String(microseconds % secondMicroseconds)
    .padStart(6, '0')
    .replace(/0+$/, '')
  const time = `${two(seconds / 3600n)}:${two((seconds / 60n) % 60n)}:${two(seconds % 60n)}`
  return fraction === '' ? time : `${time}.${fraction}`
}

function decodeTimestamp(microseconds: bigint, zone = ''): string | undefined {
  if (microseconds === 0x7fff_ffff_ffff_ffffn) return 'infinity'
  if (microseconds === -0x8000_0000_0000_0000n) return '-infinity'
  const ofDay = ((microseconds % dayMicroseconds) + dayMicroseconds) % dayMicroseconds
  const days = Number((microseconds - ofDay) / dayMicroseconds)
  const time = decodeTime(ofDay)
  if (time === undefined || Math.abs(days) > maximumDays) return undefined
  const [day = '', era] = dayOf(epochMilliseconds + days * dayMilliseconds).split(' ')
  return `${day} ${time}${zone}${era === undefined ? '' : ` ${era}`}`
}

const negative = 0x4000
const notNumbers: ReadonlyMap<number, string> = new Map([
  [0xc000, 'NaN'],
  [0xd000, 'Infinity'],
  [0xf000, '-Infinity'],
])
/** Digits of base 10,000 before the point; PostgreSQL has at most 131,072 decimal ones. */
const maximumWeight = 32_768

/** Digits of base 10,000: their number, the first one's weight, the sign, the decimal digits to show, the digits. */
function decodeNumeric(value: Buffer): string | undefined {
  if (value.length < 8) return undefined
  const count = value.readUInt16BE(0)
  const weight = value.readInt16BE(2)
  const sign = value.readUInt16BE(4)
  const scale = value.readUInt16BE(6)
  if (notNumbers.has(sign)) return notNumbers.get(sign)
  if (value.length !== 8 + 2 * count || weight > maximumWeight || (sign !== 0 && sign !== negative)) return undefined
  const digits = (from: number, to: number): string => {
    let text = ''
    for (let place = from; place < to; place += 1) {
      text += String(place >= 0 && place < count ? value.readUInt16BE(8 + 2 * place) : 0).padStart(4, '0')
    }
    return text
  }
  const whole = digits(0, weight + 1).replace(/^0+(?=\d)/, '') || '0'
  const fraction = digits(weight + 1, weight + 1 + Math.ceil(scale / 4)).slice(0, scale)
  return `${sign === negative ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`
}
