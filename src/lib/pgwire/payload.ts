import {isUtf8} from 'node:buffer'

/** A message's payload as far as it was captured. */
export interface Payload {
  readonly payload: Buffer
  /** Bytes of the whole payload on the wire; larger than `payload.length` when the capture was cut. */
  readonly size: number
}

/** Bytes as text. @param isCut the text goes on: an incomplete character at the end is left out */
export type DecodeText = (bytes: Buffer, isCut?: boolean) => string

/**
 * UTF-8 as text, so that different bytes never become the same text: what is not UTF-8 is kept byte for byte. Statement
 * names are compared by it.
 */
export const decodeText: DecodeText = (bytes, isCut = false) => {
  const whole = isCut ? wholeCharacters(bytes) : bytes
  return isUtf8(whole) ? whole.toString('utf8') : keepBytes(whole)
}

/**
 * Bytes that are no text we can read: each one above 0x7f becomes a lone surrogate (as in Python's PEP 383), which no text
 * decodes to.
 */
export function keepBytes(bytes: Buffer): string {
  return bytes
    .toString('latin1')
    .replace(/[\u0080-\u00ff]/g, (character) => String.fromCharCode(0xdc00 + character.charCodeAt(0)))
}

/** The bytes without a last character that a cut left incomplete. */
function wholeCharacters(bytes: Buffer): Buffer {
  const longestPart = 3
  for (let back = 1; back <= Math.min(longestPart, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0
    const isContinuation = (byte & 0xc0) === 0x80
    if (isContinuation) continue
    const characterBytes = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
    return characterBytes > back ? bytes.subarray(0, bytes.length - back) : bytes
  }
  return bytes
}

/**
 * Reads fields from a payload and never past it. A field that is not there reads as empty; the reader asks once, at the
 * end, whether all was well: `finish` gives the value, or undefined when the payload lied about itself. Running into the
 * end of a cut capture is no lie; a field cut there is given as far as it was captured.
 */
export class PayloadCursor {
  readonly #bytes: Buffer
  readonly #cut: boolean
  readonly #decode: DecodeText
  #offset = 0
  #stopped = false
  #lied = false

  /** @param decode reads its texts */
  constructor({payload, size}: Payload, decode = decodeText) {
    this.#bytes = payload
    this.#decode = decode
    this.#cut = payload.length < size
  }

  /** Whether a field could not be read; ends loops over counts that the sender chose. */
  get stopped(): boolean {
    return this.#stopped
  }

  uint8(): number {
    return this.#take(1)?.readUInt8() ?? 0
  }

  uint16(): number {
    return this.#take(2)?.readUInt16BE() ?? 0
  }

  int32(): number {
    return this.#take(4)?.readInt32BE() ?? 0
  }

  uint32(): number {
    return this.#take(4)?.readUInt32BE() ?? 0
  }

  bytes(length: number): Buffer {
    return this.#take(length) ?? this.#leftover()
  }

  rest(): Buffer {
    return this.bytes(this.#bytes.length - this.#offset)
  }

  /** Text up to its NUL. */
  text(): string {
    return this.decoded(this.textBytes())
  }

  /** The field that was just read, as text. */
  decoded(bytes: Buffer): string {
    return this.#decode(bytes, this.#stopped)
  }

  /** The bytes of a text up to its NUL. */
  textBytes(): Buffer {
    const end = this.#bytes.indexOf(0, this.#offset)
    if (end >= 0) {
      const bytes = this.#bytes.subarray(this.#offset, end)
      this.#offset = end + 1
      return bytes
    }
    this.#runOut()
    return this.#leftover()
  }

  /** For a value that no honest sender writes. */
  reject(): void {
    this.#stopped = true
    this.#lied = true
  }

  finish<T>(value: T): T | undefined {
    const read = this.#cut || this.#offset === this.#bytes.length
    return this.#lied || !read ? undefined : value
  }

  #take(length: number): Buffer | undefined {
    const end = this.#offset + length
    if (length < 0) this.reject()
    else if (end > this.#bytes.length) this.#runOut()
    if (this.#stopped) return undefined
    const bytes = this.#bytes.subarray(this.#offset, end)
    this.#offset = end
    return bytes
  }

  #runOut(): void {
    this.#stopped = true
    if (!this.#cut) this.#lied = true
  }

  #leftover(): Buffer {
    const bytes = this.#bytes.subarray(this.#offset)
    this.#offset = this.#bytes.length
    return bytes
  }
}
