/**
 * Walks a stream of typed messages by their headers without changing, copying or joining its chunks:
 *
 *   chunk ──► Q len=17 ············ S len=4 B len=90 ········│ next chunk ──► ······ E len=9 ·····
 *             └ frame, whole in the chunk: zero-copy payload  └ frame, in two pieces: payload gathered, capped
 *
 * The relay forwards the same chunks. What a walk reports as `safe` may be sent on: bytes of a message whose header is
 * impossible are not (PostgreSQL documentation, "Message Flow" and "Message Formats"; smuggling: both ends must agree on
 * where a message ends). At most 4 bytes of such a header may have gone out with an earlier chunk, which is no message yet.
 */
import {describeType} from './message-types.js'
import type {Payload} from './payload.js'

/** A message that passed by. */
export interface Frame extends Payload {
  readonly type: number
  /** Offset in the walked chunk of the first byte after this message. */
  readonly end: number
}

/** Why a stream cannot be a PostgreSQL session any more. */
export interface Violation {
  /** One sentence. */
  readonly reason: string
  readonly sqlState: '08P01'
}

export interface Walked {
  /** Leading bytes of the chunk that may be forwarded: all of it, or up to the message that violates the protocol. */
  readonly safe: number
  readonly violation?: Violation
}

/** What to do with messages of one type. */
export interface FrameRule {
  /** Largest legal length field, which counts itself. */
  readonly maximumLength: number
  /** `skip`: not reported; `header`: reported with an empty payload; `capture`: reported with its payload. */
  readonly report: 'skip' | 'header' | 'capture'
  /** Messages of this type are counted under this number, 1 to 7; those without one are not counted. */
  readonly counter?: number
}

export interface FrameRules {
  /** Who sends, for sentences: `client` or `server`. */
  readonly sender: string
  /** Bytes of payload kept of one message; the rest passes by unseen. */
  readonly captureBytes: number
  /** The rule of a type byte; undefined makes the type a violation. */
  readonly ruleOf: (type: number) => FrameRule | undefined
  /** Sees each piece of a payload that is captured but too large to be kept whole; `offset` is its place in the payload. */
  readonly onOversize?: (type: number, piece: Buffer, offset: number) => void
}

const headerBytes = 5
const smallestLength = 4
const typeCount = 256
const counterCount = 8
const smallestGatherBytes = 1024
const nothing = Buffer.alloc(0)

/** What the rules say, by type byte. */
interface RuleTables {
  /** 0 marks a type that must not appear. */
  readonly maximumLength: Uint32Array
  readonly reported: Uint8Array
  readonly captured: Uint8Array
  /** 0 for those that nobody asks for. */
  readonly counter: Uint8Array
}

/** Sessions are many and rules few: each session's own tables were 3 kB of its memory. */
const knownTables = new WeakMap<FrameRules['ruleOf'], RuleTables>()

function tablesOf(ruleOf: FrameRules['ruleOf']): RuleTables {
  const known = knownTables.get(ruleOf)
  if (known) return known
  const tables: RuleTables = {
    maximumLength: new Uint32Array(typeCount),
    reported: new Uint8Array(typeCount),
    captured: new Uint8Array(typeCount),
    counter: new Uint8Array(typeCount),
  }
  for (let type = 0; type < typeCount; type += 1) {
    const rule = ruleOf(type)
    if (!rule) continue
    tables.maximumLength[type] = rule.maximumLength
    tables.reported[type] = rule.report === 'skip' ? 0 : 1
    tables.captured[type] = rule.report === 'capture' ? 1 : 0
    tables.counter[type] = rule.counter ?? 0
  }
  knownTables.set(ruleOf, tables)
  return tables
}

export class FrameWalker {
  readonly #sender: string
  readonly #captureBytes: number
  readonly #onOversize: FrameRules['onOversize']
  readonly #maximumLength: Uint32Array
  readonly #reported: Uint8Array
  readonly #captured: Uint8Array
  readonly #counter: Uint8Array
  /** By counter, the messages; and behind them, by counter, the bytes of their payloads. */
  readonly #counts = new Float64Array(2 * counterCount)

  /** The header that a chunk's end cut off. */
  readonly #header = Buffer.alloc(headerBytes)
  #headerFill = 0
  /** Bytes of the current message's payload still to come; -1 between messages. */
  #remaining = -1
  #type = 0
  #size = 0
  #gathered = nothing
  #gatheredFill = 0
  #violation: Violation | undefined

  constructor(rules: FrameRules) {
    this.#sender = rules.sender
    this.#captureBytes = rules.captureBytes
    this.#onOversize = rules.onOversize
    const {maximumLength, reported, captured, counter} = tablesOf(rules.ruleOf)
    this.#maximumLength = maximumLength
    this.#reported = reported
    this.#captured = captured
    this.#counter = counter
  }

  /** Messages so far that are counted under a number; while one is visited, those before it. */
  count(counter: number): number {
    return this.#counts[counter] ?? 0
  }

  /** Bytes of their payloads. */
  payloadBytes(counter: number): number {
    return this.#counts[counterCount + counter] ?? 0
  }

  /** Whether the stream stands between two messages: the only place to insert one, or to end without a loss. */
  get atBoundary(): boolean {
    return this.#remaining < 0 && this.#headerFill === 0
  }

  /**
   * Walks the stream's next chunk and visits the messages that end in it and are to be reported. A payload is part of the
   * chunk where possible, so it is valid as long as the chunk is. After a violation nothing is safe any more. Never
   * throws by itself; what `visit` throws passes through.
   */
  walk(chunk: Buffer, visit: (frame: Frame) => void): Walked {
    let offset = 0
    let boundary = 0
    while (offset < chunk.length && !this.#violation) {
      if (this.#remaining < 0) {
        if (this.#headerFill === 0) offset = boundary = this.#skipUnreported(chunk, offset)
        offset = this.#readHeader(chunk, offset)
        if (this.#remaining < 0) continue
      }
      const start = offset
      offset = Math.min(chunk.length, start + this.#remaining)
      this.#remaining -= offset - start
      const whole = offset - start === this.#size
      if (this.#captured[this.#type] === 1) {
        if (!whole) this.#gather(chunk, start, offset)
        if (this.#size > this.#captureBytes) {
          this.#onOversize?.(this.#type, chunk.subarray(start, offset), this.#size - this.#remaining - (offset - start))
        }
      }
      if (this.#remaining > 0) break
      this.#remaining = -1
      this.#add(this.#type, this.#size)
      boundary = offset
      if (this.#reported[this.#type] === 1) {
        const payload = whole ? this.#wholePayload(chunk, start) : this.#takeGathered()
        visit({type: this.#type, size: this.#size, payload, end: offset})
      }
    }
    return this.#violation ? {safe: boundary, violation: this.#violation} : {safe: chunk.length}
  }

  /** The common case, kept tight: messages that lie whole in the chunk and interest nobody. */
  #skipUnreported(chunk: Buffer, from: number): number {
    let offset = from
    while (offset + headerBytes <= chunk.length) {
      const type = chunk[offset] ?? 0
      const length = chunk.readUInt32BE(offset + 1)
      const end = offset + 1 + length
      const ordinary = length >= smallestLength && length <= (this.#maximumLength[type] ?? 0)
      if (!ordinary || this.#reported[type] === 1 || end > chunk.length) break
      this.#add(type, length - smallestLength)
      offset = end
    }
    return offset
  }

  #add(type: number, size: number): void {
    const counter = this.#counter[type] ?? 0
    if (counter === 0) return
    this.#counts[counter] = (this.#counts[counter] ?? 0) + 1
    this.#counts[counterCount + counter] = (this.#counts[counterCount + counter] ?? 0) + size
  }

  /** Takes what there is of a header. */
  #readHeader(chunk: Buffer, offset: number): number {
    if (this.#headerFill === 0 && offset + headerBytes <= chunk.length) {
      this.#open(chunk[offset] ?? 0, chunk.readUInt32BE(offset + 1))
      return offset + headerBytes
    }
    const taken = chunk.copy(this.#header, this.#headerFill, offset, offset + headerBytes - this.#headerFill)
    this.#headerFill += taken
    if (this.#headerFill === headerBytes) {
      this.#headerFill = 0
      this.#open(this.#header.readUInt8(0), this.#header.readUInt32BE(1))
    } else if (taken > 0) this.#checkType(this.#header.readUInt8(0))
    return offset + taken
  }

  /** Opens the message of a complete header, or notes the violation. */
  #open(type: number, length: number): void {
    if (!this.#checkType(type)) return
    if (length < smallestLength || length > (this.#maximumLength[type] ?? 0)) {
      this.#violate(`a message of type ${describeType(type)} with the impossible length ${length}`)
      return
    }
    this.#type = type
    this.#size = this.#remaining = length - smallestLength
  }

  #checkType(type: number): boolean {
    const known = this.#maximumLength[type] !== 0
    if (!known) this.#violate(`a message of the unknown type ${describeType(type)}`)
    return known
  }

  #violate(what: string): void {
    this.#violation = {reason: `The ${this.#sender} sent ${what}.`, sqlState: '08P01'}
  }

  #wholePayload(chunk: Buffer, start: number): Buffer {
    if (this.#captured[this.#type] === 0) return nothing
    return chunk.subarray(start, start + Math.min(this.#size, this.#captureBytes))
  }

  /** Keeps a piece of a payload that comes in several. Room grows with what has arrived, never with what was announced. */
  #gather(chunk: Buffer, start: number, end: number): void {
    const fill = Math.min(this.#captureBytes, this.#gatheredFill + end - start)
    if (fill > this.#gathered.length) {
      const room = Math.min(this.#captureBytes, Math.max(smallestGatherBytes, fill, this.#gathered.length * 2))
      const larger = Buffer.alloc(room)
      this.#gathered.copy(larger, 0, 0, this.#gatheredFill)
      this.#gathered = larger
    }
    chunk.copy(this.#gathered, this.#gatheredFill, start, start + fill - this.#gatheredFill)
    this.#gatheredFill = fill
  }

  #takeGathered(): Buffer {
    const payload = this.#gathered.subarray(0, this.#gatheredFill)
    this.#gathered = nothing
    this.#gatheredFill = 0
    return payload
  }
}
