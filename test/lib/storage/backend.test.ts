import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {systemClock} from '../../../src/lib/core/clock.js'
import type {Backend, EventRecord, Events, Notice} from '../../../src/lib/storage/backend.js'
import {openSqlite} from '../../../src/lib/storage/sqlite.js'

let directory: string
let backend: Backend
let now: number

beforeEach(async () => {
  now = 1_000_000
  directory = await mkdtemp(join(tmpdir(), 'postern-storage-'))
  backend = await openSqlite({path: join(directory, 'backend.sqlite'), clock: {...systemClock, now: () => now}})
})

afterEach(async () => {
  await backend.close()
  await rm(directory, {recursive: true, force: true})
})

const swap = async (key: string, revision: number, value: string): Promise<number | undefined> =>
  (await backend.write([{type: 'put', key, value, expect: revision}]))[0]

const keysOf = async (...range: Parameters<Backend['range']>): Promise<string[]> =>
  (await backend.range(...range)).map(({key}) => key)

describe('a write', () => {
  it('creates only what is not there', async () => {
    await backend.create('a', '1')
    await expect(backend.create('a', '2')).rejects.toMatchObject({code: 'ALREADY_EXISTS'})
    expect((await backend.get('a'))?.value).toBe('1')
  })

  it('swaps only what nobody changed since it was read', async () => {
    const first = await backend.put('a', '1')
    const second = await swap('a', first, '2')
    expect(second ?? 0).toBeGreaterThan(first)
    await expect(swap('a', first, '3')).rejects.toMatchObject({code: 'CONFLICT'})
    await expect(swap('b', first, '3')).rejects.toMatchObject({code: 'CONFLICT'})
    expect(await backend.get('a')).toEqual({key: 'a', value: '2', revision: second})
    await backend.delete('a')
    await expect(swap('a', second ?? 0, '3')).rejects.toMatchObject({code: 'CONFLICT'})
  })

  it('makes all of its changes or none', async () => {
    await backend.put('a', '1')
    const changes = [
      {type: 'put', key: 'b', value: '1'},
      {type: 'delete', key: 'a'},
      {type: 'put', key: 'c', value: '2', expect: 12_345},
    ] as const
    await expect(backend.write(changes)).rejects.toMatchObject({code: 'CONFLICT'})
    expect(await keysOf('')).toEqual(['a'])
    await backend.write(changes.slice(0, 2))
    expect(await keysOf('')).toEqual(['b'])
  })

  it('stores the events that tell of it, or makes none of its changes', async () => {
    const events: Events = {records: [{time: 1, event: 'e', hash: '', body: '{}'}]}
    const heard: Notice[] = []
    backend.watch('', (notice) => heard.push(notice))
    const unsealed: Events = {
      ...events,
      seal: () => {
        throw new Error('no key')
      },
    }
    await expect(backend.write([{type: 'put', key: 'a', value: '1'}], unsealed)).rejects.toThrow('no key')
    await expect(backend.write([{type: 'delete', key: 'a', expect: 'present'}], events)).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
    expect(await keysOf('')).toEqual([])
    expect(heard).toEqual([])
    expect((await backend.listEvents({limit: 10})).bodies).toEqual([])
    await backend.write([{type: 'put', key: 'a', value: '1'}], events)
    await backend.write([{type: 'delete', key: 'a', expect: 'present'}], events)
    expect(heard).toHaveLength(2)
    expect((await backend.listEvents({limit: 10})).bodies).toEqual(['{}', '{}'])
  })

  it('says whether there was something to delete', async () => {
    await backend.put('a', '1')
    expect(await backend.delete('a')).toBe(true)
    expect(await backend.delete('a')).toBe(false)
  })
})

describe('a range', () => {
  it('has the keys with its prefix and no other, in the order of their bytes', async () => {
    for (const key of ['db/b', 'db/é', 'db/B', 'db/%', 'db/a/1', 'db', 'db0', 'dc/a', 'db/a'])
      await backend.put(key, '')
    expect(await keysOf('db/')).toEqual(['db/%', 'db/B', 'db/a', 'db/a/1', 'db/b', 'db/é'])
  })

  it('comes in pages', async () => {
    for (const key of ['k/1', 'k/2', 'k/3', 'k/4', 'k/5']) await backend.put(key, '')
    expect(await keysOf('k/', {limit: 2})).toEqual(['k/1', 'k/2'])
    expect(await keysOf('k/', {limit: 2, after: 'k/2'})).toEqual(['k/3', 'k/4'])
    expect(await keysOf('k/', {after: 'k/4'})).toEqual(['k/5'])
  })
})

describe('an item that expires', () => {
  it('is gone from every read at its moment, and makes room for another', async () => {
    const revision = await backend.put('a', '1', now + 10)
    now += 9
    expect((await backend.get('a'))?.expires).toBe(1_000_010)
    now += 1
    expect(await backend.get('a')).toBeUndefined()
    expect(await keysOf('')).toEqual([])
    expect(await backend.delete('a')).toBe(false)
    await expect(swap('a', revision, '2')).rejects.toMatchObject({code: 'CONFLICT'})
    await backend.create('a', '2')
    expect((await backend.get('a'))?.value).toBe('2')
  })

  it('is swept away, and its watchers hear of it', async () => {
    await backend.put('a', '1', now + 10)
    const heard = new Promise<Notice>((resolve) => backend.watch('a', resolve))
    now += 10
    expect(await heard).toMatchObject({type: 'delete', key: 'a'})
  })
})

describe('a watcher', () => {
  it('hears of every change below its prefix in order, of no failed one, and of none after it stopped', async () => {
    const heard: string[] = []
    const stop = backend.watch('a/', (notice) => {
      heard.push(notice.type === 'put' ? `put ${notice.item.key} ${notice.item.value}` : `delete ${notice.key}`)
    })
    await Promise.all([
      backend.put('a/1', 'x'),
      backend.put('b/1', 'x'),
      backend.put('a/2', 'x'),
      backend.create('a/1', 'y').catch(() => undefined),
      backend.delete('a/1'),
      backend.put('a/1', 'z'),
    ])
    stop()
    await backend.put('a/1', 'unheard')
    expect(heard).toEqual(['put a/1 x', 'put a/2 x', 'delete a/1', 'put a/1 z'])
  })
})

describe('the log', () => {
  const record = (index: number, more: Partial<EventRecord> = {}): EventRecord => ({
    time: index,
    event: 'db.session.query',
    hash: `hash of ${index}`,
    body: `${index}`,
    ...more,
  })

  it('holds one event per session and index: the same again is harmless, another one is a conflict', async () => {
    const first = record(1, {sid: 's', ei: 0})
    expect(await backend.appendEvents([first])).toEqual(['stored'])
    const more = [first, record(2, {sid: 's', ei: 0}), record(3, {sid: 's', ei: 1}), record(4)]
    expect(await backend.appendEvents(more)).toEqual(['duplicate', 'conflict', 'stored', 'stored'])
    expect((await backend.listEvents({limit: 10, sid: 's'})).bodies).toEqual(['1', '3'])
  })

  it('tells what is new among many, and keeps their order', async () => {
    const all = Array.from({length: 200}, (_, index) => record(index, {sid: 's', ei: index}))
    const known = all.filter((_event, index) => index % 70 === 0)
    expect(await backend.appendEvents(known)).toEqual(['stored', 'stored', 'stored'])
    const outcomes = await backend.appendEvents([...all, record(999, {sid: 's', ei: 199})])
    expect(outcomes).toEqual([...all.map((event) => (known.includes(event) ? 'duplicate' : 'stored')), 'conflict'])
    const fresh = all.filter((event) => !known.includes(event))
    expect((await backend.listEvents({limit: 500, sid: 's'})).bodies).toEqual(
      [...known, ...fresh].map(({body}) => body),
    )
  })

  it('keeps events outside of sessions apart, also equal ones', async () => {
    expect(await backend.appendEvents([record(1), record(1)])).toEqual(['stored', 'stored'])
  })

  it('gives the newest, and from a position on all of them, page by page', async () => {
    await backend.appendEvents([1, 2, 3, 4, 5].map((index) => record(index)))
    expect(await backend.listEvents({limit: 2})).toMatchObject({bodies: ['4', '5']})
    const first = await backend.listEvents({limit: 2, after: 0})
    expect(first.bodies).toEqual(['1', '2'])
    const second = await backend.listEvents({limit: 2, after: first.next})
    expect(second.bodies).toEqual(['3', '4'])
    expect(await backend.listEvents({limit: 2, after: second.next})).toMatchObject({bodies: ['5']})
  })

  it('is filtered by name, user, session and time', async () => {
    await backend.appendEvents([
      record(1, {event: 'user.login', user: 'alice'}),
      record(2, {event: 'user.login', user: 'bob'}),
      record(3, {user: 'alice', sid: 's', ei: 0}),
    ])
    const bodies = async (filter: object): Promise<readonly string[]> =>
      (await backend.listEvents({limit: 10, ...filter})).bodies
    expect(await bodies({events: ['user.login']})).toEqual(['1', '2'])
    expect(await bodies({events: ['user.*', 'nothing']})).toEqual(['1', '2'])
    expect(await bodies({events: ['*']})).toEqual(['1', '2', '3'])
    expect(await bodies({user: 'alice'})).toEqual(['1', '3'])
    expect(await bodies({user: 'alice', events: ['user.login']})).toEqual(['1'])
    expect(await bodies({sid: 's'})).toEqual(['3'])
    expect(await bodies({from: 2, to: 2})).toEqual(['2'])
    const {positions} = await backend.listEvents({limit: 10})
    expect(await bodies({before: positions[1]})).toEqual(['1'])
  })

  it('is filtered by what an event has at its top level', async () => {
    const events = [
      {db_service: 'a_b', success: true},
      {db_service: 'axb', success: false},
      {db_service: 'a"b\\', code: '100%'},
    ]
    await backend.appendEvents(events.map((event, index) => record(index, {body: JSON.stringify(event)})))
    const found = async (having: Record<string, string | boolean>): Promise<number[]> => {
      const {bodies} = await backend.listEvents({limit: 10, having})
      return bodies.map((body) => events.findIndex((event) => JSON.stringify(event) === body))
    }
    expect(await found({db_service: 'a_b'})).toEqual([0])
    expect(await found({success: false})).toEqual([1])
    expect(await found({db_service: 'a"b\\', code: '100%'})).toEqual([2])
    expect(await found({db_service: 'a'})).toEqual([])
  })

  it('is looked at in parts when it is long, which are no limits of a page, and others have their turn in between', async () => {
    const count = 25_000
    for (let index = 0; index < count; index += 1000) {
      const events = Array.from({length: 1000}, (_, more) => {
        const isRare = (index + more) % 6000 === 5
        return record(index + more, {...(isRare && {event: 'rare.one'}), body: `{"rare":${isRare}}`})
      })
      await backend.appendEvents(events)
    }
    // Also what is stored between events has a position.
    await backend.put('a', '1')
    const rare = [6, 6006, 12_006, 18_006, 24_006]
    const having = {rare: true}
    let turns = 0
    const turn = (): void => {
      turns += 1
      next = setImmediate(turn)
    }
    let next = setImmediate(turn)
    const all = await backend.listEvents({having, limit: 10, after: 0})
    clearImmediate(next)
    expect(turns).toBeGreaterThan(1)
    expect(all).toMatchObject({positions: rare, seen: count})
    expect(all.next).toBeUndefined()
    expect(await backend.listEvents({having, limit: 3, after: 6})).toMatchObject({
      positions: rare.slice(1, 4),
      next: rare[3],
      seen: rare[3],
    })
    expect((await backend.listEvents({having, limit: 3})).positions).toEqual(rare.slice(-3))
    expect((await backend.listEvents({having, limit: 3, before: 12_006})).positions).toEqual(rare.slice(0, 2))
    expect((await backend.listEvents({events: ['rare.*'], limit: 9})).positions).toEqual(rare)
    expect(await backend.listEvents({events: ['other.*'], limit: 9, after: 7})).toEqual({
      bodies: [],
      positions: [],
      seen: count,
    })
  })
})

describe('connections of the proxies', () => {
  it('that no session names are found among many, page by page, and others have their turn meanwhile', async () => {
    const count = 11_000
    const idOf = (index: number): string => index.toString(16).padStart(32, '0')
    const splices = Array.from({length: count}, (_, index) => {
      const isStrange = index % 5000 === 1
      return {id: idOf(index), host: 'h', opened: 1, ended: 2, toAgent: isStrange ? 1000 : 10, toClient: 10}
    })
    for (let index = 0; index < count; index += 1000) await backend.appendSplices(splices.slice(index, index + 1000))
    let hasTurned = false
    setImmediate(() => (hasTurned = true))
    const strange = async (more: object): Promise<string[]> =>
      (await backend.strangeSplices({before: 3, moreThan: 100, limit: 10, ...more})).map(({id}) => id)
    expect(await strange({})).toEqual([1, 5001, 10_001].map(idOf))
    expect(hasTurned).toBe(true)
    expect(await strange({limit: 2})).toEqual([1, 5001].map(idOf))
    expect(await strange({after: idOf(5001)})).toEqual([idOf(10_001)])
    expect(await strange({before: 2})).toEqual([])
  })
})
