import {randomUUID} from 'node:crypto'
import {once} from 'node:events'
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import type {LiveSession} from '../../../src/lib/api/live-session.js'
import {WatchClient} from '../../../src/lib/api/watch-client.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {silentLogger} from '../../../src/lib/core/log.js'
import type {HostCaller} from '../../../src/lib/auth/caller.js'
import {SessionPlaces} from '../../../src/lib/auth/session-places.js'
import {gatherSessions} from '../../../src/lib/auth/told-sessions.js'
import type {Watches} from '../../../src/lib/auth/watch.js'
import {startTestAuth, type TestAuth, type TestHost} from '../../helpers/auth.js'

/** A process of an agent. */
interface Process {
  readonly host: TestHost
  readonly running: Map<string, LiveSession>
  readonly opening: Set<string>
  readonly watch: WatchClient
}

/** What the control plane's monotonic clock is ahead by. */
let ahead: number
/** For so long nothing runs here, nor in the control plane, before the next agent answers. */
let heldUpMilliseconds: number
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
    sessions: () => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, heldUpMilliseconds)
      heldUpMilliseconds = 0
      return [...running.values()]
    },
    opening: () => opening,
    onStart: () => undefined,
    onEvent: ({type}) => {
      if (type === 'ready') ready()
    },
  })
  await complete
  return {host, running, opening, watch}
}

const live = (sid: string, user: string): LiveSession => ({
  ...{sid, user, database: 'orders', dbUser: 'app', dbName: 'postgres', source: '192.0.2.1:5000'},
  ...{started: new Date().toISOString(), state: 'idle'},
})

/** A session of a user, which begins when it is admitted. @returns its id, or undefined */
async function begin({host, running, opening}: Process, user = 'alice', most = 2): Promise<string | undefined> {
  const sid = randomUUID()
  opening.add(sid)
  const {admitted} = await host.client.admitSession({sid, user, most})
  if (admitted) running.set(sid, live(sid, user))
  opening.delete(sid)
  return admitted ? sid : undefined
}

beforeEach(async () => {
  ahead = 0
  heldUpMilliseconds = 0
  plane = await startTestAuth({clock: {...systemClock, monotonic: () => systemClock.monotonic() + ahead}})
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

  it('of an agent that does not answer count as before', async () => {
    let told: Awaited<ReturnType<Watches['sessions']>> = gatherSessions([])
    const places = new SessionPlaces({sessions: () => Promise.resolve(told)})
    const asks = (sid: string): Promise<{admitted: boolean}> =>
      places.admit({sid, user: 'alice', most: 1}, {hostId: 'one'} as HostCaller)
    const running = {...live('first', 'alice'), hostId: 'one', hostname: 'a-host'}
    expect(await asks('first')).toEqual({admitted: true})
    told = {...told, sessions: [running]}
    expect(await asks('second')).toEqual({admitted: false})
    told = {...told, sessions: [], silent: ['one']}
    expect(await asks('third')).toEqual({admitted: false})
    told = {...told, silent: []}
    expect(await asks('fourth')).toEqual({admitted: true})
  })

  it('are not asked of an agent any more that has left nothing but its connection', async () => {
    const [, other] = processes
    const vanished = await plane.joinHost('Db')
    const stream = await vanished.client.transport.stream('/v1/watch?follower=1', new AbortController().signal)
    const closed = new Promise((resolve) => stream.on('error', resolve).on('end', resolve).resume())
    await once(stream, 'data')
    ahead = 3_600_000
    expect(await begin(other, 'alice', 1)).toBeDefined()
    await closed
  })

  it('are counted by a control plane that is held up while its agents answer', async () => {
    const [one, other] = processes
    // It began while the control plane was away.
    one.running.set('earlier', live(randomUUID(), 'alice'))
    heldUpMilliseconds = 3500
    expect(await begin(other, 'alice', 1)).toBeUndefined()
  })
})
