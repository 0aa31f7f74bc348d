import type {Kysely} from 'kysely'
import {toPosternError, type PosternError} from '../core/errors.js'
import {SharedRuns} from '../core/shared-runs.js'
import type {Tables} from './tables.js'

const emptyInterval = 1000

/** Where the database keeps what is committed, until it is in the files of the tables. */
export interface DatabaseJournal {
  /** Resolves when what was committed before is on the disk. */
  sync(): Promise<void>
  /** Copies what is on the disk into the files of the tables; nothing is written meanwhile. If that fails, nothing is lost. */
  copy(db: Kysely<Tables>): Promise<void>
  /** Resolves when what was copied is on the disk there: the next write may begin the journal anew. */
  settle(): Promise<void>
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
  #journalIsEmpty = false
  /** The write that comes last so far: each waits for the one before, so that notices keep the order of commits. */
  #last: Promise<unknown> = Promise.resolve()
  /** Why nothing is written any more. Linux tells of a failed sync once and forgets the data: a later one would succeed. */
  #failure: PosternError | undefined

  private constructor(journal: DatabaseJournal, db: Kysely<Tables>) {
    this.#journal = journal
    this.#db = db
    this.#syncs = new SharedRuns(() => this.#orFail(() => journal.sync()))
    this.#emptier = setInterval(() => {
      // Whoever writes next is told of a failed sync; a journal that could not be copied is the next time.
      this.#empty().catch(() => undefined)
    }, emptyInterval).unref()
  }

  /** What a process before has left in the journal is in the tables' files first: it may have ended since it could not sync it. */
  static async open(journal: DatabaseJournal, db: Kysely<Tables>): Promise<Commits> {
    const commits = new Commits(journal, db)
    try {
      await commits.#empty()
    } catch (error) {
      clearInterval(commits.#emptier)
      throw error
    }
    return commits
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
    // Who has committed and waits for the disk is answered first.
    await this.#syncs.run().catch(() => undefined)
    await this.#journal.close()
  }

  #empty(): Promise<void> {
    return this.#inOrder(async () => {
      if (this.#journalIsEmpty || this.#failure) return
      await this.#syncs.run()
      await this.#journal.copy(this.#db)
      await this.#orFail(() => this.#journal.settle())
      this.#journalIsEmpty = true
    })
  }

  /** Also who committed before a sync failed was not told that the disk has it, and is not now. */
  async #orFail(work: () => Promise<void>): Promise<void> {
    if (this.#failure) throw this.#failure
    try {
      await work()
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
