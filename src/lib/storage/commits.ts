import type {Kysely} from 'kysely'
import {toPosternError, type PosternError} from '../core/errors.js'
import {SharedRuns} from '../core/shared-runs.js'
import type {Tables} from './tables.js'

const emptyInterval = 1000

/** Where the database keeps what is committed, until it is in the files of the tables. */
export interface DatabaseJournal {
  /** Resolves when what was committed before is on the disk. */
  sync(): Promise<void>
  /** Makes room in it; nothing is written meanwhile. */
  empty(db: Kysely<Tables>): Promise<void>
  /** After the database is closed. */
  close(): Promise<void>
}

/** Writes one after the other, each on the disk before anybody hears of it. */
export class Commits {
  readonly #journal: DatabaseJournal
  readonly #db: Kysely<Tables>
  /** Writes that are committed together reach the disk together. */
  readonly #syncs: SharedRuns
  readonly #emptier: NodeJS.Timeout
  #journalIsEmpty = true
  /** The write that comes last so far: each waits for the one before, so that notices keep the order of commits. */
  #last: Promise<unknown> = Promise.resolve()
  /** Why nothing is written any more. Linux tells of a failed sync once and forgets the data: a later one would succeed. */
  #failure: PosternError | undefined

  constructor(journal: DatabaseJournal, db: Kysely<Tables>) {
    this.#journal = journal
    this.#db = db
    this.#syncs = new SharedRuns(() => this.#orFail(journal.sync()))
    this.#emptier = setInterval(() => {
      // Whoever writes next is told of a failure.
      this.#empty().catch(() => undefined)
    }, emptyInterval).unref()
  }

  /** Does the work, which commits, after that of the calls before; resolves when the disk has what was committed. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const result = await this.#inOrder(() => {
      if (this.#failure) throw this.#failure
      this.#journalIsEmpty = false
      return work()
    })
    await this.#syncs.run()
    return result
  }

  /** @param closeDatabase called when nothing is under way any more */
  async close(closeDatabase: () => Promise<void>): Promise<void> {
    clearInterval(this.#emptier)
    await this.#inOrder(closeDatabase)
    await this.#journal.close()
  }

  async #empty(): Promise<void> {
    if (this.#journalIsEmpty || this.#failure) return
    this.#journalIsEmpty = true
    await this.#inOrder(() => this.#orFail(this.#journal.empty(this.#db)))
  }

  async #orFail(work: Promise<void>): Promise<void> {
    try {
      await work
    } catch (error) {
      this.#failure = toPosternError(error)
      throw this.#failure
    }
  }

  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work)
    this.#last = result.catch(() => undefined)
    return result
  }
}
