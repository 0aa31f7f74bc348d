import type {AuditEvent} from '../audit/event.js'
import type {Format} from './flags.js'
import {Playback} from './playback.js'

const jsonIndent = 4
/** Text is handed on in pieces of about this size. */
const pieceLength = 65_536

/** A recording in the wanted format, in pieces. @param atOnce hands on each event as it comes */
export async function* renderRecording(
  format: Format,
  events: AsyncIterable<AuditEvent>,
  {atOnce = false}: {readonly atOnce?: boolean} = {},
): AsyncGenerator<string> {
  const rendered = format === 'text' ? renderText(events) : format === 'json' ? renderJson(events) : renderYaml(events)
  let pending = ''
  // The beginning is there at once, however long the rest takes.
  let isFirst = true
  for await (const text of rendered) {
    pending += text
    if (pending.length < pieceLength && !atOnce && !(isFirst && pending !== '')) continue
    yield pending
    isFirst = false
    pending = ''
  }
  yield pending
}

async function* renderText(events: AsyncIterable<AuditEvent>): AsyncGenerator<string> {
  const playback = new Playback()
  for await (const event of events) yield playback.show(event)
}

async function* renderJson(events: AsyncIterable<AuditEvent>): AsyncGenerator<string> {
  const margin = ' '.repeat(jsonIndent)
  let separator = ''
  yield '[\n'
  for await (const event of events) {
    const json = escapeUnprintable(JSON.stringify(sortKeys(event), null, jsonIndent))
    yield separator + margin + json.replaceAll('\n', `\n${margin}`)
    separator = ',\n'
  }
  yield separator === '' ? ']\n' : '\n]\n'
}

async function* renderYaml(events: AsyncIterable<AuditEvent>): AsyncGenerator<string> {
  const {stringify} = await import('yaml')
  let separator = ''
  for await (const event of events) {
    // Only between double quotes YAML has escapes; JSON puts every text there.
    const json = JSON.stringify(sortKeys(event))
    const plain = escapeUnprintable(json) === json
    const options = plain ? {} : ({defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'PLAIN'} as const)
    yield separator + escapeUnprintable(stringify(sortKeys(event), {lineWidth: 0, ...options}))
    separator = '---\n'
  }
}

/** What could move the cursor of a terminal, or hide, becomes an escape that JSON and YAML read back. */
function escapeUnprintable(text: string): string {
  return text.replace(/(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (characters) =>
    [...Array(characters.length).keys()]
      .map((index) => `\\u${characters.charCodeAt(index).toString(16).padStart(4, '0')}`)
      .join(''),
  )
}

/** The guides print the keys of an object in their order. */
function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys)
  if (typeof value !== 'object' || value === null) return value
  const sorted = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1))
  return Object.fromEntries(sorted.map(([key, each]) => [key, sortKeys(each)]))
}
