import {randomUUID} from 'node:crypto'
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import type {LiveSession} from '../../../src/lib/api/live-session.js'
import {WatchClient} from '../../../src/lib/api/watch-client.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {silentLogger} from '../../../src/lib/core/log.js'
import {startTestAuth, type TestAuth, type TestHost} from '../../helpers/auth.js'

/** A process of an agent. */
interface Process {
  readonly host: TestHost
  readonly running: Map<string, LiveSession>
  readonly opening: Set<string>
  readonly watch: WatchClient
}

let plane: TestAuth
let processes: [Process, Process]

async function start(): Promise<Process> {
  const host = await plane.joinHost('Db')
  const running = new Map<string, LiveSession>()
  const opening = new Set<string>()
  let ready: () => void = () => undefined
  const complete = new Promise<void>((resolve) => (ready = resolve))
  const watch = new WatchClient({
    ...{client: host.client, clock: systemClock, logger: silentLogger},
    sessions: () => [...running.values()],
    opening: () => opening,
    onStart: () => undefined,
    onEvent: ({type}) => {
      if (type === 'ready') ready()
    },
  })
  await complete
  return {host, running, opening, watch}
}

/** A session of a user, which begins when it is admitted. @returns its id, or undefined */
async function begin({host, running, opening}: Process, user = 'alice', most = 2): Promise<string | undefined> {
  const sid = randomUUID()
  opening.add(sid)
  const {admitted} = await host.client.admitSession({sid, user, most})
  if (admitted) {
    running.set(sid, {
      ...{sid, user, database: 'orders', dbUser: 'app', dbName: 'postgres', source: '192.0.2.1:5000'},
      ...{started: new Date().toISOString(), state: 'idle'},
    })
  }
  opening.delete(sid)
  return admitted ? sid : undefined
}

beforeEach(async () => {
  plane = await startTestAuth()
  processes = [await start(), await start()]
})

afterEach(async () => {
  for (const {watch} of processes) await watch.close()
  await plane.stop()
})

describe('the sessions that a user may have at a time', () => {
  it('are counted over all agents, each user by itself', async () => {
    const [one, other] = processes
    const first = await begin(one)
    expect(first).toBeDefined()
    expect(await begin(other)).toBeDefined()
    expect(await begin(one)).toBeUndefined()
    expect(await begin(other)).toBeUndefined()
    expect(await begin(other, 'bob')).toBeDefined()
    one.running.delete(first ?? '')
    expect(await begin(other)).toBeDefined()
    expect(await begin(one)).toBeUndefined()
  })

  it('are no more when many come at once everywhere', async () => {
    const all = await Promise.all(Array.from({length: 12}, (_, index) => begin(processes[index % 2 ? 1 : 0])))
    expect(all.filter((sid) => sid !== undefined)).toHaveLength(2)
  })

  it('have a place from their admission on, until they run or are given up', async () => {
    const [one, other] = processes
    const sid = randomUUID()
    one.opening.add(sid)
    expect(await one.host.client.admitSession({sid, user: 'alice', most: 1})).toEqual({admitted: true})
    expect(await begin(other, 'alice', 1)).toBeUndefined()
    one.opening.delete(sid)
    expect(await begin(other, 'alice', 1)).toBeDefined()
  })

  it('of an agent that is gone do not count', async () => {
    const [one, other] = processes
    expect(await begin(one, 'alice', 1)).toBeDefined()
    expect(await begin(other, 'alice', 1)).toBeUndefined()
    await one.watch.close()
    let admitted: string | undefined
    while (admitted === undefined) admitted = await begin(other, 'alice', 1)
    expect(other.running.size).toBe(1)
  })
})
