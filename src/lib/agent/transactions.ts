import type {Fate, Statement} from '../audit/statement.js'
import type {TransactionStatus} from '../pgwire/server-messages.js'

/** Statements that wait for the end of their transaction; further ones are recorded without it. */
const maximumWaiting = 128

/**
 * Which transaction a statement ran in, and what became of it. A statement outside of a block waits for the ReadyForQuery
 * that ends its transaction; one inside is recorded as soon as the server is ready, and the statement that ends the block
 * says for all of the same number what became of them.
 *
 * A simple query behind an Execute without a Sync between them does not end the transaction that the Execute began: the
 * server is ready inside of it, as in a block (start_xact_command in postgres.c). No statement may come to say what became
 * of it, so the last one waits. A Sync that comes next ends it in name only: PostgreSQL 18 says that it is idle, and commits
 * with whatever runs next, if that does not fail.
 */
export class Transactions {
  status: TransactionStatus = 'I'
  readonly #record: (statement: Statement) => void
  readonly #couldCommitPartly: (statement: Statement) => boolean
  #number = 1
  /** Something ran in the transaction with this number. */
  #used = false
  #failed = false
  /** What began the block that the transaction is, `earlier` for one that began with it; without one a Sync ends it. */
  #block: Statement | 'earlier' | undefined
  /** Something ran since the server was ready. */
  #ran = false
  /** A statement of the transaction is recorded. */
  #told = false
  /** One outside of a block that is recorded could have committed something, itself and what was before it. */
  #partly = false
  #waiting: Statement[] = []

  /** @param couldCommitPartly says whether a statement outside of a block could have committed something and failed then */
  constructor(record: (statement: Statement) => void, couldCommitPartly: (statement: Statement) => boolean) {
    this.#record = record
    this.#couldCommitPartly = couldCommitPartly
  }

  /** The transaction that is open; undefined when there is none. */
  get open(): number | undefined {
    return this.#used || this.status !== 'I' ? this.#number : undefined
  }

  /** Statements with an outcome and without a record. */
  get waiting(): readonly Statement[] {
    return this.#waiting
  }

  /**
   * A command of the statement is complete.
   * @param rollback says whether a ROLLBACK was one of the transaction; undefined for one to a savepoint
   */
  completed(
    statement: Statement,
    command: string,
    rollback: (statement: Statement) => 'rollback' | 'unknown' | undefined,
  ): void {
    this.#enter(statement)
    if (command === 'BEGIN' || command === 'START TRANSACTION') this.#block ??= statement
    const fate =
      command === 'COMMIT'
        ? 'commit'
        : command === 'ROLLBACK'
          ? rollback(statement)
          : command === 'PREPARE TRANSACTION'
            ? 'prepared'
            : undefined
    if (fate !== undefined) this.#end(fate)
  }

  failed(statement: Statement): void {
    this.#enter(statement)
    this.#failed = true
  }

  /** An error that is that of no statement: with it the transaction has failed too. */
  aborted(): void {
    this.#failed = true
  }

  /** The server cannot commit: the statement that was the last is told so. */
  failedToCommit(error: string, sqlState: string): boolean {
    const last = this.#waiting.findLast((statement) => statement.transaction === this.#number)
    if (!last || last.error !== undefined) return false
    last.error = error
    last.sqlState = sqlState
    return true
  }

  /** A statement without effect, or whose effect is known, in the order of the others. */
  settled(statement: Statement): void {
    this.#wait(statement)
  }

  /** It has run in the transaction, as far as it came. */
  ran(statement: Statement): void {
    if (statement.transaction === undefined) this.#enter(statement)
    else this.#wait(statement)
  }

  ready(status: TransactionStatus): void {
    const isEndedInName = this.status === 'T' && this.#block === undefined && !this.#ran
    this.status = status
    this.#ran = false
    if (status === 'I') {
      if (this.#used) this.#end(this.#failed ? 'rollback' : isEndedInName ? 'unknown' : 'commit')
      this.#block = undefined
    } else if (!this.#used || status === 'E') this.#block ??= 'earlier'
    this.#failed = false
    if (status === 'I' || this.#block !== undefined) this.#recordWaiting()
    else {
      const last = this.#waiting.findLast(({transaction}) => transaction === this.#number)
      this.#recordWaiting((each) => each === last)
    }
  }

  /** The session is over. @returns what became of the transaction that was open, if it is certain */
  close(fate: Fate): Fate {
    const ended = this.#used ? this.#end(fate) : fate
    this.#recordWaiting()
    return ended
  }

  #enter(statement: Statement): void {
    this.#used = true
    this.#ran = true
    statement.enter(this.#number)
    this.#wait(statement)
  }

  #wait(statement: Statement): void {
    if (statement.waiting || statement.recorded) return
    statement.waiting = true
    this.#waiting.push(statement)
    if (this.#waiting.length <= maximumWaiting) return
    // The last one stays, to say what becomes of all, and so does one that the server works on.
    this.#recordWaiting((each) => each === statement || !(each.finished || each.suspended))
  }

  /** @returns what became of the transaction as a whole */
  #end(fate: Fate): Fate {
    const ended = this.#waiting.filter(({transaction}) => transaction === this.#number)
    const outside = ended.slice(0, this.#placeOfBlock(ended))
    const lastDoubtful = fate === 'rollback' ? outside.findLastIndex(this.#couldCommitPartly) : -1
    const isDoubtful = fate === 'rollback' && (this.#partly || lastDoubtful >= 0)
    // Of those that are recorded the last one says what became of them.
    const unknown = isDoubtful && this.#told ? ended.length - 1 : lastDoubtful
    for (const [index, statement] of ended.entries()) statement.end(index <= unknown ? 'unknown' : fate)
    this.#number += 1
    this.#used = false
    this.#failed = false
    this.#block = undefined
    this.#told = false
    this.#partly = false
    return isDoubtful ? 'unknown' : fate
  }

  /** How many of them are before the block that the transaction became. */
  #placeOfBlock(statements: readonly Statement[]): number {
    if (this.#block === undefined) return statements.length
    return this.#block === 'earlier' ? 0 : Math.max(0, statements.indexOf(this.#block))
  }

  /** One that is suspended comes again when more is asked of it, or with the end of its portal. */
  #recordWaiting(stays: (statement: Statement) => boolean = () => false): void {
    if (this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = waiting.filter(stays)
    const block = this.#placeOfBlock(waiting)
    for (const [place, statement] of waiting.entries()) {
      if (stays(statement)) continue
      statement.waiting = false
      if (statement.transaction === this.#number) {
        this.#told = true
        if (place < block && this.#couldCommitPartly(statement)) this.#partly = true
      }
      if (statement.finished || !statement.suspended) this.#record(statement)
    }
  }
}
