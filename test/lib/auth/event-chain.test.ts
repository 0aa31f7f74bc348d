import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import Database from 'libsql'
import {readSealKeys, SealingKey} from '../../../src/lib/audit/seal.js'
import {AuditLog} from '../../../src/lib/auth/audit-log.js'
import {verifyEvents} from '../../../src/lib/auth/event-chain.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import type {Backend, EventRecord} from '../../../src/lib/storage/backend.js'
import {openSqlite} from '../../../src/lib/storage/sqlite.js'

const key = new SealingKey(SealingKey.generate())
let directory: string
let backend: Backend
let log: AuditLog

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-chain-'))
  await open()
})

afterEach(async () => {
  await backend.close()
  await rm(directory, {recursive: true})
})

const file = (): string => join(directory, 'backend.sqlite')

async function open(): Promise<void> {
  backend = await openSqlite({path: file(), clock: systemClock})
  log = new AuditLog(backend, 'example.com', systemClock, key)
}

/** Somebody writes into the file of the control plane while that is down. */
async function tamper(...statements: string[]): Promise<void> {
  await backend.close()
  const database = new Database(file())
  for (const statement of statements) database.exec(statement)
  database.close()
  await open()
}

const foreign = (ei: number, sid = 's'): EventRecord => ({
  ...{time: 1000 + ei, event: 'db.session.query', user: 'alice', sid, ei},
  ...{hash: `hash of ${ei}`, body: JSON.stringify({ei, db_query: `select ${ei}`})},
})

/** One event of the control plane, five of an agent, one more. */
async function fill(): Promise<void> {
  await log.append('user.create', {name: 'alice', user: 'root'})
  await log.appendForeign([0, 1, 2, 3, 4].map((ei) => foreign(ei)))
  await log.append('user.delete', {name: 'alice', user: 'root'})
}

async function verified(
  head?: string,
  keys = [key.publicKey],
): Promise<{problems: string[]; events: number; head?: string}> {
  const walk = verifyEvents({backend, keys: readSealKeys(keys), head})
  const problems: string[] = []
  for (;;) {
    const {done, value} = await walk.next()
    if (done) return {problems, events: value.events, ...(value.head !== undefined && {head: value.head})}
    problems.push(`${value.id}: ${value.problem}`)
  }
}

const problems = async (): Promise<string[]> => (await verified()).problems

async function positionOf(sql: string): Promise<number> {
  const events = await backend.storedEvents({after: 0, limit: 5000})
  return events.find(({record}) => record.body.includes(sql))?.position ?? 0
}

describe('the chain of the audit log', () => {
  it('holds as long as nobody touches the log, over restarts and repeated events', async () => {
    expect(await verified()).toEqual({problems: [], events: 0})
    await fill()
    await tamper()
    expect(await log.appendForeign([foreign(3), foreign(5), {...foreign(4), hash: 'another'}])).toEqual([
      'duplicate',
      'stored',
      'conflict',
    ])
    await log.appendForeign([foreign(5)])
    expect(await verified()).toMatchObject({problems: [], events: 8, head: expect.stringMatching(/^4:[0-9a-f]{64}$/)})
  })

  it('holds over many pages', async () => {
    const all = Array.from({length: 1300}, (_, ei) => foreign(ei, 'long'))
    await log.appendForeign(all.slice(0, 700))
    for (const record of all.slice(700)) await log.appendForeign([record])
    expect(await verified()).toMatchObject({problems: [], events: 1300})
    const position = await positionOf('select 1200"')
    await tamper(`update events set body = '{}' where position = ${position}`)
    expect(await problems()).toEqual([`${position}: This event is not the one that was sealed.`])
  })

  it.each(['body', 'time', 'event', 'user', 'sid', 'ei', 'hash'])(
    'F07 names the event whose %s was changed',
    async (column) => {
      await fill()
      const position = await positionOf('select 2"')
      await tamper(`update events set "${column}" = 77 where position = ${position}`)
      expect(await problems()).toEqual([`${position}: This event is not the one that was sealed.`])
    },
  )

  it.each(["sid = ''", 'ei = -1', "user = ''"])('F07 tells nothing from an empty value: %s', async (change) => {
    await log.append('user.create', {name: 'alice'})
    const position = await positionOf('user.create')
    await tamper(`update events set ${change} where position = ${position}`)
    expect(await problems()).toEqual([`${position}: This event is not the one that was sealed.`])
  })

  it('F07 names where events were removed', async () => {
    await fill()
    const next = await positionOf('select 3"')
    await tamper(`delete from events where ei = 2`)
    expect(await problems()).toEqual([`${next}: Before this event 1 event is missing.`])
  })

  it('F07 finds that the last events were removed', async () => {
    await fill()
    const last = await positionOf('user.delete')
    await tamper(`delete from events where position = ${last}`)
    expect(await problems()).toEqual([`${last}: Here 1 event is missing.`])
    await log.append('user.create', {name: 'bob', user: 'root'})
    expect(await problems()).toEqual([`${last}: Here 1 event is missing.`])
  })

  it('F07 names the first of two events that changed places', async () => {
    await fill()
    const [one, other] = [await positionOf('select 1"'), await positionOf('select 3"')]
    await tamper(
      `update events set position = -1 where position = ${one}`,
      `update events set position = ${one} where position = ${other}`,
      `update events set position = ${other} where position = -1`,
    )
    expect(await problems()).toEqual([`${one}: This event is not the one that was sealed.`])
  })

  it('F07 names an event that was put in, before the newest and behind it', async () => {
    await log.append('user.create', {name: 'alice', user: 'root'})
    await backend.put('a', 'key between the events, since one counter counts both')
    await fill()
    const position = (await positionOf('user.create')) + 1
    const insert = (at: number): string =>
      `insert into events (position, time, event, hash, body) values (${at}, 1, 'role.created', '', '{}')`
    await tamper(insert(position), insert(9999))
    expect(await problems()).toEqual([
      `${position}: This event does not belong here.`,
      '9999: From here on nothing is sealed.',
    ])
  })

  it('F07 finds seals that were removed, changed, or made with another key', async () => {
    await fill()
    const forger = new SealingKey(SealingKey.generate())
    const last = await positionOf('user.delete')
    expect((await verified(undefined, [forger.publicKey])).problems).toHaveLength(3)
    await tamper(`update event_seals set events = events + 1 where number = 2`)
    expect(await problems()).toEqual([
      expect.stringContaining('The link of seal 2 is broken'),
      expect.stringContaining('The link of seal 3 is broken'),
    ])
    await tamper(
      `update event_seals set events = events - 1, signature = '${key.id}:AAAA' where number = 2`,
      `delete from event_seals where number = 1`,
    )
    expect(await problems()).toEqual([
      expect.stringContaining('Seal 1 is missing: what was sealed there is not known.'),
    ])
    await tamper(`delete from event_seals where number = 3`)
    expect((await problems()).at(-1)).toBe(`${last}: From here on nothing is sealed.`)
  })

  it('finds a cut that takes the seals along, by a head that somebody kept', async () => {
    await fill()
    const {head} = await verified()
    await log.append('user.create', {name: 'bob', user: 'root'})
    expect(await verified(head)).toMatchObject({problems: [], events: 8})
    const last = await positionOf('user.delete')
    await tamper(`delete from events where position >= ${last}`, `delete from event_seals where position >= ${last}`)
    expect(await problems()).toEqual([])
    expect((await verified(head)).problems).toEqual([expect.stringContaining(`The log does not hold ${head}`)])
  })

  it('goes on from the oldest seal that is kept', async () => {
    await fill()
    const first = await positionOf('user.create')
    await tamper(`delete from events where position = ${first}`, 'delete from event_seals where number = 1')
    expect(await problems()).toEqual([expect.stringContaining('Seal 1 is missing')])
    await tamper(`update events set body = '{}' where event = 'user.delete'`)
    expect(await problems()).toHaveLength(2)
  })

  it('lets others have their turn while it walks a long log', async () => {
    for (let index = 0; index < 5; index++) {
      await log.appendForeign(Array.from({length: 100}, (_, ei) => foreign(ei, `s${index}`)))
    }
    let turns = 0
    const turn = (): void => {
      turns += 1
      next = setImmediate(turn)
    }
    let next = setImmediate(turn)
    expect(await verified()).toMatchObject({problems: [], events: 500})
    clearImmediate(next)
    expect(turns).toBeGreaterThan(1)
  })

  it('begins behind the events of a version that sealed none', async () => {
    await fill()
    await tamper(
      'drop table event_seals',
      `delete from counters where name = 'sealed_from'`,
      'update schema_version set version = 2',
    )
    expect(await verified()).toEqual({problems: [], events: 0})
    await fill()
    expect(await verified()).toMatchObject({problems: [], events: 2})
  })
})
