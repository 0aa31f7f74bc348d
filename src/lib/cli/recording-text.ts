import type {AuditEvent} from '../audit/event.js'
import type {Format} from './flags.js'
import {jsonIndent, toJson, toYaml} from './output.js'
import {Playback} from './playback.js'

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
  try {
    for await (const text of rendered) {
      pending += text
      if (pending.length < pieceLength && !atOnce && !(isFirst && pending !== '')) continue
      yield pending
      isFirst = false
      pending = ''
    }
  } catch (error) {
    // What stands before the damage is there to be read.
    yield pending
    throw error
  }
  yield pending
}

async function* renderText(events: AsyncIterable<AuditEvent>): AsyncGenerator<string> {
  const playback = new Playback()
  for await (const event of events) yield playback.show(event)
}

async function* renderJson(events: AsyncIterable<AuditEvent>): AsyncGenerator<string> {
  const margin = ' '.repeat(jsonIndent)
  // With the first event: of what is no recording nothing is written.
  const beginning = '[\n'
  let separator = beginning
  for await (const event of events) {
    const json = toJson(sortKeys(event))
    yield separator + margin + json.replaceAll('\n', `\n${margin}`)
    separator = ',\n'
  }
  yield separator === beginning ? `${beginning}]\n` : '\n]\n'
}

async function* renderYaml(events: AsyncIterable<AuditEvent>): AsyncGenerator<string> {
  let separator = ''
  for await (const event of events) {
    yield separator + (await toYaml(sortKeys(event)))
    separator = '---\n'
  }
}

/** The guides print the keys of an object in their order. */
function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys)
  if (typeof value !== 'object' || value === null) return value
  const sorted = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1))
  return Object.fromEntries(sorted.map(([key, each]) => [key, sortKeys(each)]))
}
