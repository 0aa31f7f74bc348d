import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import {Kysely} from 'kysely'
import Database from 'libsql'
import {systemClock as clock} from '../../../src/lib/core/clock.js'
import type {Backend, EventRecord, Notice} from '../../../src/lib/storage/backend.js'
import {SingleConnectionDialect} from '../../../src/lib/storage/single-connection.js'
import {SqlBackend} from '../../../src/lib/storage/sql-backend.js'
import type {Tables} from '../../../src/lib/storage/tables.js'

let backend: Backend
/** Ends the syncs that have begun, oldest first. */
let ends: ((error?: Error) => void)[]
let held: boolean

beforeEach(async () => {
  ends = []
  held = true
  const open = (): Database.Database => new Database(':memory:')
  const db = new Kysely<Tables>({dialect: new SingleConnectionDialect(open)})
  backend = await SqlBackend.open(
    db,
    clock,
    () =>
      new Promise((resolve, reject) => {
        if (!held) resolve()
        ends.push((error) => {
          if (error) reject(error)
          else resolve()
        })
      }),
  )
})

afterEach(async () => {
  held = false
  for (const end of ends) end()
  await backend.close()
})

async function until(reached: () => boolean): Promise<void> {
  while (!reached()) await new Promise((resolve) => setImmediate(resolve))
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
})
