import {chmod, mkdir, open} from 'node:fs/promises'
import {dirname} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {Kysely} from 'kysely'
import Database from 'libsql'
import type {Clock} from '../core/clock.js'
import {messageOf, PosternError} from '../core/errors.js'
import type {Backend} from './backend.js'
import {Journal} from './journal.js'
import {SqlBackend} from './sql-backend.js'
import {isBusy, SingleConnectionDialect, type OpenDatabase} from './single-connection.js'
import type {Tables} from './tables.js'

export interface SqliteOptions {
  readonly path: string
  readonly clock: Clock
}

/** A process that was just ended may hold its lock for a moment. */
const lockAttempts = 5
const lockPauseMilliseconds = 200

/** Pages of 4 KiB. */
const mostJournalPages = 25_000

/**
 * Opens the storage in one SQLite file, and makes it when it is not there. Only one process can have it open.
 * @throws PosternError CONFLICT when another process has it, INVALID when it cannot be used
 */
export async function openSqlite({path, clock}: SqliteOptions): Promise<Backend> {
  await prepareFile(path)
  for (let attempt = 1; ; attempt++) {
    const journal = await Journal.open(path)
    const db = new Kysely<Tables>({dialect: new SingleConnectionDialect(() => openExclusively(path))})
    try {
      return await SqlBackend.open(db, clock, journal)
    } catch (error) {
      await db.destroy()
      await journal.close()
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

function openExclusively(path: string): OpenDatabase {
  const database = new Database(path)
  try {
    // Before the first access: then the index of the journal stays in memory, and no other process gets in.
    database.pragma('locking_mode = EXCLUSIVE')
    database.pragma('journal_mode = WAL')
    // Journal syncs it, and copies it into the file long before there is so much: both would hold up the whole process.
    database.pragma('synchronous = NORMAL')
    database.pragma(`wal_autocheckpoint = ${mostJournalPages}`)
    database.exec('begin immediate')
    database.exec('commit')
  } catch (error) {
    database.close()
    throw error
  }
  return {
    prepare: (text) => database.prepare(text),
    get inTransaction() {
      return database.inTransaction
    },
    close: () => {
      release(database)
    },
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
