import {afterEach, beforeEach, describe, expect, it, jest} from '@jest/globals'
import {Kysely} from 'kysely'
import Database from 'libsql'
import {systemClock as clock} from '../../../src/lib/core/clock.js'
import type {Backend, EventRecord, Notice} from '../../../src/lib/storage/backend.js'
import {SingleConnectionDialect} from '../../../src/lib/storage/single-connection.js'
import {SqlBackend} from '../../../src/lib/storage/sql-backend.js'
import type {Tables} from '../../../src/lib/storage/tables.js'

let backend: Backend
/** Ends what has begun with the journal, oldest first. */
let ends: ((error?: Error) => void)[]
let syncs: 'free' | 'held'
let settles: 'free' | 'held'
/** How often the journal was copied, or should have been. */
let copies: number
let copyFailure: Error | undefined

beforeEach(async () => {
  // Intervals pass when the test says so, and nothing else waits for them.
  jest.useFakeTimers({
    doNotFake: ['setTimeout', 'setImmediate', 'nextTick', 'queueMicrotask', 'performance', 'Date', 'hrtime'],
  })
  ends = []
  syncs = settles = 'free'
  copyFailure = undefined
  const open = (): Database.Database => new Database(':memory:')
  const db = new Kysely<Tables>({dialect: new SingleConnectionDialect(open)})
  const step = (held: boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      if (!held) resolve()
      ends.push((error) => {
        if (error) reject(error)
        else resolve()
      })
    })
  const copy = (): Promise<void> => {
    copies += 1
    return copyFailure ? Promise.reject(copyFailure) : Promise.resolve()
  }
  backend = await SqlBackend.open(db, clock, {
    sync: () => step(syncs === 'held'),
    copy,
    settle: () => step(settles === 'held'),
    close: () => Promise.resolve(),
  })
  ends = []
  copies = 0
  syncs = 'held'
})

afterEach(async () => {
  syncs = settles = 'free'
  for (const end of ends) end()
  await backend.close()
  jest.useRealTimers()
})

async function until(reached: () => boolean): Promise<void> {
  while (!reached()) await new Promise((resolve) => setImmediate(resolve))
}

/** There is `a`, what it was copied to is not on the disk until the test says so, and `b` is to be written. */
async function writeWhileEmptied(): Promise<{readonly writing: Promise<number>}> {
  syncs = 'free'
  settles = 'held'
  await backend.put('a', '1')
  jest.advanceTimersByTime(1000)
  // The sync of the write, that before the copy, and what is copied.
  await until(() => ends.length === 3)
  return {writing: backend.put('b', '1')}
}

const event: EventRecord = {time: 1, event: 'e', sid: 's', ei: 0, hash: 'h', body: '{}'}

describe('a write', () => {
  it.each([
    ['of an item', () => backend.put('a', '1')],
    ['of events', () => backend.appendEvents([event])],
    ['of nothing that is there', () => backend.delete('a')],
  ])('%s is answered only when it is on the disk', async (_, write) => {
    let answered = false
    const writing = write().then(() => (answered = true))
    await until(() => ends.length === 1)
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(answered).toBe(false)
    ends[0]?.()
    await writing
  })

  it('does not wait for the disk to commit the next, and those that come meanwhile share a sync', async () => {
    const heard: string[] = []
    backend.watch('', (notice: Notice) => heard.push(notice.type === 'put' ? notice.item.key : notice.key))
    const first = backend.put('a', '1')
    await until(() => ends.length === 1)
    const others = [backend.put('b', '1'), backend.put('c', '1')]
    while ((await backend.range('')).length < 3) await new Promise((resolve) => setImmediate(resolve))
    // Nobody hears of what the disk does not have.
    expect(heard).toEqual([])
    ends[0]?.()
    await first
    expect(heard).toEqual(['a'])
    await until(() => ends.length === 2)
    ends[1]?.()
    await Promise.all(others)
    expect(heard).toEqual(['a', 'b', 'c'])
    expect(ends).toHaveLength(2)
  })

  it('that cannot be synced is refused, and nobody hears of it', async () => {
    const heard: Notice[] = []
    backend.watch('', (notice) => heard.push(notice))
    const writing = backend.put('a', '1')
    await until(() => ends.length === 1)
    ends[0]?.(new Error('no disk'))
    await expect(writing).rejects.toThrow('no disk')
    expect(heard).toEqual([])
  })

  it('after one that could not be synced does not begin', async () => {
    const writing = backend.put('a', '1')
    await until(() => ends.length === 1)
    ends[0]?.(new Error('no disk'))
    await expect(writing).rejects.toThrow('no disk')
    await expect(backend.put('b', '1')).rejects.toThrow('no disk')
    expect((await backend.range('')).map(({key}) => key)).toEqual(['a'])
  })

  it('that was committed while another could not be synced is refused as well, whatever the disk says later', async () => {
    const first = backend.put('a', '1')
    await until(() => ends.length === 1)
    const second = backend.put('b', '1')
    while ((await backend.range('')).length < 2) await new Promise((resolve) => setImmediate(resolve))
    syncs = 'free'
    ends[0]?.(new Error('no disk'))
    await expect(first).rejects.toThrow('no disk')
    await expect(second).rejects.toThrow('no disk')
  })

  it('waits while the journal is emptied, which reads do not; once it is, there is no need to do it again', async () => {
    const {writing} = await writeWhileEmptied()
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect((await backend.range('')).map(({key}) => key)).toEqual(['a'])
    settles = 'free'
    ends.at(-1)?.()
    await writing
    expect(await backend.get('b')).toMatchObject({value: '1'})
    jest.advanceTimersByTime(1000)
    await until(() => copies === 2)
    jest.advanceTimersByTime(10_000)
    await backend.put('c', '1')
    expect(copies).toBe(2)
  })

  it('goes on while there is no room to copy the journal, which is tried again', async () => {
    syncs = 'free'
    copyFailure = new Error('database or disk is full')
    await backend.put('a', '1')
    jest.advanceTimersByTime(1000)
    await until(() => copies === 1)
    await backend.put('b', '1')
    jest.advanceTimersByTime(1000)
    await until(() => copies === 2)
    copyFailure = undefined
    jest.advanceTimersByTime(1000)
    await until(() => copies === 3)
    await backend.put('c', '1')
    expect((await backend.range('')).map(({key}) => key)).toEqual(['a', 'b', 'c'])
  })

  it('does not follow a journal that could not be emptied', async () => {
    const {writing} = await writeWhileEmptied()
    ends.at(-1)?.(new Error('no disk'))
    await expect(writing).rejects.toThrow('no disk')
    expect(await backend.get('b')).toBeUndefined()
  })
})
