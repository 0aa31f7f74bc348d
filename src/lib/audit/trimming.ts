import {createHash} from 'node:crypto'

/** SQL as an event carries it. */
export interface SqlText {
  readonly text: string
  /** The text as the client sent it; needed where it is not UTF-8. */
  readonly bytes?: Buffer | undefined
  /** PostgreSQL's name of the encoding that the bytes are in, where that is not UTF-8. */
  readonly encoding?: string | undefined
  /** Hex SHA-256 of the whole text when `text` is not the whole. */
  readonly sha256?: string | undefined
}

/** Longer SQL is trimmed in events. */
const maximumSqlBytes = 65_536
/**
 * The control plane takes events up to 256 KiB, and JSON can make six bytes of one: nobody shall hide SQL behind that. What
 * an event holds beside its SQL is limited so that all of it fits.
 */
const maximumEncodedBytes = 131_072
/** Of all parameters, as JSON. */
export const maximumParameterBytes = 65_536

/** The text, or its beginning with the hash of the whole when it is too long for an event. */
export function trimSql({text, bytes, sha256}: SqlText): Pick<SqlText, 'text' | 'sha256'> {
  const trimmed = fit(cut(text, maximumSqlBytes), maximumEncodedBytes)
  if (trimmed.length === text.length) return {text, sha256}
  return {
    text: trimmed,
    sha256:
      sha256 ??
      createHash('sha256')
        .update(bytes ?? text)
        .digest('hex'),
  }
}

/** The beginning of a text that takes at most so many bytes of an event. */
export function trimText(text: string, maximumBytes: number): string {
  return fit(text, maximumBytes)
}

export interface TrimmedParameters {
  readonly parameters: readonly (string | null)[]
  readonly truncated: boolean
}

/** As many parameters as fit into an event, the last of them perhaps in part. */
export function trimParameters(parameters: readonly (string | null)[]): TrimmedParameters {
  let room = maximumParameterBytes
  const kept: (string | null)[] = []
  for (const parameter of parameters) {
    const fitting = parameter === null ? null : fit(parameter, room)
    room -= encodedBytes(fitting)
    if (room < 0) return {parameters: kept, truncated: true}
    kept.push(fitting)
    if (fitting?.length !== parameter?.length) return {parameters: kept, truncated: true}
  }
  return {parameters: kept, truncated: false}
}

/** The beginning of a text in so many bytes of UTF-8. */
function cut(text: string, limit: number): string {
  if (text.length * 3 <= limit || Buffer.byteLength(text) <= limit) return text
  const bytes = Buffer.from(text)
  // A character that the cut splits is left out.
  let end = limit
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return bytes.toString('utf8', 0, end)
}

/** The beginning of a text that takes so many bytes as JSON. */
function fit(text: string, limit: number): string {
  const mostPerUnit = 6
  if (text.length * mostPerUnit + 2 <= limit) return text
  let fitting = text
  for (let bytes = encodedBytes(fitting); bytes > limit; bytes = encodedBytes(fitting)) {
    const share = Math.max(0, limit - 2) / bytes
    fitting = fitting.slice(0, Math.floor(fitting.length * share)).replace(/[\ud800-\udbff]$/, '')
    if (fitting === '') return fitting
  }
  return fitting
}

function encodedBytes(value: string | null): number {
  return Buffer.byteLength(JSON.stringify(value))
}
