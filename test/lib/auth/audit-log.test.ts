import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {Writable} from 'node:stream'
import {afterEach, beforeEach, describe, expect, it, jest} from '@jest/globals'
import {SealingKey} from '../../../src/lib/audit/seal.js'
import {AuditLog} from '../../../src/lib/auth/audit-log.js'
import {exportEvents, writePages} from '../../../src/lib/cli/event-export.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {PosternError} from '../../../src/lib/core/errors.js'
import type {Backend} from '../../../src/lib/storage/backend.js'
import {openSqlite} from '../../../src/lib/storage/sqlite.js'

let directory: string
let backend: Backend
let log: AuditLog

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-log-'))
  backend = await openSqlite({path: join(directory, 'backend.sqlite'), clock: systemClock})
  log = new AuditLog(backend, 'example.com', systemClock, new SealingKey(SealingKey.generate()))
})

afterEach(async () => {
  await backend.close()
  await rm(directory, {recursive: true})
})

/** The control plane's events, as the API gives them. */
const client = {
  events: async ({cursor, wait}: {cursor?: string | undefined; wait?: unknown}) =>
    log.list({limit: 2, cursor, wait: wait === undefined ? 0 : 20}),
}

const linesOf = (text: string): string[] => text.split('\n').filter((line) => line !== '')

interface Exported {
  readonly event: string
  readonly name?: string
  readonly cursor: string
}

async function exported(count: number, options: Partial<Parameters<typeof exportEvents>[0]> = {}): Promise<Exported[]> {
  const events: Exported[] = []
  for await (const {lines} of exportEvents({
    client,
    query: {},
    follow: false,
    onTrouble: () => undefined,
    ...options,
  })) {
    events.push(...linesOf(lines).map((line) => JSON.parse(line) as Exported))
    if (events.length >= count) break
  }
  return events
}

const create = (name: string): Promise<void> => log.append('role.created', {name, user: 'alice'})
const names = (events: readonly Exported[]): unknown[] => events.map(({name}) => name)

describe('exporting the audit log', () => {
  it('gives every event once, from the oldest on, and goes on behind any cursor', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) await create(name)
    const all = await exported(Infinity)
    expect(names(all)).toEqual(['a', 'b', 'c', 'd', 'e'])
    for (const [index, {cursor}] of all.entries()) {
      expect(names(await exported(Infinity, {cursor}))).toEqual(['a', 'b', 'c', 'd', 'e'].slice(index + 1))
    }
  })

  it('is not stopped by an event that is damaged', async () => {
    await create('a')
    await backend.appendEvents([{time: Date.now(), event: 'user.login', hash: '', body: '{"event":"user.lo'}])
    await create('c')
    const events = await exported(Infinity)
    expect(events).toMatchObject([
      {name: 'a'},
      {event: 'audit.unreadable', code: 'PAU02E', stored: '{"event":"user.lo'},
      {name: 'c'},
    ])
  })

  it('follows what happens, also when the control plane is away for a while', async () => {
    await create('a')
    const troubles: string[] = []
    let asked = 0
    const flaky = {
      events: (query: {cursor?: string | undefined}) => {
        asked += 1
        if (asked === 2) return Promise.reject(new PosternError('UNREACHABLE', 'The control plane is away.'))
        if (asked === 3) void create('b')
        return client.events({...query, wait: 1})
      },
    }
    const events = await exported(2, {client: flaky, follow: true, onTrouble: (reason) => troubles.push(reason)})
    expect(names(events)).toEqual(['a', 'b'])
    expect(troubles).toEqual(['The control plane is away.'])
    const denied = {events: () => Promise.reject(new PosternError('ACCESS_DENIED', 'No.'))}
    await expect(exported(1, {client: denied, follow: true})).rejects.toMatchObject({code: 'ACCESS_DENIED'})
  })

  it('does not look again at what it has seen, also when nothing of it was asked for', async () => {
    for (const name of ['a', 'b', 'c']) await create(name)
    const looked = jest.spyOn(backend, 'listEvents')
    const question = {event: ['user.login'], limit: 2}
    const answered = log.list({...question, cursor: '0', wait: 120})
    const look = async (number: number): Promise<void> => {
      while (looked.mock.results.length < number) await new Promise((resolve) => setImmediate(resolve))
      await looked.mock.results[number - 1]?.value
    }
    await look(1)
    await create('d')
    await look(2)
    await log.append('user.login', {user: 'alice'})
    expect((await answered).events).toHaveLength(1)
    expect(looked.mock.calls.map(([{after}]) => after)).toEqual([0, 3, 4])
    expect(await log.list({...question, cursor: '5'})).toEqual({events: [], cursors: [], seen: '5'})
    const asked: unknown[] = []
    const filtered = {
      events: ({cursor}: {cursor?: string | undefined}) => {
        asked.push(cursor)
        return log.list({event: ['user.*'], limit: 2, cursor})
      },
    }
    await create('e')
    expect(await exported(Infinity, {client: filtered})).toMatchObject([{event: 'user.login'}])
    expect(await exported(Infinity, {client: filtered, cursor: '5'})).toEqual([])
    const kept: string[] = []
    const pages = exportEvents({
      ...{client: filtered, query: {}, cursor: '5', follow: false},
      onTrouble: () => undefined,
    })
    for await (const {cursor} of pages) kept.push(cursor)
    expect(kept).toEqual(['6'])
  })

  it('refuses a cursor that the log never reached: what comes up to there would be missing', async () => {
    await expect(log.list({limit: 2, cursor: '0'})).resolves.toMatchObject({events: []})
    await create('a')
    await expect(log.list({limit: 2, cursor: '1'})).resolves.toMatchObject({events: []})
    await expect(log.list({limit: 2, cursor: '2', wait: 600})).rejects.toMatchObject({
      code: 'INVALID',
      message: 'The audit log does not reach to the cursor 2.',
    })
  })

  it('keeps a cursor only when whoever reads has taken what is before it', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await create(name)
    const pages = exportEvents({...{client, query: {}, follow: false}, onTrouble: () => undefined})
    const kept: string[] = []
    const takers: ((error?: Error) => void)[] = []
    const reader = new Writable({
      write: (_chunk, _encoding, done) => {
        takers.push(done)
      },
    })
    reader.on('error', () => undefined)
    const written = writePages(pages, reader, (cursor) => {
      kept.push(cursor)
      return Promise.resolve()
    })
    const taken = async (count: number): Promise<void> => {
      while (takers.length < count) await new Promise((resolve) => setImmediate(resolve))
    }
    await taken(1)
    expect(kept).toEqual([])
    takers[0]?.()
    await taken(2)
    expect(kept).toEqual(['2'])
    takers[1]?.(new Error('gone'))
    await expect(written).rejects.toThrow('gone')
    expect(kept).toEqual(['2'])
  })

  it('pages back from the newest', async () => {
    for (const name of ['a', 'b', 'c']) await create(name)
    const newest = await log.list({limit: 2})
    expect(newest.events).toMatchObject([{name: 'b'}, {name: 'c'}])
    const older = await log.list({limit: 2, before: newest.older})
    expect(older.events).toMatchObject([{name: 'a'}])
    expect(older.older).toBeUndefined()
    await expect(log.list({limit: 2, before: 'x'})).rejects.toMatchObject({code: 'INVALID'})
  })
})
