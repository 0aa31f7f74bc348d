import {readdir} from 'node:fs/promises'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {afterAll, afterEach, beforeAll, describe, expect, it} from '@jest/globals'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import type {RecordingMode} from '../../../src/lib/resources/session-recording-config.js'
import {expectDocumented, psqlText} from '../../helpers/troubleshooting.js'
import {report, scaled} from '../../helpers/scale.js'
import {Plane} from './plane.js'
import {accessRole, openSession, refusal, sessionEvents, startPostgresFor, startRig, until, type Rig} from './rig.js'
import {ask} from './wire.js'

const name = 'session-recording-config'
/** More SQL than an event takes. */
const long = `select ${'1 + '.repeat(30_000)}1`

let plane: Plane
let postgres: PostgresServer
let rig: Rig
/** Milliseconds that the agent's clock is ahead. */
let leap = 0

beforeAll(async () => {
  plane = await Plane.create()
  postgres = await startPostgresFor(plane, 'CREATE ROLE alice LOGIN')
  const clock = {...systemClock, monotonic: () => systemClock.monotonic() + leap}
  rig = await startRig({plane, uri: `127.0.0.1:${postgres.port}`, agent: {clock}})
})

afterAll(async () => {
  await rig.stop()
  await postgres.stop()
})

afterEach(() => {
  plane.deaf = false
  plane.delete('session_recording_config', name)
})

function record(mode: RecordingMode): void {
  const item = {kind: 'session_recording_config', version: 'v2', metadata: {name}, spec: {mode}} as const
  plane.put({kind: 'session_recording_config', name, item})
}

const session = async (application: string): ReturnType<typeof openSession> =>
  openSession(rig, await rig.guest(), {application_name: application})

/** The newest session with this application name. */
const newest = (application: string): unknown =>
  plane.events.findLast(({user_agent: agent}) => agent === application)?.sid

describe('a session of the mode node-sync', () => {
  it('ends when the control plane does not take its records, with the reason; those of the mode node go on', async () => {
    const older = await session('recorded later')
    record('node-sync')
    const synced = await session('recorded at once')
    plane.deaf = true
    synced.socket.write(ask.query('select 1'))
    await synced.reader.until('Z')
    older.socket.write(ask.query('select 2'))
    await older.reader.until('Z')
    await until(() => plane.turnedAway > 0, 'the agent has tried')
    leap = 11_000
    const told = await synced.reader.error()
    expect(told).toMatchObject({severity: 'FATAL', code: '58030'})
    await expectDocumented('records-not-taken', psqlText({...told}).replace(/(?<= for )\d[\w ]*(?=\.)/, '10 seconds'))
    // No session begins that nobody records, and the older one does not notice.
    const refused = await refusal(rig, await rig.guest())
    expect(refused).toMatchObject({code: '58030'})
    await expectDocumented('no-unrecorded-session', psqlText({...refused}))
    older.socket.write(ask.query('select 3'))
    expect((await older.reader.until('Z')).map(({type}) => type).join('')).toBe('TDCZ')
    plane.deaf = false
    const events = await sessionEvents(plane, 'recorded at once')
    expect(events.map(({event, session_recording: mode}) => [event, mode])).toEqual([
      ['db.session.start', 'node-sync'],
      ['db.session.query', undefined],
      ['client.disconnect', undefined],
      ['db.session.end', 'node-sync'],
    ])
    const [disconnect, end] = events.slice(-2)
    expect(disconnect?.reason).toBe(end?.reason)
    expect(end?.reason).toMatch(/^The session cannot be recorded\. The control plane has not taken its records for/)
    const again = await session('recorded at once again')
    expect(again.opening.at(-1)?.type).toBe('Z')
    for (const {socket} of [older, again]) socket.destroy()
  })

  it.each<[RecordingMode, string | undefined]>([
    ['node', 'node-sync'],
    ['off', 'off'],
  ])('is what a role with record_session strict asks for; with the mode %s it gets %s', async (mode, gets) => {
    record(mode)
    const item = {...accessRole, spec: {...accessRole.spec, options: {record_session: {default: 'strict'}}}} as const
    plane.put({kind: 'role', name: 'access', item})
    const {socket} = await session(`strictly ${mode}`)
    socket.destroy()
    plane.put({kind: 'role', name: 'access', item: accessRole})
    expect((await sessionEvents(plane, `strictly ${mode}`))[0]).toMatchObject({session_recording: gets})
  })

  it('ends when the control plane refuses one of its records for good', async () => {
    record('node-sync')
    const {socket, reader} = await session('refused')
    await until(() => plane.events.some(({user_agent: agent}) => agent === 'refused'), 'its start has arrived')
    plane.refusesEvents = true
    socket.write(ask.query('select 1'))
    await reader.until('Z')
    const told = await reader.error()
    expect(told).toMatchObject({code: '58030'})
    await expectDocumented('record-refused', psqlText({...told}))
    plane.refusesEvents = false
  })
})

describe('a session of the mode off', () => {
  it('has its events in the audit log, and nothing that only a recording has', async () => {
    record('off')
    const {socket, reader} = await session('unrecorded')
    // What comes now is for sessions that begin now.
    record('node')
    socket.write(ask.query(long))
    await reader.until('Z')
    socket.write(ask.query('select 2'))
    await reader.until('Z')
    socket.destroy()
    const events = await sessionEvents(plane, 'unrecorded')
    expect(events.map(({ei, event, session_recording: mode}) => [ei, event, mode])).toEqual([
      [0, 'db.session.start', 'off'],
      [1, 'db.session.query', undefined],
      [2, 'db.session.query', undefined],
      [3, 'db.session.end', 'off'],
    ])
    expect(events[1]).toMatchObject({
      db_query_truncated: true,
      db_query_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
    expect(events[1]).not.toHaveProperty('db_query_parts')
    const recorded = await session('recorded')
    recorded.socket.write(ask.query(long))
    await recorded.reader.until('Z')
    recorded.socket.destroy()
    expect((await sessionEvents(plane, 'recorded')).map(({event}) => event)).toContain('db.session.sql.part')
  })
})

describe('F06: while the control plane takes nothing', () => {
  const statements = scaled(600, 5000)

  it('F06: everything waits in the spool and arrives later: in its order, nothing lost, nothing twice', async () => {
    const {socket, reader} = await session('away for long')
    plane.deaf = true
    const sql = (number: number): string => `select ${number} /* ${'x'.repeat(20_000)} */`
    for (let number = 0; number < statements; number += 1) {
      socket.write(ask.query(sql(number)))
      await reader.until('Z')
    }
    const segments = (await readdir(join(rig.directory, 'spool'))).filter((name) => /^\d/.test(name))
    expect(segments.length).toBeGreaterThan(1)
    plane.deaf = false
    socket.destroy()
    // The shipper is patient by now.
    while (!plane.events.some(({event, sid}) => event === 'db.session.end' && sid === newest('away for long')))
      await sleep(20)
    const events = await sessionEvents(plane, 'away for long')
    expect(events.map(({ei}) => ei)).toEqual(events.map((_event, index) => index))
    const queries = events.filter(({event}) => event === 'db.session.query')
    const texts = queries.map(({db_query: text}) => text)
    expect(texts).toEqual(Array.from({length: statements}, (_, number) => sql(number)))
    report(`F06: ${statements} statements in ${segments.length} segments while the control plane was away`)
  }, 300_000)
})

it('F06: 10,000 parameters are recorded as far as an event goes, and it says that there were more', async () => {
  const count = 10_000
  const {socket, reader} = await session('many parameters')
  const places = Array.from({length: count}, (_, index) => `$${index + 1}::text`)
  const values = Array.from({length: count}, (_, index) => `value ${index}`)
  const parse = ask.parse('', `select cardinality(array[${places.join(', ')}])`)
  socket.write(Buffer.concat([parse, ask.bind('', '', values), ask.execute(''), ask.sync]))
  expect((await reader.until('Z')).map(({type}) => type).join('')).toBe('12DCZ')
  socket.write(ask.query('select 1'))
  expect((await reader.until('Z')).map(({type}) => type).join('')).toBe('TDCZ')
  socket.destroy()
  const events = await sessionEvents(plane, 'many parameters')
  const [many, after] = events.filter(({event}) => event === 'db.session.query')
  expect(many).toMatchObject({success: true, affected_records: 1, db_query_parameters_truncated: true})
  expect(after).toMatchObject({db_query: 'select 1', success: true})
  const kept = many?.db_query_parameters as string[]
  // The last one perhaps in part.
  expect(kept.slice(0, -1)).toEqual(values.slice(0, kept.length - 1))
  expect(kept.length).toBeGreaterThan(1000)
  expect(Buffer.byteLength(JSON.stringify(many))).toBeLessThan(256 * 1024)
})
