import type {SessionAudit} from '../audit/session-audit.js'
import {Statement} from '../audit/statement.js'
import type {Prepared} from './prepared.js'

/** Statements that are prepared and not bound yet; with more of them their SQL is recorded at once. */
const maximumUntold = 256

/** Named statements with SQL that no record has: the server may run them all the same, for whoever sends EXECUTE. */
export class UntoldSql {
  readonly #prepared = new Set<Prepared>()
  readonly #audit: SessionAudit
  readonly #record: (statement: Statement) => void

  constructor(audit: SessionAudit, record: (statement: Statement) => void) {
    this.#audit = audit
    this.#record = record
  }

  get isEmpty(): boolean {
    return this.#prepared.size === 0
  }

  /** The client has prepared it. */
  add(prepared: Prepared): void {
    // EXECUTE cannot name it.
    if (prepared.name === '') return
    this.#prepared.add(prepared)
    if (this.#prepared.size > maximumUntold) this.tellAll()
  }

  /** A record has its SQL, or it never came to be. */
  forget(prepared: Prepared): void {
    this.#prepared.delete(prepared)
  }

  tellAll(): void {
    for (const prepared of this.#prepared) this.tell(prepared)
  }

  /** Records the SQL of a statement, if no record has it. */
  tell(prepared: Prepared): void {
    if (!this.#prepared.delete(prepared)) return
    const {name, sql} = prepared
    const statement = new Statement(this.#audit.nextStatement(), `${sql},"statement_name":${JSON.stringify(name)}`)
    statement.execution = 'none'
    this.#record(statement)
  }
}
