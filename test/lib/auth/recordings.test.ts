import {randomUUID} from 'node:crypto'
import {readdir, readFile, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import type {ApiClient} from '../../../src/lib/api/client.js'
import {isSeal} from '../../../src/lib/audit/seal.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {reportedHealth, startTestAuth, testCluster, type TestAuth, type TestHost} from '../../helpers/auth.js'
import {formatEvents} from '../../helpers/event-lines.js'

const minute = 60_000
let late = 0
let plane: TestAuth
let agent: TestHost
let other: TestHost

beforeAll(async () => {
  plane = await startTestAuth({clock: {...systemClock, now: () => Date.now() + late}})
  agent = await plane.joinHost('Db')
  other = await plane.joinHost('Db')
})

afterAll(() => plane.stop())

type Event = Record<string, unknown>

/** Events of a session of alice's, as an agent sends them. */
function session(names: readonly string[], sid = randomUUID()): Event[] {
  const codes = new Map([
    ['db.session.result', 'TDB10I'],
    ['db.session.start', 'TDB00I'],
  ])
  return names.map((name, ei) => ({
    ...{ei, event: name, code: codes.get(name) ?? 'TDB02I', uid: randomUUID(), time: new Date().toISOString()},
    ...{cluster_name: testCluster, user: 'alice', sid},
  }))
}

const whole = ['db.session.start', 'db.session.query', 'db.session.result', 'db.session.end']
const sidOf = ([first]: readonly Event[]): string => String(first?.sid)

/** Head and records, without the seals between them. */
async function read(client: ApiClient, sid: string): Promise<Event[]> {
  const chunks: Buffer[] = []
  for await (const chunk of await client.recording(sid, new AbortController().signal)) chunks.push(chunk)
  const lines = Buffer.concat(chunks).toString().trimEnd().split('\n')
  return lines.filter((line) => !isSeal(line)).map((line) => JSON.parse(line) as Event)
}

describe('the recording of a session', () => {
  it('has every event as it was sent, below a head that names the host; the audit log has no results', async () => {
    const events = session(whole)
    await agent.client.emitEvents(formatEvents(...events.slice(0, 2)))
    await agent.client.emitEvents(formatEvents(...events))
    expect(await read(plane.admin, sidOf(events))).toEqual([
      {recording: 1, sid: sidOf(events), server_id: agent.joined.hostId, cluster_name: testCluster},
      ...events,
    ])
    const log = await plane.admin.events({sid: sidOf(events)})
    expect(log.events.map(({event}) => event)).toEqual([
      ...whole.filter((name) => name !== 'db.session.result'),
      'session.upload',
      'session.recording.access',
    ])
  })

  it('is told once, with a name for it, when all of it is there, and not while something is missing', async () => {
    const uploads = async (sid: string): Promise<readonly Event[]> =>
      (await plane.admin.events({sid, event: 'session.upload'})).events
    const events = session(whole)
    const sid = sidOf(events)
    await agent.client.emitEvents(formatEvents(...events.slice(0, 3)))
    expect(await uploads(sid)).toEqual([])
    for (let time = 0; time < 2; time += 1) await agent.client.emitEvents(formatEvents(...events.slice(1)))
    expect(await uploads(sid)).toEqual([
      {
        ...{ei: 2_147_483_647, event: 'session.upload', code: 'T2005I', cluster_name: testCluster},
        ...{uid: expect.any(String), time: expect.any(String), server_id: agent.joined.hostId, session_user: 'alice'},
        ...{sid, url: `postern://${testCluster}/recordings/${sid}`},
      },
    ])
    const cut = session(whole)
    await agent.client.emitEvents(formatEvents(...cut.filter(({ei}) => ei !== 1)))
    expect(await uploads(sidOf(cut))).toEqual([])
  })

  it('is not an agent’s to tell of, nor what is done with it', async () => {
    const [start = {}] = session(['db.session.start'])
    for (const event of ['session.upload', 'session.recording.access', 'session.kill']) {
      const forged = formatEvents({...start, event, code: 'T2005I'})
      await expect(agent.client.emitEvents(forged)).rejects.toMatchObject({code: 'INVALID'})
    }
  })

  it('D07: is one host’s: another that tells of the session is refused, with an alarm', async () => {
    const events = session(whole)
    await agent.client.emitEvents(formatEvents(...events.slice(0, 2)))
    await expect(other.client.emitEvents(formatEvents(...events.slice(2)))).rejects.toMatchObject({code: 'INVALID'})
    const {events: alarms} = await plane.admin.events({event: 'audit.conflict'})
    expect(alarms.at(-1)).toMatchObject({server_id: other.joined.hostId, conflict_sid: sidOf(events), conflict_ei: 3})
    await agent.client.emitEvents(formatEvents(...events))
    expect(await read(plane.admin, sidOf(events))).toHaveLength(5)
  })

  it('takes no second version of an event, of results neither, and all the others', async () => {
    const events = session(whole)
    await agent.client.emitEvents(formatEvents(...events.slice(0, 3)))
    const forged = [{...events[2], success: false}, events[3] ?? {}]
    await expect(agent.client.emitEvents(formatEvents(...forged))).rejects.toMatchObject({code: 'CONFLICT'})
    const recorded = await read(plane.admin, sidOf(events))
    expect(recorded).toHaveLength(5)
    expect(recorded[3]).not.toHaveProperty('success')
  })

  it('is not made of what is no session, or of an id that is none', async () => {
    const [start = {}] = session(['db.session.start'])
    await agent.client.emitEvents(formatEvents({...start, code: 'TDB00W'}))
    await agent.client.emitEvents(formatEvents({...start, event: 'session.rejected', ei: 1}))
    for (const sid of ['../../up', String(start.sid).toUpperCase()]) {
      await expect(agent.client.emitEvents(formatEvents({...start, sid}))).rejects.toMatchObject({code: 'INVALID'})
    }
    expect(await readdir(join(plane.options.dataDir, 'recordings'))).not.toContain(`${String(start.sid)}.ndjson`)
    await expect(read(plane.admin, String(start.sid))).rejects.toMatchObject({code: 'NOT_FOUND'})
  })

  it('D08: is for its user and for whose roles say so, unless a role denies it', async () => {
    const events = session(whole)
    await agent.client.emitEvents(formatEvents(...events))
    const silent = {kind: 'role' as const, version: 'v7' as const, metadata: {name: 'silent'}}
    const deny = {rules: [{resources: ['session'], verbs: ['read' as const]}]}
    await plane.admin.createResource({...silent, spec: {deny}})
    const alice = await plane.addUser('alice', ['access', 'silent'])
    const eve = await plane.addUser('eve', ['auditor', 'silent'])
    const bob = await plane.addUser('bob', ['access', 'editor'])
    for (const {client} of [alice, eve, bob, agent]) {
      await expect(read(client, sidOf(events))).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    }
    await expect(read(plane.clientOf(), sidOf(events))).rejects.toMatchObject({code: 'NOT_LOGGED_IN'})
    await plane.admin.putResource({...silent, spec: {}})
    expect(await read(alice.client, sidOf(events))).toHaveLength(5)
    expect(await read(eve.client, sidOf(events))).toHaveLength(5)
    const readings = await plane.admin.events({event: 'session.recording.access'})
    expect(readings.events.slice(-2)).toMatchObject([
      {code: 'T2012I', user: 'alice', sid: sidOf(events)},
      {user: 'eve', user_kind: 1},
    ])
  })

  it('F07: can be read although it is damaged, but not by whom its damaged beginning does not name', async () => {
    const events = session(whole).map((event) => ({...event, user: 'carol'}))
    await agent.client.emitEvents(formatEvents(...events))
    const path = join(plane.options.dataDir, 'recordings', `${sidOf(events)}.ndjson`)
    const stored = await readFile(path, 'utf8')
    const text = async (client: ApiClient): Promise<string> => {
      const chunks: Buffer[] = []
      for await (const chunk of await client.recording(sidOf(events), new AbortController().signal)) chunks.push(chunk)
      return Buffer.concat(chunks).toString()
    }
    const [head = '', start = '', ...others] = stored.trimEnd().split('\n')
    const torn = [head, start, '{"ei":1,"event":"db.sess{"ei":3}'].map((line) => `${line}\n`).join('')
    await writeFile(path, torn)
    const carol = await plane.addUser('carol', ['access'])
    for (const {client} of [carol, {client: plane.admin}]) expect(await text(client)).toBe(torn)
    await writeFile(path, [head, 'null', ...others].map((line) => `${line}\n`).join(''))
    await expect(text(carol.client)).rejects.toMatchObject({code: 'ACCESS_DENIED'})
  })

  it('can be read when the session has ended, or its host is gone', async () => {
    const database = {
      kind: 'db' as const,
      version: 'v3' as const,
      metadata: {name: 'orders', labels: {}},
      spec: {protocol: 'postgres' as const, uri: 'db.internal:5432'},
    }
    await agent.client.heartbeat({hostname: 'h', version: '0.1.0', databases: [{database, health: reportedHealth()}]})
    const events = session(whole)
    await agent.client.emitEvents(formatEvents(...events.slice(0, 2)))
    await expect(read(plane.admin, sidOf(events))).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('has not ended yet'),
    })
    late = 11 * minute
    try {
      expect(await read(plane.admin, sidOf(events))).toHaveLength(3)
    } finally {
      late = 0
    }
    await agent.client.emitEvents(formatEvents(...events.slice(2)))
    expect(await read(plane.admin, sidOf(events))).toHaveLength(5)
  })
})
