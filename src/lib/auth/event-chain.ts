/**
 * The chain of the audit log: events that were stored together get a seal, a link over the one before and their rows,
 * signed by the control plane. Whoever changes, removes, adds or moves a row breaks it. A seal also keeps a checksum of
 * each row, so that the row can be named: one that is forged to fit it still breaks the link.
 */
import {createHash, hash} from 'node:crypto'
import {setImmediate as othersTurn} from 'node:timers/promises'
import {crc32} from 'node:zlib'
import type {VerificationLine} from '../api/verification.js'
import {isSignedBy, type SealingKey, type SealKeys} from '../audit/seal.js'
import type {Backend, EventSeal, EventSealer, StoredEvent} from '../storage/backend.js'
import {readPrunedHead, type PrunedHead} from './pruned-head.js'

type Problem = Extract<VerificationLine, {type: 'problem'}>

/** Hex, of each row. */
const checksumCharacters = 8
const pageSize = 500
const rowsAtOnce = 200

/** What seals events, with this key. */
export function eventSealer(key: SealingKey): EventSealer {
  return (events, before) => {
    const rows = events.map(rowText)
    const seal = {
      number: (before?.number ?? 0) + 1,
      position: events.at(-1)?.position ?? 0,
      events: (before?.events ?? 0) + events.length,
    }
    const link = nextLink(seal, before, hashOf(rows))
    const signature = `${key.id}:${key.sign(signedText(link))}`
    return {...seal, link, checksums: rows.map(checksumOf).join(''), signature}
  }
}

/** A row as it is sealed. Lengths keep apart what texts of others could blur, and nothing from an empty text; the body is JSON on one line. */
function rowText({position, record}: StoredEvent): string {
  const {time, event, user, sid, ei = 'none', hash: told, body} = record
  const lengths = `${event.length} ${user?.length ?? -1} ${sid?.length ?? -1}`
  return `${position} ${time} ${sid ?? ''} ${ei} ${told} ${lengths}\n${event}${user ?? ''}\n${body}\n`
}

/** Of rows one behind the other. */
function hashOf(rows: readonly string[]): string {
  const all = createHash('sha256')
  for (const row of rows) all.update(row)
  return all.digest('hex')
}

const checksumOf = (row: string): string => crc32(row).toString(16).padStart(checksumCharacters, '0')

/** @param rows the hash of all rows together */
function nextLink(
  {number, position, events}: Pick<EventSeal, 'number' | 'position' | 'events'>,
  before: Pick<EventSeal, 'link'> | undefined,
  rows: string,
): string {
  return hash('sha256', `${before?.link ?? ''}\n${number}\n${position}\n${events}\n${rows}`)
}

const signedText = (link: string): string => `postern events\n${link}`

/** A seal as people write it down, to ask for it later. */
export function formatHead({number, link}: Pick<EventSeal, 'number' | 'link'>): string {
  return `${number}:${link}`
}

/** What was looked at. */
export interface EventChainVerdict {
  readonly events: number
  readonly head: string | undefined
  /** Events that were removed as too old, and than what, RFC 3339; absent when none were. */
  readonly removed?: number
  readonly older_than?: string
}

export interface EventChainOptions {
  readonly backend: Backend
  readonly keys: SealKeys
  /** A head that was written down: it must be in the chain. */
  readonly head?: string | undefined
}

/** What a seal goes on from: the one before, or the head of what was removed. */
type SealBefore = Pick<EventSeal, 'number' | 'position' | 'events' | 'link'>

/** Walks the log beside its seals, from the oldest that is kept. */
export async function* verifyEvents(options: EventChainOptions): AsyncGenerator<Problem, EventChainVerdict> {
  const {backend, keys, head} = options
  const pruned = await readPrunedHead(backend, keys)
  const rows = new Rows(backend, await beginOf(backend, pruned))
  const stray = pruned && (await backend.storedEvents({after: 0, limit: 1}))[0]
  if (stray && stray.position <= pruned.position) yield problem(stray.position, 'This event does not belong here.')
  let before: SealBefore | undefined = pruned
  let isFound = pruned !== undefined && formatHead(pruned) === head
  for (;;) {
    const page = await backend.listEventSeals({after: before?.number ?? 0, limit: pageSize})
    for (const seal of page) {
      const flaw = sealFlaw(seal, before, await rows.upTo(seal.position), keys)
      if (flaw) {
        // What is removed meanwhile is not missing.
        const now = await readPrunedHead(backend, keys)
        if (now && now.number > (pruned?.number ?? 0)) return yield* verifyEvents(options)
        yield flaw
      }
      isFound ||= formatHead(seal) === head
      before = seal
    }
    if (page.length > 0) continue
    const [stray] = await backend.storedEvents({after: rows.position, limit: 1})
    // It is stored together with its seal: if that is not there now, it never was.
    const isSealed = (await backend.listEventSeals({after: before?.number ?? 0, limit: 1})).length > 0
    if (isSealed) continue
    if (stray) yield problem(stray.position, 'From here on nothing is sealed.')
    break
  }
  if (head !== undefined && !isFound) yield problem(before?.position ?? 0, missingHead(head, pruned))
  return {
    events: rows.count,
    head: before && formatHead(before),
    ...(pruned && {removed: pruned.events, older_than: new Date(pruned.olderThan).toISOString()}),
  }
}

function missingHead(head: string, pruned: PrunedHead | undefined): string {
  if (pruned && Number.parseInt(head, 10) < pruned.number)
    return `Whether the log held ${head} cannot be told any more: its events up to ${formatHead(pruned)} were removed as too old.`
  return `The log does not hold ${head}: its end was cut, or it is not that log.`
}

/**
 * The seals whose events, and those of all before, arrived before a moment, the oldest first. It ends with what is not as it
 * was sealed.
 */
export async function* sealsBefore(
  {backend, keys}: Omit<EventChainOptions, 'head'>,
  moment: number,
): AsyncGenerator<PrunedHead, Problem | undefined> {
  const pruned = await readPrunedHead(backend, keys)
  const rows = new Rows(backend, await beginOf(backend, pruned))
  let before: SealBefore | undefined = pruned
  for (;;) {
    const page = await backend.listEventSeals({after: before?.number ?? 0, limit: pageSize})
    for (const seal of page) {
      const found = await rows.upTo(seal.position)
      const flaw = sealFlaw(seal, before, found, keys)
      if (flaw) return flaw
      if (found.events.some((event) => arrivalOf(event) >= moment)) return undefined
      const {number, position, events, link} = seal
      yield {number, position, events, link, olderThan: moment}
      before = seal
    }
    if (page.length === 0) return undefined
  }
}

/** Behind which position events are sealed. */
async function beginOf(backend: Backend, pruned: PrunedHead | undefined): Promise<number> {
  return pruned?.position ?? (await backend.sealedFrom())
}

/** When the control plane had an event, by its own clock; what an agent says of the time is not asked. */
function arrivalOf({record: {time, body}}: StoredEvent): number {
  try {
    const {received_at: received} = JSON.parse(body) as {readonly received_at?: unknown}
    return typeof received === 'string' ? Date.parse(received) : time
  } catch {
    return time
  }
}

/** The first thing that is wrong with the events of a seal, or with the seal. */
function sealFlaw(
  seal: EventSeal,
  before: SealBefore | undefined,
  rows: SealedRows,
  keys: SealKeys,
): Problem | undefined {
  const {number, position, events} = seal
  const expected = (before?.number ?? 0) + 1
  if (number !== expected) {
    const missing = expected === number - 1 ? `Seal ${expected} is` : `The seals ${expected}–${number - 1} are`
    return problem(position, `${missing} missing: what was sealed there is not known.`)
  }
  const flaw = rowFlaw(seal, rows)
  if (flaw) return flaw
  const sealed = (before?.events ?? 0) + rows.checksums.length
  if (events !== sealed || nextLink(seal, before, rows.hash) !== seal.link) {
    return problem(position, `The link of seal ${number} is broken: what it sealed is not what stands before it.`)
  }
  const [key = '', signature = ''] = seal.signature.split(':')
  const isSigned = isSignedBy(signedText(seal.link), {key, signature}, keys)
  return isSigned ? undefined : problem(position, `The signature of seal ${number} is not valid.`)
}

/** The first row that is not the one that was sealed. */
function rowFlaw({checksums, position}: EventSeal, {checksums: found, positions}: SealedRows): Problem | undefined {
  const sealed = checksums.match(new RegExp(`.{${checksumCharacters}}`, 'g')) ?? []
  const missing = sealed.length - found.length
  const first = sealed.findIndex((checksum, index) => checksum !== found[index])
  const index = first < 0 && missing < 0 ? sealed.length : first
  if (index < 0) return undefined
  const place = positions[index]
  if (place === undefined) return problem(position, `Here ${counted(missing)} missing.`)
  if (missing > 0) return problem(place, `Before this event ${counted(missing)} missing.`)
  if (missing < 0) return problem(place, 'This event does not belong here.')
  return problem(place, 'This event is not the one that was sealed.')
}

const counted = (number: number): string => (number === 1 ? '1 event is' : `${number} events are`)

function problem(position: number, sentence: string): Problem {
  return {type: 'problem', subject: 'event', id: String(position), problem: sentence}
}

/** What stands where a seal says that its events are. */
interface SealedRows {
  readonly events: readonly StoredEvent[]
  readonly positions: readonly number[]
  readonly checksums: readonly string[]
  /** Of all together. */
  readonly hash: string
}

/** The rows of the log in their order. */
class Rows {
  /** Of the last one that was taken. */
  position: number
  count = 0
  readonly #backend: Backend
  /** Read and not taken. */
  #ahead: StoredEvent[] = []
  #read: number

  constructor(backend: Backend, after: number) {
    this.#backend = backend
    this.position = after
    this.#read = after
  }

  async upTo(position: number): Promise<SealedRows> {
    const events: StoredEvent[] = []
    const positions: number[] = []
    const checksums: string[] = []
    const hash = createHash('sha256')
    for (let row = await this.#next(position); row; row = await this.#next(position)) {
      const text = rowText(row)
      events.push(row)
      positions.push(row.position)
      checksums.push(checksumOf(text))
      hash.update(text)
    }
    this.count += positions.length
    this.position = Math.max(this.position, position)
    return {events, positions, checksums, hash: hash.digest('hex')}
  }

  async #next(position: number): Promise<StoredEvent | undefined> {
    if (this.#ahead.length === 0) {
      // The database answers in this thread, and a log is long: others have their turn between its pages.
      await othersTurn()
      this.#ahead = (await this.#backend.storedEvents({after: this.#read, limit: rowsAtOnce})).reverse()
      this.#read = this.#ahead[0]?.position ?? this.#read
    }
    return (this.#ahead.at(-1)?.position ?? Infinity) <= position ? this.#ahead.pop() : undefined
  }
}
