/**
 * What SQLite does for the safety of its file, beside the event loop and not within a commit, and in the same order:
 *
 *   commit ──► sync ──► answer                  writes that come together share it
 *   sync ──► copy ──► settle ──► next write     each second with a write; reads do not wait
 *
 * A journal whose content was copied begins anew with the next write, which is why that waits: until the file is on the disk, the
 * journal has the only copy. With `synchronous = NORMAL` SQLite itself syncs only the header with which a journal begins
 * (sqlite.org/wal.html, chapters 2.1 and 3.2).
 */
import {link, open, rm, type FileHandle} from 'node:fs/promises'
import {sql, type Kysely} from 'kysely'
import {messageOf, PosternError} from '../core/errors.js'
import type {DatabaseJournal} from './commits.js'
import type {Tables} from './tables.js'

export class Journal implements DatabaseJournal {
  readonly #path: string
  readonly #file: FileHandle
  /** The journal's own, kept open: then a write that failed is told here, and there is always a descriptor for it. */
  #log: FileHandle | undefined
  #isSettled = false

  private constructor(path: string, file: FileHandle) {
    this.#path = path
    this.#file = file
  }

  /**
   * Open it before the database and close it after: the locks of a process on a file end when it closes any of its
   * descriptors (fcntl(2), and sqlite.org/howtocorrupt.html, chapter 2.2).
   */
  static async open(path: string): Promise<Journal> {
    await link(keptOf(path), logOf(path)).catch(ignore('ENOENT', 'EEXIST'))
    return new Journal(path, await open(path, 'r'))
  }

  /** Not to be called again while it is under way. @throws PosternError INTERNAL */
  async sync(): Promise<void> {
    try {
      await (await this.#openLog())?.datasync()
    } catch (error) {
      throw this.#failure(error)
    }
  }

  /** @throws what SQLite does, of a full disk for example */
  async copy(db: Kysely<Tables>): Promise<void> {
    await db.connection().execute(async (connection) => {
      await sql`pragma synchronous = off`.execute(connection)
      try {
        await sql`pragma wal_checkpoint(passive)`.execute(connection)
      } finally {
        await sql`pragma synchronous = normal`.execute(connection)
      }
    })
  }

  /** @throws PosternError INTERNAL */
  async settle(): Promise<void> {
    try {
      await this.#file.datasync()
    } catch (error) {
      // For SQLite all is in the file, so it removes the journal when it closes. The next process gets it back.
      await link(logOf(this.#path), keptOf(this.#path)).catch(() => undefined)
      throw this.#failure(error)
    }
    if (!this.#isSettled) await rm(keptOf(this.#path), {force: true})
    this.#isSettled = true
  }

  async close(): Promise<void> {
    await this.#log?.close()
    await this.#file.close()
  }

  /** Undefined when the database is being closed: then all is in the file. */
  async #openLog(): Promise<FileHandle | undefined> {
    if (this.#log && (await this.#log.stat()).nlink === 0) {
      await this.#log.close()
      this.#log = undefined
    }
    this.#log ??= await open(logOf(this.#path), 'r').catch(ignore('ENOENT'))
    return this.#log
  }

  /** For the log: it names a place on this host. */
  #failure(error: unknown): PosternError {
    const what = `The storage ${this.#path} cannot be synced to the disk: ${messageOf(error)}.`
    return new PosternError('INTERNAL', `${what} It takes no changes until the Auth Service is restarted.`, {
      cause: error,
    })
  }
}

const logOf = (path: string): string => `${path}-wal`
/** The journal of a file that could not be synced. */
const keptOf = (path: string): string => `${path}-wal.kept`

function ignore(...codes: readonly string[]): (error: unknown) => undefined {
  return (error) => {
    if (!codes.includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}
