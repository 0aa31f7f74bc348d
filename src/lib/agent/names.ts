/**
 * What the names of a session's prepared statements and portals mean. To the server that is certain when it answers: what
 * the client sent before may fail, be skipped, or be SQL that gives the name to something else.
 */
import type {Statement} from '../audit/statement.js'
import type {ClientEncoding} from '../pgwire/client-encoding.js'
import {NamedObjects} from './named-objects.js'
import {Portal, Prepared} from './prepared.js'
import {cursorName, preparedStatementName, sqlFields} from './statement-sql.js'

/** Of a name that anybody gives: a message keeps room for its SQL. */
const mostCharacters = 1024
/** That one unit of UTF-16 takes in any encoding of a server. */
const mostBytes = 4

export interface NamesOptions {
  /** Of the client's texts. */
  readonly encoding: () => ClientEncoding
  /** Bytes of names that the server tells apart. */
  readonly longestName: number
  /** A statement that was asked for turned out to be another one. */
  readonly asked: (statement: Statement) => void
  /** Nothing more will come of a statement. */
  readonly settled: (statement: Statement) => void
}

export class Names {
  readonly #options: NamesOptions
  readonly #prepared = new NamedObjects<Prepared>()
  readonly #portals = new NamedObjects<Portal>()

  constructor(options: NamesOptions) {
    this.#options = options
  }

  /** Bytes that all of them take, about. */
  get weight(): number {
    return this.#prepared.weight + this.#portals.weight
  }

  /** What the server has. */
  get portals(): ReadonlyMap<string, Portal> {
    return this.#portals.standing
  }

  /** What the name will mean when the server has done all that it is asked. */
  findPrepared(name: string): Prepared | undefined {
    return this.#prepared.find(name)
  }

  findPortal(name: string): Portal | undefined {
    return this.#portals.find(name)
  }

  /** The client has sent the message that makes it, or takes it away. */
  put(object: Prepared | Portal): void {
    if (object instanceof Prepared) this.#prepared.put(object)
    else this.#portals.put(object)
  }

  /** The server has done what the request says. */
  confirm(object: Prepared | Portal): void {
    if (object instanceof Prepared) this.#prepared.confirm(object)
    else {
      this.resolve(object)
      object.confirmed = true
      const previous = this.#portals.confirm(object)
      if (previous) this.#leave(previous)
    }
  }

  /** The server has not done it. */
  undo(object: Prepared | Portal): void {
    if (object instanceof Prepared) this.#prepared.undo(object)
    else this.#portals.undo(object)
  }

  /** What a portal was bound to, now that it is certain. */
  resolve(portal: Portal): void {
    const {unresolved, statement} = portal
    portal.unresolved = undefined
    if (!unresolved || !statement) return
    const prepared = this.#prepared.standing.get(unresolved.statementName)
    const isRead = unresolved.encoding === this.#options.encoding() && unresolved.sql === prepared?.sql
    if (isRead && prepared === portal.prepared) return
    portal.prepared = prepared
    statement.subject = unresolved.describe(prepared)
    // The newer line counts.
    if (statement.asked) this.#options.asked(statement)
  }

  /** The server says what the parameters and columns of a prepared statement or portal are. */
  described(
    subject: Prepared | Portal,
    {types, columns}: {types?: readonly number[]; columns?: string | undefined},
  ): void {
    if (subject instanceof Prepared && this.#prepared.standing.get(subject.name) === subject) {
      const before = subject.descriptionWeight
      subject.types = types ?? subject.types
      subject.columns = columns ?? subject.columns
      this.#prepared.grow(subject, subject.descriptionWeight - before)
    } else if (subject instanceof Portal && this.#portals.standing.get(subject.name) === subject) {
      const {statement} = subject
      const before = statement?.columns?.length ?? 0
      statement?.describe(columns)
      this.#portals.grow(subject, (statement?.columns?.length ?? 0) - before)
    }
  }

  /** With the end of its transaction a portal is gone. */
  leavePortals(): void {
    for (const name of this.#portals.standing.keys()) this.#leavePortal(name)
  }

  /** A portal that was bound, and of which the server never said so. */
  abandon(portal: Portal): void {
    this.#portals.undo(portal)
    this.#leave(portal)
  }

  #leavePortal(name: string): void {
    const portal = this.#portals.take(name)
    if (portal) this.#leave(portal)
  }

  /** Nothing more comes out of a portal. */
  #leave({statement}: Portal): void {
    if (!statement || statement.finished) return
    statement.finished = true
    statement.execution = statement.suspended ? 'partial' : 'none'
    this.#options.settled(statement)
  }

  /** Names that the server gives or takes away by a command, in whatever way it was sent. */
  command(command: string, statement: Statement): void {
    switch (command) {
      case 'PREPARE': {
        const name = this.#named(preparedStatementName(statement, 'prepare'))
        if (name !== undefined) this.#prepared.add(new Prepared(name, sqlFields(statement)))
        break
      }
      case 'DEALLOCATE':
        this.#forget(this.#named(preparedStatementName(statement, 'deallocate')))
        break
      case 'DEALLOCATE ALL':
        this.#forget(undefined)
        break
      case 'DISCARD ALL':
        this.#forget(undefined)
        this.#leaveCursors(undefined)
        break
      case 'CLOSE CURSOR':
        this.#leaveCursors(this.#named(cursorName(statement, 'close')))
        break
      case 'DECLARE CURSOR':
        this.#leaveCursors(this.#named(cursorName(statement, 'declare')))
        break
      case 'CLOSE CURSOR ALL':
        this.#leaveCursors(undefined)
        break
    }
  }

  /** @param name undefined for all that have one: nobody can say what they mean any more */
  #forget(name: string | undefined): void {
    if (name !== undefined) this.#prepared.take(name)
    else for (const each of this.#prepared.standing.keys()) if (each !== '') this.#prepared.take(each)
  }

  #leaveCursors(name: string | undefined): void {
    if (name !== undefined) this.#leavePortal(name)
    else for (const each of this.#portals.standing.keys()) if (each !== '') this.#leavePortal(each)
  }

  /**
   * As the server tells names apart: by so many bytes. Undefined where nobody can say which those are: that depends on the
   * server's own encoding, and on whether SQL has the name or a message.
   */
  of(name: string): string | undefined {
    const {longestName} = this.#options
    if (name.length > mostCharacters) return undefined
    if (Buffer.byteLength(name) === name.length) return name.slice(0, longestName)
    return name.length * mostBytes > longestName || /\p{Surrogate}/u.test(name) ? undefined : name
  }

  /** The client's texts are read in another way: the same name may be another one, and another name the same. */
  reencoded(): void {
    const isUncertain = (name: string): boolean => Buffer.byteLength(name) !== name.length
    for (const name of this.#prepared.standing.keys()) if (isUncertain(name)) this.#prepared.take(name)
    for (const name of this.#portals.standing.keys()) if (isUncertain(name)) this.#leavePortal(name)
  }

  #named(name: string | undefined): string | undefined {
    return name === undefined ? undefined : this.of(name)
  }
}
