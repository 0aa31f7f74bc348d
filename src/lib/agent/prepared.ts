import type {Statement} from '../audit/statement.js'
import {NamedObjects, type NamedObject} from './named-objects.js'

/** What an object takes beside its texts. */
const overhead = 256

/** A prepared statement. */
export class Prepared implements NamedObject {
  undone = false
  previous: this | undefined
  /** Of the parameters, 0 where the server chose it and has not said. */
  types: readonly number[]
  /** JSON; undefined as long as the client has not asked. */
  columns: string | undefined
  readonly name: string
  /** Fields of an event that hold the SQL, as JSON without braces. */
  readonly sql: string
  /** Its place among all messages that make or take away names. */
  readonly order: number
  readonly closed: boolean

  constructor(name: string, sql: string, order: number, types: readonly number[] = [], closed = false) {
    this.name = name
    this.sql = sql
    this.order = order
    this.types = types
    this.closed = closed
  }

  get weight(): number {
    return overhead + this.name.length + this.sql.length + 8 * this.types.length
  }
}

/** A prepared statement with parameters: what the client executes, at once or so many rows at a time. */
export class Portal implements NamedObject {
  undone = false
  previous: this | undefined
  /** The server has made it. */
  confirmed = false
  statement: Statement | undefined
  readonly name: string
  readonly prepared: Prepared | undefined

  constructor(name: string, prepared: Prepared | undefined, statement: Statement | undefined) {
    this.name = name
    this.prepared = prepared
    this.statement = statement
  }

  /** One that a Close takes away has none. */
  get closed(): boolean {
    return this.statement === undefined
  }

  get weight(): number {
    return overhead + this.name.length + (this.statement?.subject.length ?? 0)
  }
}

/** The prepared statements of a session. */
export class PreparedStatements extends NamedObjects<Prepared> {
  #order = 0

  add(name: string, sql: string, types?: readonly number[]): Prepared {
    return this.#put(name, sql, types, false)
  }

  close(name: string): Prepared {
    return this.#put(name, '', undefined, true)
  }

  /**
   * The server has forgotten a named statement, or all.
   * @param since what the client has prepared after it asked for that
   */
  forget(name: string | undefined, since: Iterable<unknown>): void {
    let youngest = Infinity
    for (const prepared of since) if (prepared instanceof Prepared) youngest = Math.min(youngest, prepared.order)
    this.remove(
      (prepared) => prepared.name !== '' && prepared.order < youngest && (name === undefined || prepared.name === name),
    )
  }

  #put(name: string, sql: string, types: readonly number[] | undefined, closed: boolean): Prepared {
    this.#order += 1
    const prepared = new Prepared(name, sql, this.#order, types, closed)
    this.put(prepared)
    return prepared
  }
}
