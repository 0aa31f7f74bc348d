import {readdir, readFile, rm, utimes, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import type {VerificationLine} from '../../../src/lib/api/verification.js'
import {StoredAudit, type Question} from './retention-rig.js'

const day = 86_400_000
let stored: StoredAudit

beforeEach(async () => {
  stored = await StoredAudit.create()
})

afterEach(() => stored.remove())

async function problems(question: Question = {}): Promise<string[]> {
  return (await stored.verify(question)).flatMap((line) => (line.type === 'problem' ? [line.problem] : []))
}

async function summary(): Promise<Extract<VerificationLine, {type: 'summary'}>> {
  const line = (await stored.verify()).at(-1)
  if (line?.type !== 'summary') throw new Error('there is no summary')
  return line
}

const recorded = async (): Promise<string[]> =>
  (await readdir(join(stored.directory, 'recordings'))).map((name) => name.replace('.ndjson', '')).sort()

const fileOf = (sid: string): string => join(stored.directory, 'recordings', `${sid}.ndjson`)

const logged = async (event: string): Promise<readonly Readonly<Record<string, unknown>>[]> =>
  (await stored.log.list({event: [event], limit: 100})).events

describe('recordings that are too old', () => {
  it('are removed once their sessions have ended, and are not missing then', async () => {
    const [old, open] = [await stored.session(), await stored.session({ended: false})]
    stored.late = 89 * day
    const young = await stored.session()
    await stored.retention({recordings: 90 * day}).sweep()
    expect(await recorded()).toEqual([old, open, young].sort())
    stored.late = 91 * day
    await stored.retention({recordings: 90 * day}).sweep()
    expect(await recorded()).toEqual([open, young].sort())
    expect(await problems()).toEqual([])
    expect(await summary()).toMatchObject({sessions: 3, problems: 0, pruned: 1})
    await expect(problems({sid: old})).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: `The recording of session ${old} was removed: it was older than recordings are kept.`,
    })
    expect(await problems({sid: young})).toEqual([])
    expect(await logged('audit.recordings.prune')).toMatchObject([
      {code: 'PAU03I', user: '@retention', user_kind: 3, recordings: 1, older_than: expect.stringMatching(/Z$/)},
    ])
    // One that is removed by hand is missing, also if somebody writes that it was too old.
    await rm(fileOf(young))
    expect(await problems()).toEqual(['Its recording is missing.'])
    await stored.tamper(
      `insert into session_links select position + 1000, host, stream, number, sid, 'pruned', records, head, connection, link, signature
       from session_links where sid = '${young}' and kind = 'end'`,
    )
    expect(await problems()).toEqual([expect.stringContaining('the link is broken')])
  })

  it('are kept when they are not as they were sealed, whatever the time of the file says', async () => {
    const [changed, touched] = [await stored.session(), await stored.session()]
    const text = await readFile(fileOf(changed), 'utf8')
    await writeFile(fileOf(changed), text.replace('"ei":2', '"ei":2 '))
    await writeFile(fileOf('notes'), 'these are none')
    stored.late = 91 * day
    await utimes(fileOf(touched), 1, 1)
    await stored.retention({recordings: 92 * day}).sweep()
    expect(await recorded()).toEqual([changed, touched, 'notes'].sort())
    await stored.retention({recordings: 90 * day}).sweep()
    expect(await recorded()).toEqual([changed, 'notes'].sort())
    expect(await problems({sid: changed})).toEqual(['The record 2 is not the one that was sealed.'])
  })

  it('that a crash left behind go with the next sweep', async () => {
    const sid = await stored.session()
    const text = await readFile(fileOf(sid))
    stored.late = 91 * day
    const retention = stored.retention({recordings: 90 * day})
    await retention.sweep()
    await writeFile(fileOf(sid), text)
    expect(await problems()).toEqual([])
    await retention.sweep()
    expect(await recorded()).toEqual([])
  })
})

describe('events that are too old', () => {
  /** Three sessions, long ago, then one; what was too old is removed. @returns the head of before, and of after */
  async function prune(): Promise<{before: string; after: string}> {
    for (let count = 0; count < 3; count += 1) await stored.session()
    const {head: before = ''} = await summary()
    stored.late = 400 * day
    await stored.session()
    const {head: after = ''} = await summary()
    await stored.retention({events: 365 * day}).sweep()
    return {before, after}
  }

  it('are removed, and what is left is as it was sealed', async () => {
    const {after} = await prune()
    const left = (await stored.log.list({limit: 100})).events
    expect(left.map(({event}) => event)).toEqual([
      ...['db.session.start', 'db.session.query', 'db.session.query', 'db.session.end', 'session.upload'],
      'audit.events.prune',
    ])
    expect(left.at(-1)).toMatchObject({
      code: 'PAU04I',
      user: '@retention',
      head: expect.stringMatching(/^9:[0-9a-f]{64}$/),
    })
    expect(await problems()).toEqual([])
    expect(await problems({head: after})).toEqual([])
    expect(await summary()).toMatchObject({
      events: 6,
      removed: 15,
      older_than: expect.stringMatching(/Z$/),
      sessions: 4,
    })
    await stored.tamper()
    await stored.session()
    await stored.retention({events: 365 * day}).sweep()
    expect(await problems({head: after})).toEqual([])
    expect(await logged('audit.events.prune')).toHaveLength(1)
  })

  it('cannot be asked for any more by a head of theirs, but by the last one', async () => {
    const {before} = await prune()
    expect(await problems({head: before})).toEqual([])
    expect(await problems({head: `3:${'0'.repeat(64)}`})).toEqual([expect.stringContaining('cannot be told any more')])
    expect(await problems({head: `99:${'0'.repeat(64)}`})).toEqual([expect.stringContaining('its end was cut')])
  })

  it('F07 hide nothing that somebody else removes, changes or puts in', async () => {
    await prune()
    await stored.tamper(
      `delete from events where position <= (select position from event_seals order by number limit 1)`,
      `delete from event_seals where number = (select min(number) from event_seals)`,
    )
    expect(await problems()).toContainEqual('Seal 10 is missing: what was sealed there is not known.')
  })

  it('F07 make no place for others', async () => {
    await prune()
    await stored.tamper(`insert into events (position, time, event, hash, body) values (1, 1, 'user.login', '', '{}')`)
    expect(await problems()).toEqual(['This event does not belong here.'])
  })

  it('F07 are known by a signature: nobody else moves where the log begins', async () => {
    await prune()
    await stored.tamper(
      `delete from events where position <= (select position from event_seals order by number limit 1)`,
      `update items set value = json_set(value, '$.number', (select number from event_seals order by number limit 1),
         '$.position', (select position from event_seals order by number limit 1),
         '$.link', (select link from event_seals order by number limit 1)) where key = 'audit_log/pruned'`,
      `delete from event_seals where number = (select min(number) from event_seals)`,
    )
    expect(await problems()).toContainEqual('The seals 1–10 are missing: what was sealed there is not known.')
  })

  it('F07 are kept from the first one on that is not as it was sealed', async () => {
    await stored.session()
    const second = await stored.session()
    await stored.session()
    await stored.tamper(`update events set user = 'bob' where sid = '${second}' and ei = 2`)
    const [first] = await problems()
    expect(first).toBe('This event is not the one that was sealed.')
    stored.late = 400 * day
    await stored.retention({events: 365 * day}).sweep()
    expect(await problems()).toEqual([first])
    // Those of the first session, and of the second what was sealed before.
    expect((await summary()).removed).toBe(7)
  })

  it('and are removed while somebody checks are not missing', async () => {
    await stored.session()
    stored.late = 400 * day
    await stored.session()
    const meanwhile = (): Promise<void> => stored.retention({events: 365 * day}).sweep()
    expect(await problems({meanwhile})).toEqual([])
    expect((await summary()).removed).toBe(5)
  })

  it('go in portions, while others write and check', async () => {
    const total = 2500
    for (let count = 0; count < total; count += 50) {
      const body = (index: number): string =>
        JSON.stringify({event: 'role.created', received_at: new Date().toISOString(), index})
      await stored.log.appendForeign(
        Array.from({length: 50}, (_, index) => ({time: 1, event: 'role.created', hash: '', body: body(count + index)})),
      )
    }
    stored.late = 400 * day
    const sweep = {going: true}
    let checks = 0
    let portions = 0
    const {backend} = stored
    const remove = backend.pruneEvents.bind(backend)
    backend.pruneEvents = async (...portion) => {
      await remove(...portion)
      portions += 1
      // The next one waits until somebody has written and checked, however long that takes.
      for (const before = checks; checks === before && sweep.going;) await sleep(1)
    }
    const swept = stored
      .retention({events: 365 * day})
      .sweep()
      .finally(() => (sweep.going = false))
    try {
      while (sweep.going) {
        await stored.log.append('role.created', {name: `meanwhile ${checks}`})
        expect(await problems()).toEqual([])
        checks += 1
      }
    } finally {
      sweep.going = false
    }
    await swept
    expect(portions).toBeGreaterThan(1)
    expect(checks).toBeGreaterThanOrEqual(portions)
    expect(await summary()).toMatchObject({problems: 0, removed: total, events: checks + 1})
  })

  it('arrived when the control plane had them, whatever an agent says', async () => {
    const sid = await stored.session({now: 1})
    await stored.retention({events: 365 * day}).sweep()
    expect((await stored.log.list({sid, limit: 10})).events).toHaveLength(5)
  })
})
