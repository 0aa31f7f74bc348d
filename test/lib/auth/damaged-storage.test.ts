import {randomUUID} from 'node:crypto'
import {mkdir, readFile, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {afterEach, beforeEach, expect, it} from '@jest/globals'
import Database from 'libsql'
import type {VerificationLine} from '../../../src/lib/api/verification.js'
import {AuditVerification} from '../../../src/lib/auth/audit-verification.js'
import {Sealing} from '../../../src/lib/auth/sealing.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {openSqlite} from '../../../src/lib/storage/sqlite.js'
import {RecordingFiles} from '../../../src/lib/storage/recording-files.js'
import {startTestAuth, type TestAuth} from '../../helpers/auth.js'
import {formatEvents} from '../../helpers/event-lines.js'

let plane: TestAuth
const sid = randomUUID()

/** A control plane that has one session of four events, and is down. */
beforeEach(async () => {
  plane = await startTestAuth()
  const agent = await plane.joinHost('Db')
  const names = ['db.session.start', 'db.session.query', 'db.session.query', 'db.session.end']
  const start = {agent_stream: randomUUID(), agent_session: 1}
  const events = names.map((event, ei) => ({
    ...{ei, event, code: 'TDB00I', uid: randomUUID(), time: new Date().toISOString(), user: 'alice', sid},
    ...(ei === 0 && start),
  }))
  await agent.client.emitEvents(formatEvents(...events.slice(0, 2)))
  await agent.client.emitEvents(formatEvents(...events.slice(2)))
  await plane.auth.close()
})

afterEach(() => plane.stop())

const directory = (): string => plane.options.dataDir
const recording = (): string => join(directory(), 'recordings', `${sid}.ndjson`)

function damage(ei: number, body: string): void {
  const database = new Database(join(directory(), 'backend.sqlite'))
  database.prepare('update events set body = ? where sid = ? and ei = ?').run([body, sid, ei])
  database.close()
}

async function verify(): Promise<VerificationLine[]> {
  const backend = await openSqlite({path: join(directory(), 'backend.sqlite'), clock: systemClock})
  try {
    const sealing = await Sealing.load(backend, systemClock)
    const files = await RecordingFiles.open(join(directory(), 'recordings'), sealing)
    const lines: VerificationLine[] = []
    const settled = (): Promise<void> => Promise.resolve()
    const verification = new AuditVerification({backend, files, sealing, settled, clock: systemClock})
    for await (const line of verification.everything()) lines.push(line)
    return lines
  } finally {
    await backend.close()
  }
}

const ofSession = (lines: readonly VerificationLine[]): unknown[] =>
  lines.filter((line) => line.type === 'problem' && line.subject === 'session')

it.each(['', 'x', 'null', '[]', '77'])(
  'F07 an event whose body is %j is named, and stops no verification',
  async (body) => {
    damage(2, body)
    const lines = await verify()
    expect(ofSession(lines)).toMatchObject([
      {id: sid, ei: 2, problem: 'The audit log has a damaged event in the place of 2.'},
    ])
    expect(lines.at(-1)).toMatchObject({type: 'summary', sessions: 1, problems: 2})
  },
)

it('F07 so is one behind the end of a recording that was cut', async () => {
  damage(2, 'x')
  const lines = (await readFile(recording(), 'utf8')).split('\n')
  await writeFile(recording(), `${lines.slice(0, 4).join('\n')}\n`)
  const found = await verify()
  expect(ofSession(found)).toMatchObject([
    {id: sid, problem: 'The audit log goes on behind its recording with a damaged event.'},
  ])
  expect(found.at(-1)).toMatchObject({type: 'summary'})
})

it('F07 what is no recording is named and stops no verification', async () => {
  await writeFile(join(directory(), 'recordings', 'x.ndjson'), 'x\n')
  await rm(recording())
  await mkdir(recording())
  const found = await verify()
  expect(ofSession(found)).toMatchObject([
    {id: sid, problem: expect.stringContaining('cannot be read')},
    {id: 'x', problem: expect.stringContaining('cannot be read')},
  ])
  expect(found.at(-1)).toMatchObject({type: 'summary', problems: 2})
})
