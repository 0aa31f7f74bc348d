import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {appendFile, mkdtemp, readdir, readFile, rename, rm, stat, truncate} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {createInterface} from 'node:readline'
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import type {AuditEvent} from '../../../src/lib/audit/event.js'
import {SessionAudit} from '../../../src/lib/audit/session-audit.js'
import {Spool} from '../../../src/lib/audit/spool.js'
import {systemClock, type Clock} from '../../../src/lib/core/clock.js'
import {silentLogger} from '../../../src/lib/core/log.js'
import {compile} from './compiled.js'
import {ask, record, sessionFacts} from './facts.js'
import {parseEvents} from '../../helpers/event-lines.js'

let directory: string
const opened: Spool[] = []

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-spool-'))
})

afterEach(async () => {
  for (const spool of opened.splice(0)) await spool.close()
  await rm(directory, {recursive: true, force: true})
})

async function openSpool(segmentBytes?: number, clock: Clock = systemClock): Promise<Spool> {
  const spool = await Spool.open({directory, clock, logger: silentLogger, segmentBytes})
  opened.push(spool)
  return spool
}

/** A clock that says something else each time, by how often it was asked. */
function at(time: (asked: number) => number): Clock {
  let asked = 0
  return {...systemClock, now: () => 1_000_000 + time(asked++)}
}

/** Text for lines that no segment of 4000 bytes has room for, so that another one is begun. */
const long = 'x'.repeat(5000)

/** Everything in the spool, acknowledged batch by batch. */
async function drain(spool: Spool): Promise<AuditEvent[]> {
  const events: AuditEvent[] = []
  for (let batch = await spool.read(); batch; batch = await spool.read()) {
    events.push(...parseEvents(batch.lines))
    await batch.acknowledge()
  }
  return events
}

const codes = (events: readonly AuditEvent[]): unknown[] => events.map(({code}) => code)

describe('Spool', () => {
  it('has written an event when append returns, into a file that only its owner can read', async () => {
    const spool = await openSpool()
    const audit = new SessionAudit(spool, systemClock, sessionFacts())
    audit.started({pid: 7, userAgent: 'psql'})
    ask(audit, {text: 'select 1'})
    audit.flush()
    const [name = ''] = await readdir(directory)
    const path = join(directory, name)
    expect(await readFile(path, 'utf8')).toContain('"db_query":"select 1"')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  it('writes nothing before flush', async () => {
    const spool = await openSpool()
    const audit = new SessionAudit(spool, systemClock, sessionFacts())
    ask(audit, {text: 'select 1'})
    audit.serverError('ERROR: no', 'XX000')
    expect(await spool.read()).toBeUndefined()
    expect(spool.backlogBytes).toBe(0)
  })

  it('gives events back in order until they are acknowledged', async () => {
    const spool = await openSpool()
    const audit = new SessionAudit(spool, systemClock, sessionFacts())
    audit.started({})
    record(audit, 'select 1')
    await audit.ended({reason: 'done', bytesFromClient: 3, bytesFromServer: 4})
    const first = await spool.read()
    const again = await spool.read()
    const events = parseEvents(first?.lines ?? Buffer.alloc(0))
    expect(codes(events)).toEqual(['TDB00I', 'TDB02I', 'TDB01I'])
    expect(again?.lines).toEqual(first?.lines)
    expect(events.map(({ei}) => ei)).toEqual([0, 1, 2])
    await again?.acknowledge()
    expect(await spool.read()).toBeUndefined()
    expect(spool.backlogBytes).toBe(0)
  })

  it('deletes segments as they are acknowledged; the last one says no more than how many sessions there were', async () => {
    const spool = await openSpool(4000)
    const audit = new SessionAudit(spool, systemClock, sessionFacts())
    audit.started({})
    for (let number = 0; number < 50; number += 1) {
      record(audit, `select ${number}`)
      audit.flush()
    }
    expect((await readdir(directory)).length).toBeGreaterThan(5)
    const events = await drain(spool)
    expect(events.filter(({code}) => code === 'TDB02I').map(({db_query}) => db_query)).toEqual(
      Array.from({length: 50}, (_, number) => `select ${number}`),
    )
    expect(await readdir(directory)).toHaveLength(1)
    await audit.ended({reason: 'done', bytesFromClient: 0, bytesFromServer: 0})
    await drain(spool)
    await spool.close()
    const left = await Promise.all((await readdir(directory)).map((name) => readFile(join(directory, name), 'utf8')))
    expect(left).toEqual([
      expect.stringMatching(/^{"open":\[\],"numbering":{"stream":"[0-9a-f-]{36}","sessions":1}}\n$/),
    ])
  })

  it('deletes a segment also when all of it was acknowledged before the next one began', async () => {
    const spool = await openSpool(400)
    for (let number = 0; number < 50; number += 1) {
      spool.append(`{"event":"${number}","text":"${'x'.repeat(50)}"}\n`)
      await drain(spool)
    }
    expect((await readdir(directory)).length).toBeLessThanOrEqual(1)
  })

  it('begins a segment for what is new, not for each line, when the names of the open sessions fill one', async () => {
    const spool = await openSpool(4000)
    for (let number = 0; number < 20; number += 1) {
      new SessionAudit(spool, systemClock, sessionFacts({sid: `session-${number}`})).started({})
    }
    const before = await readdir(directory)
    for (let number = 0; number < 100; number += 1) spool.append('{"event":"small"}\n')
    expect((await readdir(directory)).length - before.length).toBeLessThanOrEqual(1)
  })

  it('reads a segment that could not be opened as soon as it can be', async () => {
    const spool = await openSpool()
    spool.append('{"event":"first"}\n')
    const [name = ''] = await readdir(directory)
    await rename(join(directory, name), join(directory, 'away'))
    await expect(spool.read()).rejects.toThrow('ENOENT')
    await rename(join(directory, 'away'), join(directory, name))
    expect((await drain(spool)).map(({event}) => event)).toEqual(['first'])
  })

  it('hands what was not acknowledged to the next process', async () => {
    const before = await openSpool()
    const audit = new SessionAudit(before, systemClock, sessionFacts())
    audit.started({})
    await audit.ended({reason: 'done', bytesFromClient: 0, bytesFromServer: 0})
    await before.close()
    expect(codes(await drain(await openSpool()))).toEqual(['TDB00I', 'TDB01I'])
  })

  it('reads a line larger than a batch', async () => {
    const spool = await openSpool()
    spool.append(`${JSON.stringify({event: 'large', text: 'x'.repeat(1_500_000)})}\n`)
    spool.append('{"event":"small"}\n')
    expect((await drain(spool)).map(({event}) => event)).toEqual(['large', 'small'])
  })

  it('leaves out a torn last line; what is damaged is for the control plane to refuse', async () => {
    const before = await openSpool()
    before.append('{"event":"first"}\n')
    await before.close()
    const [name = ''] = await readdir(directory)
    await appendFile(join(directory, name), '\0\0\0\nnull\n{"event":"second"}\n{"event":"tor')
    const batch = await (await openSpool()).read()
    expect(batch?.lines.toString()).toBe('{"event":"first"}\n\0\0\0\nnull\n{"event":"second"}\n')
  })

  it('goes on when somebody cut a segment', async () => {
    const spool = await openSpool(100)
    spool.append(`{"event":"first","text":"${'x'.repeat(100)}"}\n`)
    spool.append('{"event":"second"}\n')
    const [, name = ''] = (await readdir(directory)).sort()
    await truncate(join(directory, name), 0)
    expect((await drain(spool)).map(({event}) => event)).toEqual(['second'])
  })

  it('refuses to go on when it cannot write', async () => {
    const spool = await openSpool()
    await spool.close()
    expect(() => {
      spool.append('{}\n')
    }).toThrow('The audit spool cannot be written')
  })

  it('writes what may wait with what comes next, or by itself', async () => {
    const spool = await openSpool()
    const fail = (reason: string): void => {
      throw new Error(reason)
    }
    // The lines of its own are read, so that the next read looks at nothing but what was appended.
    expect(await spool.read()).toBeUndefined()
    spool.appendSoon('{"n":1}\n', fail)
    expect(await spool.read()).toBeUndefined()
    spool.append('{"n":2}\n')
    expect((await drain(spool)).map(({n}) => n)).toEqual([1, 2])
    let written = (): void => undefined
    const later = new Promise<void>((resolve) => (written = resolve))
    spool.onAppend = written
    spool.appendSoon('{"n":3}\n', fail)
    await later
    expect(await drain(spool)).toEqual([{n: 3}])
    spool.appendSoon('{"n":4}\n', fail)
    await spool.close()
    expect((await drain(await openSpool())).at(-1)).toEqual({n: 4})
  })

  it('F06: what sessions could not write follows when there is room, their ends included, and no number is missing', async () => {
    const spool = await openSpool(4000)
    const auditOf = (number: number): SessionAudit =>
      new SessionAudit(spool, systemClock, sessionFacts({sid: `307b49d6-56c7-4d20-8cf0-5bc5348a710${number}`}))
    const first = auditOf(1)
    first.started({})
    const away = `${directory}-away`
    await rename(directory, away)
    const statement = ask(first, {text: `select '${long}'`})
    for (let attempt = 0; attempt < 3; attempt += 1)
      expect(() => {
        first.flush()
      }).toThrow('The audit spool cannot be written')
    statement.end('in doubt')
    first.statement(statement)
    await expect(first.ended({reason: 'full', bytesFromClient: 1, bytesFromServer: 2})).rejects.toThrow(
      'cannot be written',
    )
    expect(() => {
      auditOf(2).started({})
    }).toThrow('cannot be written')
    await rename(away, directory)
    auditOf(3).started({})
    const events = await drain(spool)
    expect(events.map(({sid, ei, event}) => [String(sid).at(-1), ei, event])).toEqual([
      ['1', 0, 'db.session.start'],
      ['1', 1, 'db.session.query'],
      ['1', 2, 'db.session.end'],
      ['3', 0, 'db.session.start'],
    ])
    expect(events.flatMap(({agent_session: number}) => number ?? [])).toEqual([1, 2])
    await spool.close()
    // The next process ends the one session that nobody has ended.
    const stopped = (await drain(await openSpool())).filter(({reason}) =>
      String(reason).startsWith('The agent stopped'),
    )
    expect(stopped.map(({sid}) => String(sid).at(-1))).toEqual(['3'])
  })

  it('says that what waited cannot be written, keeps it, and writes it first when it can again', async () => {
    const spool = await openSpool(4000)
    const away = `${directory}-away`
    await rename(directory, away)
    const reason = await new Promise<string>((resolve) => {
      spool.appendSoon(`{"n":1,"text":"${long}"}\n`, resolve)
    })
    expect(reason).toContain('ENOENT')
    await rename(away, directory)
    spool.append('{"n":2}\n')
    expect((await drain(spool)).map(({n}) => n)).toEqual([1, 2])
  })

  it('ends the sessions of an agent that stopped, also when their beginning is long gone', async () => {
    const before = await openSpool(3000)
    const audit = new SessionAudit(before, systemClock, sessionFacts())
    audit.started({})
    for (let number = 0; number < 40; number += 1) {
      record(audit, `select ${number}`)
      audit.flush()
    }
    await drain(before)
    await before.close()
    const events = await drain(await openSpool())
    const end = events.at(-1)
    expect(end).toMatchObject({event: 'db.session.end', code: 'TDB01I', ei: 41, sid: sessionFacts().sid, user: 'alice'})
    expect(end?.reason).toContain('The agent stopped without warning')
    expect(end).not.toHaveProperty('end_time')
    expect(Date.parse(String(end?.start_time))).toBeGreaterThan(0)
  })

  it.each([
    ['goes on', systemClock],
    ['stands still', at(() => 1)],
    ['is set back', at((time) => -time)],
  ])(
    'numbers its sessions over all processes, whether these closed it or not, while the clock %s',
    async (_, clock) => {
      const sid = (number: number): string => `307b49d6-56c7-4d20-8cf0-5bc5348a710${number}`
      const session = async (spool: Spool, number: number, end: boolean): Promise<void> => {
        const audit = new SessionAudit(spool, systemClock, sessionFacts({sid: sid(number)}))
        audit.started({})
        if (end) await audit.ended({reason: 'done', bytesFromClient: 0, bytesFromServer: 0})
      }
      const first = await openSpool(undefined, clock)
      await session(first, 1, true)
      await session(first, 2, true)
      const events = await drain(first)
      await first.close()
      const second = await openSpool(300, clock)
      await session(second, 3, true)
      // Killed: nobody closes it.
      const third = await openSpool(undefined, clock)
      await session(third, 4, true)
      events.push(...(await drain(third)))
      const starts = events.filter(({event}) => event === 'db.session.start')
      expect(starts.map(({agent_session}) => agent_session)).toEqual([1, 2, 3, 4])
      expect(new Set(starts.map(({agent_stream}) => agent_stream)).size).toBe(1)
    },
  )

  it('records what an agent that stopped had asked for, and no answer came', async () => {
    const before = await openSpool(3000)
    const audit = new SessionAudit(before, systemClock, sessionFacts())
    audit.started({})
    const unanswered = ask(audit, {text: 'delete from products'})
    audit.unrecorded = () => [unanswered]
    for (let number = 0; number < 10; number += 1) {
      record(audit, `select ${number}`)
      audit.flush()
    }
    await drain(before)
    await before.close()
    const events = (await drain(await openSpool())).slice(-2)
    expect(events).toMatchObject([
      {
        ...{event: 'db.session.query', code: 'TDB02W', db_query: 'delete from products', statement: 1, ei: 11},
        ...{success: false, execution: 'unanswered', transaction_outcome: 'in doubt', sid: sessionFacts().sid},
      },
      {code: 'TDB01I', ei: 12},
    ])
    expect(events[0]).not.toHaveProperty('user_roles')
  })

  it.each([3000, 1_000_000])(
    'says what became of a transaction that was open when its agent stopped, in segments of %i bytes',
    async (segmentBytes) => {
      const before = await openSpool(segmentBytes)
      const begin = (sid: string, isAnswered: boolean): void => {
        const audit = new SessionAudit(before, systemClock, sessionFacts({sid}))
        audit.started({})
        for (let number = 0; number < 5; number += 1) record(audit, `select ${number}`)
        const statement = ask(audit, {text: 'begin; delete from products'})
        statement.enter(6)
        audit.statement(statement)
        const commit = ask(audit, {text: 'commit'})
        audit.unrecorded = () => (isAnswered ? [] : [commit])
        commit.enter(6)
        if (isAnswered) commit.end('commit')
        if (isAnswered) audit.statement(commit)
        audit.flush()
      }
      const sids = [1, 2, 3].map((number) => `307b49d6-56c7-4d20-8cf0-5bc5348a710${number}`)
      const [done = '', doubtful = '', idle = ''] = sids
      begin(done, true)
      begin(doubtful, false)
      const audit = new SessionAudit(before, systemClock, sessionFacts({sid: idle}))
      audit.started({})
      const statement = ask(audit, {text: 'begin; commit; begin; delete from products'})
      statement.enter(1)
      statement.end('commit')
      statement.enter(2)
      audit.statement(statement)
      audit.flush()
      for (let number = 0; number < 20; number += 1) before.append(`${JSON.stringify({number})}\n`)
      await drain(before)
      await before.close()
      const ends = (await drain(await openSpool())).filter(({event}) => event === 'db.session.end')
      const told = ends.map(({sid, transaction, transaction_outcome: fate}) => [sid, transaction, fate])
      expect(told).toEqual([
        [done, undefined, undefined],
        [doubtful, 6, 'in doubt'],
        [idle, 2, 'rollback'],
      ])
    },
  )

  it('keeps every event that was spooled before a kill -9', async () => {
    const compiled = await compile(['src/lib/core', 'src/lib/audit', 'test/lib/audit'])
    const child = spawn(process.execPath, [join(compiled, 'test/lib/audit/spool-writer.js'), directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let last = -1
    for await (const line of createInterface(child.stdout)) {
      last = Number(line)
      if (last === 500) child.kill('SIGKILL')
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    await rm(compiled, {recursive: true})

    const events = await drain(await openSpool())
    expect(codes(events.slice(0, 3))).toEqual(['TDB00I', 'TDB01I', 'TDB00I'])
    const queries = events.filter(({code}) => code === 'TDB02I')
    expect(queries.length).toBeGreaterThan(last)
    expect(queries.map(({db_query}) => db_query)).toEqual(queries.map((_, number) => `select ${number}`))
    const ends = events.filter(({code}) => code === 'TDB01I')
    expect(ends).toHaveLength(2)
    const unanswered = events.filter(({code}) => code === 'TDB02W')
    expect(unanswered.length).toBeLessThan(2)
    expect(ends[1]).toMatchObject({sid: sessionFacts().sid, ei: queries.length + unanswered.length + 1})
    expect(events.at(-1)).toBe(ends[1])
  })
})
