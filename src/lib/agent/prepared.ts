import {Statement} from '../audit/statement.js'
import type {ClientEncoding} from '../pgwire/client-encoding.js'
import type {NamedObject} from './named-objects.js'

/** What an object takes beside its texts. */
const overhead = 256

/** A prepared statement. */
export class Prepared implements NamedObject {
  /** Of the parameters, 0 where the server chose it and has not said. */
  types: readonly number[]
  /** JSON; undefined as long as the client has not asked. */
  columns: string | undefined
  weight: number
  readonly name: string
  /** Fields of an event that hold the SQL, as JSON without braces. */
  sql: string
  /** Reads it again, where it is not certain yet how the server will. */
  reread: (() => string) | undefined
  readonly closed: boolean

  constructor(name: string, sql: string, types: readonly number[] = [], closed = false) {
    this.name = name
    this.sql = sql
    this.types = types
    this.closed = closed
    this.weight = overhead + name.length + sql.length + this.descriptionWeight
  }

  /** What the server's description of it takes. */
  get descriptionWeight(): number {
    return 8 * this.types.length + (this.columns?.length ?? 0)
  }
}

/** Fields of a statement's event that say what is asked, when its SQL is that of this prepared statement. */
export type Describe = (prepared: Prepared | undefined) => string

/** What it takes to say what a portal is, once it is certain what the name of its prepared statement means. */
interface Unresolved {
  readonly statementName: string
  readonly describe: Describe
  /** By which it was read. */
  readonly encoding: ClientEncoding
  /** Of the prepared statement, as it was then. */
  readonly sql: string | undefined
}

/** A prepared statement with parameters: what the client executes, at once or so many rows at a time. */
export class Portal implements NamedObject {
  /** The server has made it. */
  confirmed = false
  /** Nobody bound it: a cursor of SQL, or a mistake. */
  unknown = false
  unresolved: Unresolved | undefined
  weight: number
  statement: Statement | undefined
  prepared: Prepared | undefined
  readonly name: string

  constructor(name: string, prepared?: Prepared, statement?: Statement) {
    this.name = name
    this.prepared = prepared
    this.statement = statement
    this.weight = overhead + name.length + (statement?.subject.length ?? 0)
  }

  /** One that a Close takes away has none. */
  get closed(): boolean {
    return this.statement === undefined
  }
}

/** What a request is about. */
export type Subject = Statement | Prepared | Portal | undefined

export function statementOf(subject: Subject): Statement | undefined {
  if (subject instanceof Statement) return subject
  return subject instanceof Portal ? subject.statement : undefined
}

export function unfinished(statement: Statement | undefined): Statement | undefined {
  return statement?.finished === true ? undefined : statement
}
