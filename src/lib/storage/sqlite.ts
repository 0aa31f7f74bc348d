import {chmod, mkdir, open} from 'node:fs/promises'
import {dirname} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {Kysely, type SqliteDatabase} from 'kysely'
import Database from 'libsql'
import type {Clock} from '../core/clock.js'
import {messageOf, PosternError} from '../core/errors.js'
import type {Backend} from './backend.js'
import {SqlBackend} from './sql-backend.js'
import {isBusy, SingleConnectionDialect} from './single-connection.js'
import type {Tables} from './tables.js'

export interface SqliteOptions {
  readonly path: string
  readonly clock: Clock
}

/** A process that was just ended may hold its lock for a moment. */
const lockAttempts = 5
const lockPauseMilliseconds = 200

/**
 * Opens the storage in one SQLite file, and makes it when it is not there. Only one process can have it open.
 * @throws PosternError CONFLICT when another process has it, INVALID when it cannot be used
 */
export async function openSqlite({path, clock}: SqliteOptions): Promise<Backend> {
  await prepareFile(path)
  for (let attempt = 1; ; attempt++) {
    const db = new Kysely<Tables>({dialect: new SingleConnectionDialect(() => openExclusively(path))})
    try {
      return await SqlBackend.open(db, clock, journalSync(path))
    } catch (error) {
      await db.destroy()
      if (!isBusy(error)) {
        throw error instanceof PosternError
          ? error
          : new PosternError('INVALID', `The storage ${path} cannot be opened: ${messageOf(error)}.`, {cause: error})
      }
      if (attempt === lockAttempts) {
        throw new PosternError('CONFLICT', `Another process has the storage ${path} open.`, {
          cause: error,
          hint: [
            'Only one Auth Service can run on a data directory; stop the other one, or give this one its own data_dir.',
            'Administrators on this host use `postern` commands, which ask the running service.',
          ],
        })
      }
      await sleep(lockPauseMilliseconds)
    }
  }
}

/** The file and its journal hold keys: for the owner only, from the first moment. */
async function prepareFile(path: string): Promise<void> {
  try {
    await mkdir(dirname(path), {recursive: true, mode: 0o700})
    await (await open(path, 'a', 0o600)).close()
    await chmod(path, 0o600)
  } catch (error) {
    throw new PosternError('INVALID', `The storage ${path} cannot be written: ${messageOf(error)}.`, {cause: error})
  }
}

function openExclusively(path: string): SqliteDatabase {
  const database = new Database(path)
  try {
    // Before the first access: then the index of the journal stays in memory, and no other process gets in.
    database.pragma('locking_mode = EXCLUSIVE')
    database.pragma('journal_mode = WAL')
    // FULL would sync the journal within each commit, and hold up the whole process for as long as the disk takes.
    database.pragma('synchronous = NORMAL')
    database.exec('begin immediate')
    database.exec('commit')
  } catch (error) {
    database.close()
    throw error
  }
  return {
    prepare: (text) => database.prepare(text),
    close: () => {
      release(database)
    },
  }
}

/**
 * Syncs the journal outside of the event loop. All that was committed is in it, or in the file and synced, since with
 * `synchronous = NORMAL` a checkpoint syncs both before the journal begins anew (sqlite.org/pragma.html#pragma_synchronous).
 */
function journalSync(path: string): () => Promise<void> {
  let failed: PosternError | undefined
  return async () => {
    try {
      if (!failed) await syncFile(`${path}-wal`)
    } catch (error) {
      failed = new PosternError('FAILED', `The storage ${path} cannot be synced to the disk: ${messageOf(error)}.`, {
        cause: error,
        hint: 'Check the disk, then restart the Auth Service: until then it takes no changes.',
      })
    }
    // Linux tells of a failed write once, and forgets what was not written: a later sync would succeed.
    if (failed) throw failed
  }
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r').catch((error: unknown) => {
    // A storage that is being closed: all is in the file.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  })
  try {
    await file?.datasync()
  } finally {
    await file?.close()
  }
}

/**
 * Closes the file and gives its lock up at once: after `close` alone libsql holds it until the statements are collected
 * as garbage. Exclusive locking ends only outside of WAL (sqlite.org/wal.html, chapter 8), and with the next access.
 */
function release(database: Database.Database): void {
  try {
    if (database.inTransaction) database.exec('rollback')
    database.pragma('journal_mode = DELETE')
    database.pragma('locking_mode = NORMAL')
    database.prepare('select count(*) from items').all()
  } finally {
    database.close()
  }
}
