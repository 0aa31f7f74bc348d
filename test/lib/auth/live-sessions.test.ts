import {randomUUID} from 'node:crypto'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import type {ApiClient} from '../../../src/lib/api/client.js'
import type {LiveSession} from '../../../src/lib/api/live-session.js'
import {WatchClient} from '../../../src/lib/api/watch-client.js'
import type {WatchEvent} from '../../../src/lib/api/watch-event.js'
import {readJsonLines} from '../../../src/lib/cli/json-lines.js'
import {formatEvents} from '../../helpers/event-lines.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {silentLogger} from '../../../src/lib/core/log.js'
import {reportedHealth, startTestAuth, type TestAuth, type TestHost, type TestUser} from '../../helpers/auth.js'
import {waitFor} from '../../helpers/psql.js'

type Event = Record<string, unknown>

let plane: TestAuth
/** Where the control plane's monotonic clock stands still. */
let stopped: number | undefined
let agent: TestHost
let alice: TestUser
let bob: TestUser
let eve: TestUser
let editor: TestUser
const running = new Map<string, LiveSession>()
const heard: WatchEvent[] = []
const watches: WatchClient[] = []

/** A process of an agent that ends what it is told to end. */
async function follow(
  {client}: Pick<TestHost, 'client'>,
  sessions: () => readonly LiveSession[],
  hears = heard,
): Promise<void> {
  let ready: () => void = () => undefined
  const complete = new Promise<void>((resolve) => (ready = resolve))
  watches.push(
    new WatchClient({
      client,
      clock: systemClock,
      logger: silentLogger,
      sessions,
      onStart: () => undefined,
      onEvent: (event) => {
        hears.push(event)
        if (event.type === 'ready') ready()
        if (event.type === 'put' && event.kind === 'ending') running.delete(event.name)
      },
    }),
  )
  await complete
}

/** The connection over which a host follows: cut, it stays away until it is mended. */
function breakable({client: {transport}}: TestHost): {cut: () => void; mend: () => void} {
  const stream = transport.stream.bind(transport)
  const broken = new AbortController()
  let mend: () => void = () => undefined
  const mended = new Promise<void>((resolve) => (mend = resolve))
  transport.stream = async (path, signal) => {
    if (!broken.signal.aborted) return stream(path, AbortSignal.any([signal, broken.signal]))
    await mended
    return stream(path, signal)
  }
  const cut = (): void => {
    broken.abort()
  }
  return {cut, mend}
}

function begin(user: string): string {
  const sid = randomUUID()
  running.set(sid, {
    ...{sid, user, database: 'orders', dbUser: 'app', dbName: 'postgres', source: '192.0.2.1:5000'},
    ...{started: new Date().toISOString(), state: 'active', statement: 'select 1'},
  })
  return sid
}

beforeAll(async () => {
  plane = await startTestAuth({clock: {...systemClock, monotonic: () => stopped ?? systemClock.monotonic()}})
  agent = await plane.joinHost('Db')
  alice = await plane.addUser('alice', ['access'])
  bob = await plane.addUser('bob', ['access'])
  eve = await plane.addUser('eve', ['auditor'])
  editor = await plane.addUser('editor', ['editor'])
  await follow(agent, () => [...running.values()])
  await follow(agent, () => [])
})

afterAll(async () => {
  await Promise.all(watches.map((watch) => watch.close()))
  await plane.stop()
})

/** All of the agents have told theirs in time. */
const complete = ({client}: {client: ApiClient}): Promise<readonly LiveSession[]> =>
  waitFor(async () => {
    const {sessions, silent} = await client.liveSessions()
    return silent.length === 0 ? sessions : undefined
  })
/** Its end is asked of its agent. */
const isTold = (sid: string): Promise<true> =>
  waitFor(
    () => heard.some((event) => event.type === 'put' && event.kind === 'ending' && event.name === sid) || undefined,
  )
const idsFor = async (who: {client: ApiClient}): Promise<string[]> => (await complete(who)).map(({sid}) => sid)

describe('live sessions', () => {
  it('are asked of every process of every agent, and told with the host', async () => {
    const sid = begin('alice')
    expect(await complete({client: plane.admin})).toContainEqual({
      ...running.get(sid),
      hostId: agent.joined.hostId,
      hostname: expect.any(String),
    })
  })

  it('D08: everybody sees their own, and those of others only with a role for it', async () => {
    const mine = begin('alice')
    const theirs = begin('bob')
    expect(await idsFor(alice)).toContain(mine)
    expect(await idsFor(alice)).not.toContain(theirs)
    for (const who of [eve, editor]) expect(await idsFor(who)).toEqual(expect.arrayContaining([mine, theirs]))
    await expect(agent.client.liveSessions()).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    await expect(plane.clientOf().liveSessions()).rejects.toMatchObject({code: 'NOT_LOGGED_IN'})
  })

  it('D08: nobody without a role for it ends the session of another, guessed or seen', async () => {
    const theirs = begin('bob')
    for (const client of [alice.client, eve.client, agent.client]) {
      for (const sid of [theirs, randomUUID()]) {
        await expect(client.killSession(sid, {})).rejects.toMatchObject({code: 'ACCESS_DENIED'})
      }
    }
    expect(running.has(theirs)).toBe(true)
    await expect(editor.client.killSession(randomUUID(), {})).rejects.toMatchObject({code: 'NOT_FOUND'})
  })

  it('end when somebody who may ends them, and the audit log says who and why', async () => {
    const theirs = begin('bob')
    expect(await editor.client.killSession(theirs, {reason: 'too slow'})).toEqual({ended: true})
    expect(heard).toContainEqual({
      ...{type: 'put', kind: 'ending', name: theirs},
      item: {hostId: agent.joined.hostId, reason: 'The session was ended by editor: too slow'},
    })
    const own = begin('bob')
    expect(await bob.client.killSession(own, {})).toEqual({ended: true})
    const {events} = await plane.admin.events({event: 'session.kill'})
    expect(events).toMatchObject([
      {code: 'PSE00I', user: 'editor', session_user: 'bob', sid: theirs, reason: 'too slow', db_service: 'orders'},
      {user: 'bob', sid: own},
    ])
  })

  it('of a process that is away for a moment are waited for', async () => {
    const host = await plane.joinHost('Db')
    const line = breakable(host)
    const sid = begin('bob')
    const own = [...running.values()].filter((session) => session.sid === sid)
    running.delete(sid)
    await follow(host, () => own)
    expect(await idsFor(editor)).toContain(sid)
    // However long it takes here, for the control plane it is a moment.
    stopped = systemClock.monotonic()
    line.cut()
    const listed = idsFor(editor)
    const killed = bob.client.killSession(sid, {})
    await new Promise((resolve) => setTimeout(resolve, 500))
    line.mend()
    expect(await listed).toContain(sid)
    await isTold(sid)
    own.length = 0
    await killed
    stopped = undefined
  })

  it('of a process that leaves while it is asked are waited for', async () => {
    const host = await plane.joinHost('Db')
    const sid = begin('bob')
    const own = [...running.values()].filter((session) => session.sid === sid)
    running.delete(sid)
    let leaves = false
    await follow(host, () => {
      const isLeaving = leaves
      leaves = false
      if (isLeaving) throw new Error('the stream breaks')
      return own
    })
    expect(await idsFor(editor)).toContain(sid)
    stopped = systemClock.monotonic()
    try {
      leaves = true
      const killed = bob.client.killSession(sid, {})
      await isTold(sid)
      own.length = 0
      expect(await killed).toEqual({ended: true})
    } finally {
      stopped = undefined
    }
  })

  it('are not said to have ended while the process that has them is away, though another one of its agent answers', async () => {
    const host = await plane.joinHost('Db')
    const line = breakable(host)
    const sid = begin('bob')
    const own = [...running.values()].filter((session) => session.sid === sid)
    running.delete(sid)
    let asked = 0
    await follow(host, () => own)
    await follow({client: plane.clientOf(host.credentials)}, () => {
      asked += 1
      return []
    })
    let answer: {ended: boolean} | undefined
    const killing = plane.admin.killSession(sid, {}).then((result) => (answer = result))
    await isTold(sid)
    line.cut()
    const before = asked
    await waitFor(() => answer ?? (asked > before + 2 ? 'asked again' : undefined))
    expect(answer).toBeUndefined()
    own.length = 0
    line.mend()
    await killing
  })

  it('are told to the agent that has them, and to no other host', async () => {
    const other = await plane.joinHost('Db')
    const told: WatchEvent[] = []
    await follow(other, () => [], told)
    expect(told.filter((event) => event.type === 'put' && event.kind === 'ending')).toEqual([])
  })
})

describe('D08: the stream of a session', () => {
  const event = (sid: string, ei: number, name: string): Event => ({
    ...{ei, event: name, code: 'TDB00I', uid: randomUUID(), time: new Date().toISOString(), user: 'alice', sid},
  })

  /** The names of the events as they come. */
  async function watching({client}: {client: ApiClient}, sid: string): Promise<AsyncGenerator<Event>> {
    return readJsonLines<Event>(await client.followRecording(sid, new AbortController().signal))
  }

  async function next(stream: AsyncGenerator<Event>, name: string): Promise<void> {
    for await (const {event: found} of {[Symbol.asyncIterator]: () => ({next: () => stream.next()})}) {
      if (found === name) return
    }
    throw new Error(`${name} did not come`)
  }

  it('goes on to the end of the session, for its user and for whose roles say so', async () => {
    const sid = randomUUID()
    const database = {
      ...{kind: 'db' as const, version: 'v3' as const, metadata: {name: 'orders', labels: {}}},
      spec: {protocol: 'postgres' as const, uri: 'db.internal:5432'},
    }
    await agent.client.heartbeat({hostname: 'h', version: '0.1.0', databases: [{database, health: reportedHealth()}]})
    await agent.client.emitEvents(formatEvents(event(sid, 0, 'db.session.start')))
    await expect(watching(bob, sid)).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    await expect(watching(editor, sid)).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    const forAlice = await watching(alice, sid)
    const forEve = await watching(eve, sid)
    const streams = [forAlice, forEve]
    for (const stream of streams) await next(stream, 'db.session.start')
    await agent.client.emitEvents(formatEvents(event(sid, 1, 'db.session.query')))
    for (const stream of streams) await next(stream, 'db.session.query')
    // Who may no longer read it gets no more of it.
    const eveRecord = await plane.admin.getResource('user', 'eve')
    const [user] = eveRecord.items
    if (!user) throw new Error('eve is gone')
    await plane.admin.putResource({...user, spec: {...user.spec, roles: ['access']}})
    await agent.client.emitEvents(formatEvents(event(sid, 2, 'db.session.query')))
    await next(forAlice, 'db.session.query')
    await expect(next(forEve, 'db.session.query')).rejects.toMatchObject({code: 'UNREACHABLE'})
    await agent.client.emitEvents(formatEvents(event(sid, 3, 'db.session.end')))
    await next(forAlice, 'db.session.end')
    const rest: Event[] = []
    for await (const line of forAlice) rest.push(line)
    expect(rest).toMatchObject([{seal: 4}])
  })
})
