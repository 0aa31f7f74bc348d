/** Dates, times and intervals: numbers of days and microseconds (PostgreSQL's date.c, timestamp.c, datetime.c). */

/** 2000-01-01, from which PostgreSQL counts. */
const epochMilliseconds = Date.UTC(2000, 0, 1)
const dayMilliseconds = 86_400_000
const dayMicroseconds = 86_400_000_000n
const secondMicroseconds = 1_000_000n
/** What a Date can hold. */
const maximumDays = 90_000_000

const int4 = {least: -0x8000_0000, greatest: 0x7fff_ffff} as const
const int8 = {least: -0x8000_0000_0000_0000n, greatest: 0x7fff_ffff_ffff_ffffn} as const

const twoDigits = (number: bigint | number): string => String(number).padStart(2, '0')

export function dateText(days: number): string | undefined {
  if (days === int4.greatest) return 'infinity'
  if (days === int4.least) return '-infinity'
  if (Math.abs(days) > maximumDays) return undefined
  return dayText(days)
}

/** `2026-11-20`, `0044-03-15 BC` */
function dayText(days: number): string {
  const date = new Date(epochMilliseconds + days * dayMilliseconds)
  const year = date.getUTCFullYear()
  const shownYear = String(year > 0 ? year : 1 - year).padStart(4, '0')
  const day = `${shownYear}-${twoDigits(date.getUTCMonth() + 1)}-${twoDigits(date.getUTCDate())}`
  return year > 0 ? day : `${day} BC`
}

/** `12:34:56.789` from microseconds since midnight. */
export function timeText(microseconds: bigint): string | undefined {
  return microseconds < 0n || microseconds > dayMicroseconds ? undefined : clockText(microseconds)
}

function clockText(microseconds: bigint): string {
  const seconds = microseconds / secondMicroseconds
  const time = [seconds / 3600n, (seconds / 60n) % 60n, seconds % 60n].map(twoDigits).join(':')
  const fraction = String(microseconds % secondMicroseconds)
    .padStart(6, '0')
    .replace(/0+$/, '')
  return fraction === '' ? time : `${time}.${fraction}`
}

/** @param zone seconds west of Greenwich, less than 16 hours */
export function timeWithZoneText(microseconds: bigint, zone: number): string | undefined {
  const time = timeText(microseconds)
  const distance = Math.abs(zone)
  if (time === undefined || distance >= 16 * 3600) return undefined
  const parts = [Math.floor(distance / 3600), Math.floor(distance / 60) % 60, distance % 60]
  while (parts.length > 1 && parts.at(-1) === 0) parts.pop()
  return `${time}${zone > 0 ? '-' : '+'}${parts.map(twoDigits).join(':')}`
}

export function timestampText(microseconds: bigint, zone = ''): string | undefined {
  if (microseconds === int8.greatest) return 'infinity'
  if (microseconds === int8.least) return '-infinity'
  const ofDay = ((microseconds % dayMicroseconds) + dayMicroseconds) % dayMicroseconds
  const days = Number((microseconds - ofDay) / dayMicroseconds)
  if (Math.abs(days) > maximumDays) return undefined
  const [day = '', era] = dayText(days).split(' ')
  return `${day} ${clockText(ofDay)}${zone}${era === undefined ? '' : ` ${era}`}`
}

/** Microseconds, days and months, each with a sign of its own: `1 year 2 mons -3 days +04:05:06.7`. */
export function intervalText(value: Buffer): string {
  const time = value.readBigInt64BE(0)
  const days = value.readInt32BE(8)
  const months = value.readInt32BE(12)
  if (time === int8.greatest && days === int4.greatest && months === int4.greatest) return 'infinity'
  if (time === int8.least && days === int4.least && months === int4.least) return '-infinity'
  const parts: string[] = []
  let afterNegative = false
  const units: readonly [number, string][] = [
    [Math.trunc(months / 12), 'year'],
    [months % 12, 'mon'],
    [days, 'day'],
  ]
  for (const [number, unit] of units) {
    if (number === 0) continue
    parts.push(`${afterNegative && number > 0 ? '+' : ''}${number} ${unit}${number === 1 ? '' : 's'}`)
    afterNegative = number < 0
  }
  if (time < 0n) parts.push(`-${clockText(-time)}`)
  else if (time > 0n || parts.length === 0) parts.push(`${afterNegative ? '+' : ''}${clockText(time)}`)
  return parts.join(' ')
}
