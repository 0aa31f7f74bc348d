/**
 * What SQLite does for the safety of its file, beside the event loop and not within a commit, and in the same order:
 *
 *   commit ──► journal ──sync──► answer                                     writes that come together share a sync
 *   journal ──sync──► copied into the file ──sync──► next write             each second with a write; reads do not wait
 *
 * A journal whose content was copied begins anew with the next write, which is why that waits: until the file is on the disk, the
 * journal has the only copy. With `synchronous = NORMAL` SQLite itself syncs only the header with which a journal begins
 * (sqlite.org/wal.html, chapters 2.1 and 3.2).
 */
import {open, type FileHandle} from 'node:fs/promises'
import {sql, type Kysely} from 'kysely'
import {messageOf, PosternError} from '../core/errors.js'
import type {Tables} from './tables.js'

export class Journal {
  readonly #path: string
  readonly #file: FileHandle

  private constructor(path: string, file: FileHandle) {
    this.#path = path
    this.#file = file
  }

  /**
   * Open it before the database and close it after: the locks of a process on a file end when it closes any of its
   * descriptors (fcntl(2), and sqlite.org/howtocorrupt.html, chapter 2.2).
   */
  static async open(path: string): Promise<Journal> {
    return new Journal(path, await open(path, 'r'))
  }

  /** Resolves when all that is committed is on the disk. @throws PosternError FAILED */
  async sync(): Promise<void> {
    await this.#try(async () => {
      const journal = await open(`${this.#path}-wal`, 'r').catch(ignoreMissing)
      try {
        await journal?.datasync()
      } finally {
        await journal?.close()
      }
    })
  }

  /** Copies all of it into the file. Nothing may be written meanwhile, and no more after an error. @throws PosternError FAILED */
  async empty(db: Kysely<Tables>): Promise<void> {
    await this.sync()
    await this.#try(async () => {
      await db.connection().execute(async (connection) => {
        await sql`pragma synchronous = off`.execute(connection)
        try {
          await sql`pragma wal_checkpoint(passive)`.execute(connection)
        } finally {
          await sql`pragma synchronous = normal`.execute(connection)
        }
      })
      await this.#file.datasync()
    })
  }

  close(): Promise<void> {
    return this.#file.close()
  }

  async #try(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      const reason = messageOf(error)
      throw new PosternError('FAILED', `The storage ${this.#path} cannot be synced to the disk: ${reason}.`, {
        cause: error,
        hint: 'Check the disk, then restart the Auth Service: until then it takes no changes.',
      })
    }
  }
}

/** Of a storage that is being closed, all is in the file. */
function ignoreMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
}
