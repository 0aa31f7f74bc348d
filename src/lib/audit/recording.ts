/**
 * The recording of a session, a stream of lines: its head, and then every event of the session in order, those of the audit
 * log and those that only a recording has (client contract, chapter 7).
 *
 *   {"recording":1,"sid":"…","server_id":"…","cluster_name":"…"}
 *   {"ei":0,"event":"db.session.start",…}
 *   {"ei":1,"event":"db.session.sql.part","part_of":1,…,"data":"…"}      SQL that is too long for an event
 *   {"ei":2,"event":"db.session.query",…,"db_query_truncated":true,"db_query_sha256":"…","db_query_parts":1}
 *   {"ei":3,"event":"db.session.end",…}
 *   {"seal":1,"records":4,…}                                  what vouches for the lines before it (audit/seal.ts)
 *
 * A session counts its events without a gap. So a recording is complete when they are all there, up to the end.
 */
import {createHash} from 'node:crypto'
import {PosternError} from '../core/errors.js'
import {isNestedDeeper} from '../core/nesting.js'
import type {AuditEvent} from './event.js'
import {isSeal} from './seal.js'

const version = 1
const newline = 0x0a

/** Longer lines are in no recording of ours: the control plane takes events of 256 KiB. */
const maximumLineBytes = 1024 * 1024
/** Of all statements that are kept; V8 makes no text of 512 MiB. */
const maximumSqlBytes = 256 * 1024 * 1024
/** More than any event has of objects and lists inside of one another. */
const maximumLevels = 32
/** Long statements that are kept for their next execution. */
const maximumTexts = 16

export interface RecordingHead {
  readonly sid: string
  /** The host that recorded it. */
  readonly serverId: string
  readonly cluster: string
}

/** The first line, without its end. */
export function formatHead({sid, serverId, cluster}: RecordingHead): string {
  return JSON.stringify({recording: version, sid, server_id: serverId, cluster_name: cluster})
}

/** @throws PosternError INVALID when it is none, or one of a later version */
export function parseHead(line: string): RecordingHead {
  const {recording, sid, server_id, cluster_name} = parseLine(line, 1)
  if (typeof recording !== 'number') throw notRecording()
  if (recording > version) {
    throw new PosternError('INVALID', 'The recording is from a later version of Postern.', {
      hint: 'Play it with that version.',
    })
  }
  return {sid: String(sid), serverId: String(server_id), cluster: String(cluster_name)}
}

interface ReadingOptions {
  /** Turns the bytes of SQL into text; `encoding` is PostgreSQL's name of theirs, where that is not UTF-8. */
  readonly decodeSql: (bytes: Buffer, encoding: string | undefined) => string
  /** Hears, in one sentence each, what the recording lacks. */
  readonly onFlaw: (flaw: string) => void
}

/**
 * The events of a recording, one at a time; pieces of long SQL are put together, and the event has all of it.
 * @throws PosternError INVALID where it is no recording, or damaged
 */
export async function* readRecording(
  chunks: AsyncIterable<Buffer>,
  {decodeSql, onFlaw}: ReadingOptions,
): AsyncGenerator<AuditEvent> {
  const sql = new LongSql()
  let number = 0
  let next = 0
  let ended = false
  for await (const line of readLines(chunks, onFlaw)) {
    number += 1
    if (number === 1) {
      parseHead(line)
      continue
    }
    if (isSeal(line)) continue
    const event = parseLine(line, number)
    const ei = Number(event.ei)
    if (ei !== next) onFlaw(`Before event ${ei} there are events missing from the recording.`)
    next = ei + 1
    ended = event.event === 'db.session.end'
    if (event.event === 'db.session.sql.part') sql.add(event)
    else yield sql.complete(event, decodeSql, onFlaw)
  }
  if (number === 0) throw notRecording()
  if (!ended) onFlaw('The recording does not reach the end of the session.')
}

/** Long SQL, by the number of its text. */
class LongSql {
  /** The newest last: a prepared statement can be executed many times, and others in between. */
  readonly #texts = new Map<unknown, Buffer[]>()
  #bytes = 0

  add({part_of: text, data}: AuditEvent): void {
    const piece = Buffer.from(String(data), 'base64')
    this.#bytes += piece.length
    const pieces = this.#texts.get(text)
    if (pieces) pieces.push(piece)
    else this.#texts.set(text, [piece])
    for (const oldest of this.#texts.keys()) {
      if (this.#texts.size <= maximumTexts && this.#bytes <= maximumSqlBytes) return
      for (const {length} of this.#texts.get(oldest) ?? []) this.#bytes -= length
      this.#texts.delete(oldest)
    }
  }

  /** The event with the whole of its SQL, if the pieces are that. */
  complete(event: AuditEvent, decode: ReadingOptions['decodeSql'], onFlaw: (flaw: string) => void): AuditEvent {
    if (event.db_query_truncated !== true) return event
    const whole = Buffer.concat(this.#texts.get(event.db_query_parts) ?? [])
    if (createHash('sha256').update(whole).digest('hex') !== event.db_query_sha256) {
      onFlaw(`Of the SQL of event ${String(event.ei)} the recording has only the beginning.`)
      return event
    }
    const own = new Set(['db_query_truncated', 'db_query_parts'])
    const {db_query_encoding: encoding} = event
    const complete = {...event, db_query: decode(whole, typeof encoding === 'string' ? encoding : undefined)}
    return Object.fromEntries(Object.entries(complete).filter(([name]) => !own.has(name)))
  }
}

/** Whole lines; a torn last one is a flaw. @throws PosternError INVALID when one is longer than any of ours */
export async function* readLines(
  chunks: AsyncIterable<Buffer>,
  onFlaw: (flaw: string) => void,
): AsyncGenerator<string> {
  let pending: Buffer[] = []
  let size = 0
  for await (const chunk of chunks) {
    let start = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      yield Buffer.concat([...pending, chunk.subarray(start, end)]).toString('utf8')
      pending = []
      size = 0
      start = end + 1
    }
    pending.push(chunk.subarray(start))
    size += chunk.length - start
    if (size > maximumLineBytes) throw notRecording()
  }
  if (size > 0) onFlaw('The recording ends in the middle of a line.')
}

function parseLine(line: string, number: number): AuditEvent {
  try {
    const value: unknown = JSON.parse(line)
    const isEvent = typeof value === 'object' && value !== null && !Array.isArray(value)
    if (isEvent && !isNestedDeeper(value, maximumLevels)) return value as AuditEvent
  } catch (error) {
    if (number === 1) throw notRecording(error)
    throw damaged(number, error)
  }
  throw number === 1 ? notRecording() : damaged(number)
}

function damaged(number: number, cause?: unknown): PosternError {
  return new PosternError('INVALID', `Line ${number} of the recording is damaged.`, {cause})
}

function notRecording(cause?: unknown): PosternError {
  return new PosternError('INVALID', 'This is not the recording of a session.', {cause})
}
