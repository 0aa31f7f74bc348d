import {randomUUID} from 'node:crypto'
import {readFile, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {afterAll, beforeAll, beforeEach, describe, expect, it, jest} from '@jest/globals'
import type {ApiClient} from '../../../src/lib/api/client.js'
import type {VerificationLine} from '../../../src/lib/api/verification.js'
import {readSealKeys, SealingKey} from '../../../src/lib/audit/seal.js'
import {verifyRecording} from '../../../src/lib/audit/verification.js'
import {readJsonLines} from '../../../src/lib/cli/json-lines.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {RecordingFiles} from '../../../src/lib/storage/recording-files.js'
import {startTestAuth, type TestAuth, type TestHost} from '../../helpers/auth.js'
import {formatEvents} from '../../helpers/event-lines.js'

type Event = Record<string, unknown>

const minute = 60_000
let late = 0
let plane: TestAuth
let agent: TestHost
let proxy: TestHost
let stream: string
let sessions = 0

beforeAll(async () => {
  plane = await startTestAuth({clock: {...systemClock, now: () => Date.now() + late}})
  proxy = await plane.joinHost('Proxy')
})

beforeEach(async () => {
  agent = await plane.joinHost('Db')
  stream = randomUUID()
  sessions = 0
})

afterAll(() => plane.stop())

/** A session as an agent sends it, in two parts. */
async function record({number = ++sessions, bytes = 100, ended = true, connection = randomUUID()} = {}): Promise<{
  sid: string
  connection: string
  events: Event[]
}> {
  sessions = number
  const sid = randomUUID()
  const id = connection.replaceAll('-', '')
  const names = ['db.session.start', 'db.session.query', 'db.session.result', 'db.session.query', 'db.session.end']
  const fields = [
    {agent_stream: stream, agent_session: number, connection_id: id},
    {db_query: 'select 1'},
    {query_ei: 1},
    {db_query: 'select 2'},
    {bytes_from_client: bytes, bytes_from_server: bytes},
  ]
  const events = names.map((event, ei) => ({
    ...{ei, event, code: 'TDB00I', uid: randomUUID(), time: new Date().toISOString(), user: 'alice', sid},
    ...fields[ei],
  }))
  await agent.client.emitEvents(formatEvents(...events.slice(0, 3)))
  if (ended) await agent.client.emitEvents(formatEvents(...events.slice(3)))
  return {sid, connection: id, events}
}

/** A session that began while nothing was recorded, as its agent sends it. */
async function leaveUnrecorded(mode: 'off' | undefined = 'off'): Promise<string> {
  sessions += 1
  const sid = randomUUID()
  const fields = [
    {event: 'db.session.start', agent_stream: stream, agent_session: sessions, session_recording: mode},
    {event: 'db.session.query', db_query: 'select 1'},
    {event: 'client.disconnect', reason: 'idle'},
    {event: 'db.session.end', session_recording: mode},
  ]
  const events = fields.map((more, ei) => ({
    ...{ei, code: 'TDB00I', uid: randomUUID(), time: new Date().toISOString(), user: 'alice', sid, ...more},
  }))
  await agent.client.emitEvents(formatEvents(...events.slice(0, 2)))
  await agent.client.emitEvents(formatEvents(...events.slice(0, 3)))
  await agent.client.emitEvents(formatEvents(...events.slice(3)))
  return sid
}

const recordingConfig = {
  kind: 'session_recording_config',
  version: 'v2',
  metadata: {name: 'session-recording-config'},
  spec: {mode: 'off'},
} as const

const fileOf = (sid: string): string => join(plane.options.dataDir, 'recordings', `${sid}.ndjson`)

async function linesOf(sid: string): Promise<string[]> {
  return (await readFile(fileOf(sid), 'utf8')).trimEnd().split('\n')
}

async function rewrite(sid: string, change: (lines: string[]) => string[]): Promise<void> {
  await writeFile(fileOf(sid), `${change(await linesOf(sid)).join('\n')}\n`)
}

async function verify(sid?: string, client: ApiClient = plane.admin): Promise<VerificationLine[]> {
  const lines: VerificationLine[] = []
  for await (const line of readJsonLines<VerificationLine>(
    await client.verification({sid}, new AbortController().signal),
  )) {
    lines.push(line)
  }
  return lines
}

const problems = async (sid?: string): Promise<VerificationLine[]> =>
  (await verify(sid)).filter(({type}) => type === 'problem')

describe('audit verification', () => {
  it('finds nothing in what nobody touched', async () => {
    const {sid} = await record()
    expect(await problems(sid)).toEqual([])
    const summary = (await verify()).at(-1)
    expect(summary).toMatchObject({type: 'summary', problems: 0})
  })

  it('misses no session when an older one ends before the next begins', async () => {
    const first = await record({ended: false})
    const second = await record({ended: false})
    await agent.client.emitEvents(formatEvents(...first.events.slice(3)))
    const third = await record()
    await agent.client.emitEvents(formatEvents(...second.events.slice(3)))
    const lines = (await problems()).filter((line) => JSON.stringify(line).includes(agent.joined.hostId))
    expect(lines).toEqual([])
    const alarms = (await plane.admin.events({event: 'audit.missing_sessions', limit: 1000})).events
    expect(alarms.filter(({server_id: host}) => host === agent.joined.hostId)).toEqual([])
    expect(third.events[0]).toMatchObject({agent_session: 3})
  })

  it('misses no recording of a session that began while recording was off, and says why there is none', async () => {
    await plane.admin.createResource(recordingConfig)
    const sid = await leaveUnrecorded()
    expect(await problems(sid)).toEqual([])
    expect((await problems()).filter((line) => JSON.stringify(line).includes(sid))).toEqual([])
    await expect(plane.admin.recording(sid, new AbortController().signal)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: `Session ${sid} was not recorded: session recording was off when it began.`,
    })
    const {events} = await plane.admin.events({sid})
    expect(events.map(({event}) => event)).toEqual([
      'db.session.start',
      'db.session.query',
      'client.disconnect',
      'db.session.end',
    ])
    // What is sent again after a change stays unrecorded, and another host cannot tell of the session.
    await plane.admin.deleteResource('session_recording_config', recordingConfig.metadata.name)
    const again = events.map((event) =>
      Object.fromEntries(
        Object.entries(event).filter(([key]) => !['server_id', 'cluster_name', 'received_at'].includes(key)),
      ),
    )
    await agent.client.emitEvents(formatEvents(...again))
    await expect(plane.admin.recording(sid, new AbortController().signal)).rejects.toMatchObject({code: 'NOT_FOUND'})
    const other = await plane.joinHost('Db')
    const late = {...again[1], ei: 9, uid: randomUUID()}
    await expect(other.client.emitEvents(formatEvents(late))).rejects.toMatchObject({code: 'INVALID'})
    expect(await problems(sid)).toEqual([])
  })

  it('an agent alone cannot leave a session unrecorded', async () => {
    const sid = await leaveUnrecorded()
    expect((await linesOf(sid)).length).toBeGreaterThan(4)
    expect(await problems(sid)).toEqual([])
  })

  it('F07 names the record that was edited, in its line', async () => {
    const {sid} = await record()
    const edit = (line: string): string => line.replace('"query_ei":1', '"query_ei":0')
    await rewrite(sid, (lines) => lines.map(edit))
    expect(await problems(sid)).toEqual([
      {
        ...{type: 'problem', subject: 'session', id: sid, line: 4, ei: 2},
        problem: 'The record 2 is not the one that was sealed.',
      },
    ])
  })

  it('F07 names the record that was removed, also when the others were numbered anew', async () => {
    const {sid} = await record()
    await rewrite(sid, (lines) => lines.filter((line) => !line.includes('"ei":2,')))
    expect(await problems(sid)).toMatchObject([{ei: 2, problem: expect.stringContaining('The record 2')}])
    const other = await record()
    await rewrite(other.sid, ([head = '', start = '', , result = '', ...rest]) => [
      head,
      start,
      result.replace('"ei":2', '"ei":1'),
      ...rest,
    ])
    expect(await problems(other.sid)).toMatchObject([{ei: 1}])
  })

  it('F07 finds a recording that was cut behind a seal, by the audit log', async () => {
    const {sid} = await record()
    await rewrite(sid, (lines) => lines.slice(0, 5))
    expect(await problems(sid)).toMatchObject([{ei: 3, problem: expect.stringContaining('was cut')}])
  })

  it('takes what is being stored at this moment for no cut', async () => {
    const {sid, events} = await record({ended: false})
    let goOn = (): void => undefined
    const gate = new Promise<void>((resolve) => (goOn = resolve))
    const append = jest.spyOn(RecordingFiles.prototype, 'append').mockImplementationOnce(async function (
      this: RecordingFiles,
      ...words
    ) {
      append.mockRestore()
      await gate
      return this.append(...words)
    })
    const storing = agent.client.emitEvents(formatEvents(...events.slice(3)))
    while ((await plane.admin.events({sid})).events.length < 4) await sleep(10)
    const verifying = problems(sid)
    expect(await Promise.race([verifying, sleep(500, 'it waits')])).toBe('it waits')
    goOn()
    await storing
    expect(await verifying).toEqual([])
  })

  it('F07 finds a seal that was made anew without the key', async () => {
    const {sid, events} = await record()
    const forger = new SealingKey(SealingKey.generate())
    const forged = await linesOf(sid)
    await rewrite(sid, (lines) =>
      lines.map((line) => line.replace(/"key":"\w+","signature":"[^"]+"/, `"key":"${forger.id}","signature":"AA=="`)),
    )
    expect(await problems(sid)).toMatchObject([{line: 5, problem: expect.stringContaining('not known')}])
    await writeFile(fileOf(sid), `${forged.join('\n')}\n`)
    await rewrite(sid, (lines) => lines.map((line) => line.replace(/"signature":"..../, '"signature":"AAAA')))
    expect(await problems(sid)).toMatchObject([{problem: expect.stringContaining('signature of seal 1')}])
    expect(events).toHaveLength(5)
  })

  it('finds a recording that is gone', async () => {
    const {sid} = await record()
    await rm(fileOf(sid))
    expect(await problems(sid)).toMatchObject([{problem: 'Its recording is missing.'}])
    await writeFile(fileOf(sid), '')
  })

  it('finds sessions that an agent left out, and says so at once', async () => {
    await record()
    await record({number: 4})
    const found = await problems()
    expect(found).toContainEqual(
      expect.objectContaining({subject: 'agent', id: agent.joined.hostId, problem: expect.stringContaining('2–3')}),
    )
    const {events} = await plane.admin.events({event: 'audit.missing_sessions'})
    expect(events.at(-1)).toMatchObject({code: 'PAU01E', server_id: agent.joined.hostId, missing_sessions: '2–3'})
  })

  it('compares what agents tell with what proxies carried', async () => {
    const hidden = randomUUID().replaceAll('-', '')
    const told = await record({bytes: 200_000})
    const less = await record({bytes: 100})
    const cut = await record({ended: false})
    const splice = (id: string, toAgent: number) => ({
      ...{id, host: agent.joined.hostId, opened: Date.now() - 1000, ended: Date.now(), toAgent, toClient: 5000},
    })
    await proxy.client.reportSplices({
      splices: [
        splice(told.connection, 210_000),
        splice(less.connection, 210_000),
        splice(cut.connection, 4000),
        splice(hidden, 90_000),
        splice(randomUUID().replaceAll('-', ''), 3000),
      ],
    })
    late = 2 * minute
    try {
      expect(await problems(told.sid)).toEqual([])
      expect(await problems(less.sid)).toMatchObject([{problem: expect.stringContaining('carried 210000 bytes')}])
      expect(await problems(cut.sid)).toMatchObject([{problem: expect.stringContaining('end is missing')}])
      const strange = (await problems()).filter((line) => 'subject' in line && line.subject === 'connection')
      expect(strange).toMatchObject([{id: hidden}])
    } finally {
      late = 0
    }
    await expect(agent.client.reportSplices({splices: [splice(hidden, 1)]})).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
    })
  })

  it('is for whoever may read all recordings', async () => {
    const {sid} = await record()
    const alice = await plane.addUser('alice', ['access'])
    const eve = await plane.addUser('eve', ['auditor'])
    await expect(verify(sid, alice.client)).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    expect(await verify(sid, eve.client)).toEqual([])
    await expect(verify(randomUUID(), eve.client)).rejects.toMatchObject({code: 'NOT_FOUND'})
  })

  it('works on a file alone, with the public key', async () => {
    const {sid} = await record()
    const {keys} = await plane.admin.sealKeys()
    async function* chunks(): AsyncGenerator<Buffer> {
      yield await readFile(fileOf(sid))
    }
    const verdict = await verifyRecording(chunks(), {keys: readSealKeys(keys)})
    expect(verdict).toMatchObject({records: 5, broken: undefined, sealed: {seal: 2}})
    expect((await verifyRecording(chunks(), {keys: new Map()})).broken).toMatchObject({line: 5})
    const lines = (await readFile(fileOf(sid), 'utf8')).split('\n')
    await writeFile(fileOf(sid), [lines[0], ...lines.slice(2)].join('\n'))
    const {broken} = await verifyRecording(chunks(), {keys: readSealKeys(keys)})
    expect(broken).toEqual({line: 2, ei: 0, problem: 'Before the record 1 records are missing.'})
  })
})
