import {PosternError} from './errors.js'

const unitMilliseconds = {ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000} as const
const part = /(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/gy

/**
 * Milliseconds of a duration in Go's notation: `30m`, `1h30m`, `12h0m0s`.
 * @throws PosternError INVALID when the text is not such a duration.
 */
export function parseDuration(text: string): number {
  const trimmed = text.trim()
  if (trimmed === '0') return 0
  let total = 0
  let end = 0
  part.lastIndex = 0
  for (let match = part.exec(trimmed); match; match = part.exec(trimmed)) {
    total += Number(match[1]) * unitMilliseconds[match[2] as keyof typeof unitMilliseconds]
    end = part.lastIndex
  }
  if (end === 0 || end !== trimmed.length || !Number.isSafeInteger(Math.round(total))) {
    throw new PosternError('INVALID', `"${text}" is not a duration.`, {hint: 'Write it like 30m, 12h or 1h30m.'})
  }
  return Math.round(total)
}

/** Milliseconds; `never` is 0. @throws PosternError INVALID */
export function parseTimeout(text: string): number {
  return text === 'never' ? 0 : parseDuration(text)
}

function split(milliseconds: number): {hours: number; minutes: number; seconds: number} {
  const seconds = Math.round(Math.max(milliseconds, 0) / 1000)
  return {hours: Math.floor(seconds / 3600), minutes: Math.floor((seconds % 3600) / 60), seconds: seconds % 60}
}

/** Go's own notation: `12h0m0s`, `30m0s`, `45s`. */
export function formatDuration(milliseconds: number): string {
  const {hours, minutes, seconds} = split(milliseconds)
  if (hours > 0) return `${hours}h${minutes}m${seconds}s`
  return minutes > 0 ? `${minutes}m${seconds}s` : `${seconds}s`
}

/** For people, without zero units: `12h`, `30m`, `1h30m`. */
export function formatShortDuration(milliseconds: number): string {
  const {hours, minutes, seconds} = split(milliseconds)
  const text = `${hours ? `${hours}h` : ''}${minutes ? `${minutes}m` : ''}${seconds ? `${seconds}s` : ''}`
  return text === '' ? '0s' : text
}

/** Whole words, for sentences: `30 minutes`, `1 hour`. */
export function describeDuration(milliseconds: number): string {
  const {hours, minutes, seconds} = split(milliseconds)
  const words: string[] = []
  if (hours) words.push(`${hours} hour${hours === 1 ? '' : 's'}`)
  if (minutes) words.push(`${minutes} minute${minutes === 1 ? '' : 's'}`)
  if (seconds || words.length === 0) words.push(`${seconds} second${seconds === 1 ? '' : 's'}`)
  return words.join(' ')
}
