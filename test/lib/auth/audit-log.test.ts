import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import {SealingKey} from '../../../src/lib/audit/seal.js'
import {AuditLog} from '../../../src/lib/auth/audit-log.js'
import {exportEvents} from '../../../src/lib/cli/event-export.js'
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
    events.push(
      ...lines
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Exported),
    )
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
