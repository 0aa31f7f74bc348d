import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {createInterface} from 'node:readline'
import type {WatchEvent} from '../../../src/lib/api/watch-event.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import type {Database} from '../../../src/lib/resources/database.js'
import type {Lock} from '../../../src/lib/resources/lock.js'
import type {Role} from '../../../src/lib/resources/role.js'
import {reportedHealth, startTestAuth, type TestAuth, type TestHost} from '../../helpers/auth.js'

let plane: TestAuth
/** What the wall clock says beyond the truth, in milliseconds. */
let ahead = 0
const streams: AbortController[] = []

beforeAll(async () => {
  plane = await startTestAuth({clock: {...systemClock, now: () => Date.now() + ahead}})
})

afterAll(async () => {
  for (const stream of streams) stream.abort()
  await plane.stop()
})

interface Stream {
  readonly watchId: string
  /** Everything up to and with the first event that fits. */
  until(fits: (event: WatchEvent) => boolean): Promise<WatchEvent[]>
  /** Settles when the stream is over. */
  readonly over: Promise<void>
}

async function watch(host: TestHost, follower = ''): Promise<Stream> {
  const controller = new AbortController()
  streams.push(controller)
  const body = await host.client.transport.stream(`/v1/watch?follower=${follower}`, controller.signal)
  const over = new Promise<void>((resolve) => body.on('close', resolve))
  body.on('error', () => undefined)
  const lines = createInterface({input: body})[Symbol.asyncIterator]()
  const next = async (): Promise<WatchEvent> => {
    const line: IteratorResult<string, undefined> = await lines.next()
    if (line.done === true) throw new Error('the stream is over')
    return JSON.parse(line.value) as WatchEvent
  }
  const hello = await next()
  if (hello.type !== 'hello') throw new Error('the stream began without a hello')
  return {
    watchId: hello.watchId,
    over,
    until: async (fits) => {
      const events: WatchEvent[] = []
      for (;;) {
        const event = await next()
        events.push(event)
        if (fits(event)) return events
      }
    },
  }
}

const isReady = ({type}: WatchEvent): boolean => type === 'ready'
const isAbout =
  (name: string) =>
  (event: WatchEvent): boolean =>
    'name' in event && event.name === name
/** `put role dev` or `delete lock l` */
const brief = (event: WatchEvent): string =>
  'name' in event ? `${event.type} ${event.kind} ${event.name}` : event.type

function role(name: string, dbUsers: string[] = []): Role {
  return {kind: 'role', version: 'v7', metadata: {name}, spec: {allow: {db_users: dbUsers}}}
}

function lock(name: string, target: Lock['spec']['target']): Lock {
  return {kind: 'lock', version: 'v2', metadata: {name}, spec: {target}}
}

function database(name: string, labels: Record<string, string> = {}): Database {
  return {kind: 'db', version: 'v3', metadata: {name, labels}, spec: {protocol: 'postgres', uri: 'db:5432'}}
}

describe('an agent', () => {
  it('is told of all that decides about access, then of each change, and of no secret', async () => {
    const agent = await plane.joinHost('Db')
    await plane.addUser('alice', ['access'])
    await plane.admin.createResource(database('Orders'))
    await plane.admin.createResource(lock('l1', {user: 'bob'}))
    const stream = await watch(agent)

    const first = await stream.until(isReady)
    expect(first.map(brief)).toEqual(
      expect.arrayContaining([
        'put authority host',
        'put authority user',
        'put authority db',
        'put authority db_client',
        'put role access',
        'put user alice',
        'put db Orders',
        'put lock l1',
      ]),
    )
    expect(first.find(isAbout('alice'))).toEqual({
      type: 'put',
      kind: 'user',
      name: 'alice',
      item: {name: 'alice', roles: ['access'], certsValidFrom: expect.any(String) as unknown},
    })
    expect(JSON.stringify(first)).not.toMatch(/scrypt|PRIVATE KEY|"hash"/)

    await plane.admin.putResource(role('dev', ['reader']))
    expect((await stream.until(isAbout('dev'))).map(brief)).toEqual(['put role dev'])
    await plane.admin.deleteResource('role', 'dev')
    await plane.admin.deleteResource('db', 'Orders')
    await plane.admin.deleteResource('lock', 'l1')
    expect((await stream.until(isAbout('l1'))).map(brief)).toEqual([
      'delete role dev',
      'delete db Orders',
      'delete lock l1',
    ])
  })

  it('gets the answer to a ping behind every change that was made before', async () => {
    const agent = await plane.joinHost('Db')
    const stream = await watch(agent)
    await stream.until(isReady)
    for (let sequence = 0; sequence < 3; sequence++) {
      await plane.admin.putResource(role('busy', [`${sequence}`]))
      await agent.client.ping(stream.watchId, {sequence})
    }
    const events = await stream.until((event) => event.type === 'pong' && event.sequence === 2)
    expect(events.map(brief)).toEqual(['put role busy', 'pong', 'put role busy', 'pong', 'put role busy', 'pong'])
  })

  it('has the newest state when it is ready, also of what changes while it reads', async () => {
    const agent = await plane.joinHost('Db')
    await plane.admin.putResource(role('racing', ['0']))
    const changing = (async () => {
      for (let round = 1; round <= 40; round++) {
        if (round % 4 === 0) await plane.admin.deleteResource('role', 'racing')
        else await plane.admin.putResource(role('racing', [`${round}`]))
      }
    })()
    for (let round = 0; round < 8; round++) {
      const stream = await watch(agent)
      await stream.until(isReady)
    }
    const stream = await watch(agent)
    const events = await stream.until(isReady)
    await changing
    await plane.admin.putResource(role('after'))
    events.push(...(await stream.until(isAbout('after'))))
    expect(
      events
        .filter(isAbout('racing'))
        .map(({type}) => type)
        .at(-1) ?? 'delete',
    ).toBe('delete')
    await plane.admin.deleteResource('role', 'after')
  })

  it('hears only of databases that its join token lets it serve, and when one leaves that scope', async () => {
    const agent = await plane.joinHost('Db', {labels: {env: 'dev'}})
    await plane.admin.createResource(database('mine', {env: 'dev'}))
    await plane.admin.createResource(database('others', {env: 'prod'}))
    const stream = await watch(agent)
    const names = (await stream.until(isReady)).map(brief)
    expect(names).toContain('put db mine')
    expect(names).not.toContain('put db others')
    await plane.admin.putResource(database('others', {env: 'stage'}))
    await plane.admin.putResource(database('mine', {env: 'prod'}))
    expect((await stream.until(isAbout('mine'))).map(brief)).toEqual(['delete db mine'])
  })
})

it('a proxy is told where databases are, and nothing of users and roles', async () => {
  const [agent, proxy] = [await plane.joinHost('Db'), await plane.joinHost('Proxy')]
  const stream = await watch(proxy)
  const first = await stream.until(isReady)
  expect(first.filter((event) => 'kind' in event && ['user', 'role', 'db'].includes(event.kind))).toEqual([])
  const beat = {hostname: 'h', version: '0.1.0'}
  await agent.client.heartbeat({...beat, databases: [{database: database('Sales'), health: reportedHealth()}]})
  const name = `${agent.joined.hostId}/Sales`
  expect((await stream.until(isAbout(name))).map(brief)).toEqual([`put db_server ${name}`])
  await agent.client.heartbeat({...beat, databases: []})
  expect((await stream.until(isAbout(name))).map(brief)).toEqual([`delete db_server ${name}`])
})

describe('a stream', () => {
  it('is answered for its own host only', async () => {
    const [one, other] = [await plane.joinHost('Db'), await plane.joinHost('Db')]
    const stream = await watch(one)
    await expect(other.client.ping(stream.watchId, {sequence: 0})).rejects.toMatchObject({code: 'NOT_FOUND'})
  })

  it('ends when its host opens another one', async () => {
    const agent = await plane.joinHost('Db')
    const older = await watch(agent)
    await watch(agent)
    await older.over
  })

  it('goes on when another process of its host opens one', async () => {
    const agent = await plane.joinHost('Db')
    const [main, worker] = [await watch(agent, 'main'), await watch(agent, 'worker')]
    await plane.addUser('newcomer', ['access'])
    for (const stream of [main, worker]) await stream.until(isAbout('newcomer'))
    const again = await watch(agent, 'worker')
    await worker.over
    await plane.addUser('latecomer', ['access'])
    for (const stream of [main, again]) await stream.until(isAbout('latecomer'))
  })

  it('brings cancel requests that came to another agent of the same database, from such an agent only', async () => {
    const [one, two, stranger] = await Promise.all(['Db', 'Db', 'Db'].map(() => plane.joinHost('Db')))
    if (!one || !two || !stranger) throw new Error('no hosts')
    for (const [agent, name] of [
      [one, 'shared'],
      [two, 'shared'],
      [stranger, 'alone'],
    ] as const) {
      const databases = [{database: database(name), health: reportedHealth()}]
      await agent.client.heartbeat({hostname: 'h', version: '0.1.0', databases})
    }
    const streams = await Promise.all([one, two, stranger].map((agent) => watch(agent)))
    // Behind the first items, which may be of what happens while they are read: cancels come behind those.
    for (const stream of streams) await stream.until(isReady)
    const request = {database: 'Shared', user: 'alice', pid: -7, secret: 'AAECAw=='}
    await expect(stranger.client.forwardCancel(request)).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    await one.client.forwardCancel(request)
    await plane.addUser('after', ['access'])
    const heard = await Promise.all(streams.map((stream) => stream.until(isAbout('after'))))
    const cancels = heard.map((events) => events.filter(({type}) => type === 'cancel'))
    expect(cancels).toEqual([[], [{type: 'cancel', user: 'alice', pid: -7, secret: 'AAECAw=='}], []])
  })

  it('ends when a lock shuts its host out', async () => {
    const agent = await plane.joinHost('Db')
    const stream = await watch(agent)
    await stream.until(isReady)
    await plane.admin.createResource(lock('l2', {server_id: agent.joined.hostId}))
    await stream.over
    await plane.admin.deleteResource('lock', 'l2')
  })

  it('ends with the certificate of its host', async () => {
    const agent = await plane.joinHost('Db')
    const stream = await watch(agent)
    await stream.until(isReady)
    const shortLock = lock('l3', {user: 'nobody'})
    shortLock.spec.expires = new Date(Date.now() + 3_600_000).toISOString()
    await plane.admin.createResource(shortLock)
    expect((await stream.until(isAbout('l3'))).map(brief)).toEqual(['put lock l3'])
    ahead = 91 * 24 * 3_600_000
    try {
      // The lock has expired as well; it is swept away, which makes the control plane look again.
      await stream.over
    } finally {
      ahead = 0
    }
  })

  it('of a host that does not read is cut off', async () => {
    const agent = await plane.joinHost('Db')
    const controller = new AbortController()
    streams.push(controller)
    const body = await agent.client.transport.stream('/v1/watch', controller.signal)
    body.on('error', () => undefined)
    const hello = await new Promise<string>((resolve) => {
      body.once('data', (chunk: Buffer) => {
        body.pause()
        resolve(chunk.toString().split('\n')[0] ?? '')
      })
    })
    const {watchId} = JSON.parse(hello) as {watchId: string}
    const large = Array.from({length: 800}, (_, index) => `${index}`.padEnd(1000, 'x'))
    let gone: unknown
    for (let round = 0; round < 100 && gone === undefined; round++) {
      await plane.admin.putResource(role('large', large))
      gone = await agent.client.ping(watchId, {sequence: round}).then(
        () => undefined,
        (error: unknown) => error,
      )
    }
    expect(gone).toMatchObject({code: 'NOT_FOUND'})
    await plane.admin.deleteResource('role', 'large')
  })
})
