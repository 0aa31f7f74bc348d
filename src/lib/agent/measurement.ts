import type {Statement} from '../audit/statement.js'
import type {Clock} from '../core/clock.js'
import {counters} from '../pgwire/server-stream.js'

/** What passes on the wire, as far as it is counted there. */
export interface Passed {
  /** Messages of the server under one of `counters`. */
  count(counter: number): number
  /** Bytes of COPY data, from the server and from the client. */
  copiedOut(): number
  copiedIn(): number
}

/** How long a statement takes and what it moves: the server answers one after the other, so what passes belongs to one. */
export class Measurement {
  /** Bytes of COPY data before the client's message that is read now. */
  copied = 0
  readonly #clock: Clock
  readonly #passed: Passed
  /** The server's bytes and rows up to here belong to statements that are done with. */
  #bytes = 0
  #rows = 0
  #copiedOutBefore = 0
  /** What the client asked for last: COPY data that it sends now is for that. */
  #newest: Statement | undefined

  constructor(clock: Clock, passed: Passed) {
    this.#clock = clock
    this.#passed = passed
  }

  /** Rows since the answer before. */
  get rows(): number {
    return this.#passed.count(counters.dataRow) - this.#rows
  }

  begin(statement: Statement): void {
    statement.startedAt = this.#clock.monotonic()
    if (this.#newest) this.#newest.copiedAfter = this.copied
    this.#newest = statement
    statement.copiedBefore = this.copied
  }

  copyBegan(statement: Statement | undefined, direction: NonNullable<Statement['copy']>): void {
    // A query can have several, in either direction.
    if (statement?.copy === undefined) this.#copiedOutBefore = this.#passed.copiedOut()
    if (statement) statement.copy = (statement.copy ?? direction) === direction ? direction : 'both'
  }

  /** An answer to the statement. @param offset of its end among all bytes of the server */
  answered(statement: Statement, offset: number): void {
    statement.endedAt = this.#clock.monotonic()
    statement.bytesFromServer += offset - this.#bytes
    this.#passOver(offset)
    if (statement.copy === undefined) return
    const {copiedBefore, copiedAfter = this.#passed.copiedIn()} = statement
    const copiedIn = statement.copy === 'out' ? 0 : copiedAfter - copiedBefore
    const copiedOut = statement.copy === 'in' ? 0 : this.#passed.copiedOut() - this.#copiedOutBefore
    statement.copyBytes = copiedIn + copiedOut
  }

  /** The server waits for the client: nothing more comes for what it has answered, and idle sessions keep no statement. */
  ready(offset: number): void {
    this.#passOver(offset)
    if (this.#newest && this.#newest.endedAt > 0) this.#newest = undefined
  }

  /** What came up to here belongs to no statement to come. */
  #passOver(offset: number): void {
    this.#bytes = offset
    this.#rows = this.#passed.count(counters.dataRow)
  }
}
