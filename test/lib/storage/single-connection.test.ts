import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import {mkdtemp, readdir, rm, stat, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {Kysely, sql} from 'kysely'
import Database from 'libsql'
import {systemClock as clock} from '../../../src/lib/core/clock.js'
import type {Notice} from '../../../src/lib/storage/backend.js'
import {SingleConnectionDialect, type OpenDatabase} from '../../../src/lib/storage/single-connection.js'
import {openSqlite} from '../../../src/lib/storage/sqlite.js'

let directory: string
let path: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-storage-'))
  path = join(directory, 'deeper', 'backend.sqlite')
})

afterEach(() => rm(directory, {recursive: true, force: true}))

describe('the file', () => {
  it('can be opened again as soon as it was closed, with all that it had, and is one file then', async () => {
    for (let round = 0; round < 20; round++) {
      const backend = await openSqlite({path, clock})
      expect(await backend.range('')).toHaveLength(round)
      await backend.put(`key/${round}`, '1')
      await backend.close()
      expect(await readdir(join(path, '..'))).toEqual(['backend.sqlite'])
    }
  })

  it('is readable for its owner alone, with its journal and its directory', async () => {
    const backend = await openSqlite({path, clock})
    await backend.put('a', '1')
    const folder = join(path, '..')
    const modes = await Promise.all((await readdir(folder)).map(async (name) => (await stat(join(folder, name))).mode))
    expect(modes.length).toBeGreaterThan(1)
    expect(modes.map((mode) => mode & 0o777)).toEqual(modes.map(() => 0o600))
    expect((await stat(folder)).mode & 0o777).toBe(0o700)
    await backend.close()
  })

  it('that a newer version wrote is left alone', async () => {
    await (await openSqlite({path, clock})).close()
    const raw = new Database(path)
    raw.exec('update schema_version set version = 1000')
    raw.close()
    await expect(openSqlite({path, clock})).rejects.toMatchObject({
      code: 'INVALID',
      message: 'The storage was written by a newer version of Postern.',
    })
  })

  it('that is no storage, or cannot be written, is refused with a sentence', async () => {
    const other = join(directory, 'other')
    await writeFile(other, 'something else entirely, and long enough to be read as a header. '.repeat(100))
    await expect(openSqlite({path: other, clock})).rejects.toMatchObject({code: 'INVALID'})
    await expect(openSqlite({path: join(other, 'backend.sqlite'), clock})).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('cannot be written') as unknown,
    })
  })
})

describe('writes at the same time', () => {
  it('of the same revision are won by one, and watchers hear of no other', async () => {
    const backend = await openSqlite({path, clock})
    const revision = await backend.put('a', '0')
    const heard: Notice[] = []
    backend.watch('a', (notice) => heard.push(notice))
    const tries = ['1', '2', '3', '4', '5'].map((value) =>
      backend.write([{type: 'put', key: 'a', value, expect: revision}]),
    )
    const settled = await Promise.allSettled(tries)
    expect(settled.filter(({status}) => status === 'fulfilled')).toHaveLength(1)
    expect(heard).toHaveLength(1)
    await backend.close()
  })

  it('are heard of in the order of their revisions', async () => {
    const backend = await openSqlite({path, clock})
    const heard: number[] = []
    backend.watch('', (notice) => heard.push(notice.type === 'put' ? notice.item.revision : notice.revision))
    await Promise.all(Array.from({length: 50}, (_, index) => backend.put(`k${index % 7}`, `${index}`)))
    expect(heard).toHaveLength(50)
    expect(heard).toEqual(heard.toSorted((one, other) => one - other))
    await backend.close()
  })
})

describe('a connection that met a lock of another', () => {
  it('is closed and never used again', async () => {
    const opened: Database.Database[] = []
    let refusals = 0
    const open = (): OpenDatabase => {
      const database = new Database(join(directory, 'other.sqlite'))
      opened.push(database)
      const isFirst = opened.length === 1
      return {
        close: () => database.close(),
        get inTransaction() {
          return database.inTransaction
        },
        prepare: (text) => {
          if (isFirst && text.startsWith('insert')) {
            refusals++
            throw Object.assign(new Error('database is locked'), {code: 'SQLITE_BUSY'})
          }
          return database.prepare(text)
        },
      }
    }
    const db = new Kysely<{t: {n: number}}>({dialect: new SingleConnectionDialect(open)})
    await sql`create table t (n integer)`.execute(db)
    const insert = (n: number): Promise<unknown> =>
      db.transaction().execute((transaction) => transaction.insertInto('t').values({n}).execute())
    await expect(insert(1)).rejects.toMatchObject({code: 'SQLITE_BUSY'})
    await insert(2)
    expect(refusals).toBe(1)
    expect(opened.map((database) => database.open)).toEqual([false, true])
    expect(await db.selectFrom('t').selectAll().execute()).toEqual([{n: 2}])
    await db.destroy()
  })
})

describe('a transaction that SQLite itself has rolled back', () => {
  it('fails for its own reason, and others follow it', async () => {
    const open = (): OpenDatabase => new Database(':memory:')
    const db = new Kysely<{t: {n: number}}>({dialect: new SingleConnectionDialect(open)})
    await sql`create table t (n integer)`.execute(db)
    await sql`create trigger full before insert on t when new.n = 1 begin select raise(rollback, 'no room'); end`.execute(
      db,
    )
    const insert = (n: number): Promise<unknown> =>
      db.transaction().execute((transaction) => transaction.insertInto('t').values({n}).execute())
    await expect(insert(1)).rejects.toThrow('no room')
    await insert(2)
    expect(await db.selectFrom('t').selectAll().execute()).toEqual([{n: 2}])
    await db.destroy()
  })
})
