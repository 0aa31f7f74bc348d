import {afterEach, beforeEach, describe, expect, it, jest} from '@jest/globals'
import {copyFile, mkdtemp, readdir, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {systemClock as clock} from '../../../src/lib/core/clock.js'
import {Journal} from '../../../src/lib/storage/journal.js'
import {openSqlite} from '../../../src/lib/storage/sqlite.js'
import {inodeOf, onSync} from '../../helpers/syncs.js'

let directory: string
let path: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-journal-'))
  path = join(directory, 'backend.sqlite')
})

afterEach(async () => {
  jest.useRealTimers()
  jest.restoreAllMocks()
  await rm(directory, {recursive: true, force: true})
})

describe('a file that could not be synced', () => {
  it('gets what it lacks from the journal, also when the database was closed meanwhile', async () => {
    // The journal is emptied when the test says so.
    jest.useFakeTimers({
      doNotFake: ['setTimeout', 'setImmediate', 'nextTick', 'queueMicrotask', 'performance', 'Date', 'hrtime'],
    })
    const backend = await openSqlite({path, clock})
    await backend.put('a', '1')
    const before = join(directory, 'before')
    await copyFile(path, before)
    const inode = await inodeOf(path)
    await onSync((synced) => {
      if (synced === inode) throw new Error('i/o error')
    })
    await backend.put('b', '1')
    jest.advanceTimersByTime(1000)
    await expect(backend.put('c', '1')).rejects.toThrow('cannot be synced to the disk: i/o error')
    await backend.close()
    jest.restoreAllMocks()
    // The disk has nothing of what the failed sync was about.
    await copyFile(before, path)

    const again = await openSqlite({path, clock})
    expect((await again.range('')).map(({key}) => key)).toEqual(['a', 'b'])
    await again.put('d', '1')
    expect(await readdir(directory)).not.toContain('backend.sqlite-wal.kept')
    await again.close()
    const last = await openSqlite({path, clock})
    expect(await last.get('d')).toMatchObject({value: '1'})
    await last.close()
  })
})

describe('the journal', () => {
  it('is closed when nobody waits for its sync any more', async () => {
    for (let round = 0; round < 20; round++) {
      const backend = await openSqlite({path, clock})
      const writes = [backend.put('a', '1'), backend.put('b', '1')]
      await backend.close()
      expect((await Promise.all(writes)).every((revision) => revision > 0)).toBe(true)
    }
  })

  it('is synced as the file that SQLite has now, and by one descriptor as long as that is the same', async () => {
    await writeFile(path, '')
    await writeFile(`${path}-wal`, 'one')
    const synced: number[] = []
    await onSync((inode) => synced.push(inode))
    const journal = await Journal.open(path)
    const first = await inodeOf(`${path}-wal`)
    await journal.sync()
    await journal.sync()
    await rm(`${path}-wal`)
    await journal.sync()
    expect(synced).toEqual([first, first])
    await writeFile(`${path}-wal`, 'two')
    await journal.sync()
    expect(synced).toEqual([first, first, await inodeOf(`${path}-wal`)])
    await journal.close()
  })
})
