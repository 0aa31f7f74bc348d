import {createHash, type Hash} from 'node:crypto'
import {frontend} from './message-types.js'

/** Texts in front of the SQL: a Parse names its statement first. */
const textsBefore: ReadonlyMap<number, number> = new Map([
  [frontend.query, 0],
  [frontend.parse, 1],
])

/** SQL that is too long to be kept: its pieces as its message passes by, and at the end the SHA-256 of the whole. */
export class SqlDigest {
  #hash: Hash | undefined
  #textsToSkip = 0

  /** Takes the next piece of a message's payload, `offset` 0 begins a new message; the SQL in it, undefined for none. */
  update(type: number, piece: Buffer, offset: number): Buffer | undefined {
    if (offset === 0) {
      const before = textsBefore.get(type)
      this.#hash = before === undefined ? undefined : createHash('sha256')
      this.#textsToSkip = before ?? 0
    }
    let rest = piece
    while (this.#hash && this.#textsToSkip >= 0) {
      const end = rest.indexOf(0)
      if (this.#textsToSkip === 0) {
        const sql = end < 0 ? rest : rest.subarray(0, end)
        this.#hash.update(sql)
        if (end >= 0) this.#textsToSkip -= 1
        return sql.length > 0 ? sql : undefined
      }
      if (end < 0) break
      this.#textsToSkip -= 1
      rest = rest.subarray(end + 1)
    }
    return undefined
  }

  /** In hex; undefined when the message holds no SQL. */
  finish(): string | undefined {
    const digest = this.#hash?.digest('hex')
    this.#hash = undefined
    return digest
  }
}
