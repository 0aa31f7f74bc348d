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
  readonly #clock: Clock
  readonly #passed: Passed
  /** The server's bytes and rows up to here belong to statements that are done with. */
  #bytes = 0
  #rows = 0
  #copiedOutBefore = 0

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
    statement.copiedBefore = this.#passed.copiedIn()
  }

  copyBegan(statement: Statement | undefined, direction: NonNullable<Statement['copy']>): void {
    if (statement) statement.copy = direction
    this.#copiedOutBefore = this.#passed.copiedOut()
  }

  /** An answer to the statement. @param offset of its end among all bytes of the server */
  answered(statement: Statement, offset: number): void {
    statement.endedAt = this.#clock.monotonic()
    statement.bytesFromServer += offset - this.#bytes
    this.passOver(offset)
    if (statement.copy === undefined) return
    const copiedIn = statement.copy === 'out' ? 0 : this.#passed.copiedIn() - statement.copiedBefore
    const copiedOut = statement.copy === 'in' ? 0 : this.#passed.copiedOut() - this.#copiedOutBefore
    statement.copyBytes = copiedIn + copiedOut
  }

  /** What came up to here belongs to no statement to come. */
  passOver(offset: number): void {
    this.#bytes = offset
    this.#rows = this.#passed.count(counters.dataRow)
  }
}
