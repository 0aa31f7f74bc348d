import type {TLSSocket} from 'node:tls'
import {afterEach, beforeAll, afterAll, beforeEach, describe, expect, it} from '@jest/globals'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import {cstring, encodeMessage} from '../../../src/lib/pgwire/message.js'
import {frontend} from '../../../src/lib/pgwire/message-types.js'
import {Plane} from './plane.js'
import {
  accessRole,
  databaseResource,
  greet,
  MessageReader,
  openSession,
  role,
  sessionEvents,
  startPostgresFor,
  startRig,
  until,
  type Rig,
} from './rig.js'
import {ask} from './wire.js'

let plane: Plane
let postgres: PostgresServer
let rig: Rig

beforeAll(async () => {
  plane = await Plane.create()
  postgres = await startPostgresFor(plane, 'CREATE ROLE alice LOGIN')
})

afterAll(async () => {
  await postgres.stop()
})

beforeEach(async () => {
  rig = await startRig({
    plane,
    uri: `127.0.0.1:${postgres.port}`,
    agent: {selectors: [{env: ['dev']}], allowLoopback: true},
  })
})

afterEach(async () => {
  await rig.stop()
  plane.delete('db', 'moving')
  plane.delete('lock', 'l1')
})

const query = (sql: string): Buffer => encodeMessage(frontend.query, cstring(sql))

/** A session in the middle of a long query. */
async function sleeping(application: string): Promise<{socket: TLSSocket; reader: MessageReader}> {
  const {socket, reader} = await openSession(rig, await rig.guest(), {application_name: application})
  socket.write(query('select pg_sleep(600)'))
  await until(() => isRunning(application), 'the query runs')
  return {socket, reader}
}

async function isRunning(application: string): Promise<boolean> {
  const sql = `select 1 from pg_stat_activity where application_name = '${application}' and state = 'active'`
  return (await postgres.execute(sql)).length > 0
}

describe('a change at the control plane', () => {
  it.each<[string, () => void, string]>([
    [
      'a role',
      () => {
        plane.put({kind: 'role', name: 'access', item: role('access', {db_labels: {env: ['prod']}})})
      },
      'none of your roles allows this database',
    ],
    [
      'a role that is removed',
      () => {
        plane.delete('role', 'access')
      },
      'none of your roles allows this database',
    ],
    [
      'the roles of the user',
      () => {
        plane.put({kind: 'user', name: 'alice', item: {name: 'alice', roles: []}})
      },
      'none of your roles allows this database',
    ],
    [
      'a lock',
      () => {
        const spec = {target: {user: 'alice'}, message: 'on leave'}
        plane.put({kind: 'lock', name: 'l1', item: {kind: 'lock', version: 'v2', metadata: {name: 'l1'}, spec}})
      },
      'Access is locked: on leave.',
    ],
    [
      'a lock of this host',
      () => {
        const spec = {target: {server_id: rig.agent.hostId}}
        plane.put({kind: 'lock', name: 'l1', item: {kind: 'lock', version: 'v2', metadata: {name: 'l1'}, spec}})
      },
      'Access is locked.',
    ],
    [
      'the user',
      () => {
        plane.delete('user', 'alice')
      },
      'no longer exists',
    ],
    [
      'the moment from which certificates count',
      () => {
        const certsValidFrom = new Date(Date.now() + 1000).toISOString()
        plane.put({kind: 'user', name: 'alice', item: {name: 'alice', roles: ['access'], certsValidFrom}})
      },
      'was revoked',
    ],
  ])('of %s ends the sessions that it forbids, and what they run', async (what, change, sentence) => {
    const {reader} = await sleeping(what)
    change()
    const error = await reader.error()
    expect(error).toMatchObject({severity: 'FATAL', code: '57P01'})
    expect(error?.message).toContain(sentence)
    expect(await reader.next()).toBeUndefined()
    const end = (await sessionEvents(plane, what)).at(-1)
    expect(end?.reason).toContain(sentence)
    await until(async () => !(await isRunning(what)), 'the database gave up the query')
  })

  it('of the traits of the user ends what they no longer allow, though the certificate names them', async () => {
    const traits = {db_users: ['alice']}
    const ofTraits = role('access', {
      db_labels: {'*': ['*']},
      db_users: ['{{internal.db_users}}'],
      db_names: ['*'],
    })
    plane.put({kind: 'role', name: 'access', item: ofTraits})
    plane.put({kind: 'user', name: 'alice', item: {name: 'alice', roles: ['access'], traits}})
    const guest = await rig.guest({traits})
    let reader: MessageReader | undefined
    const open = async (): Promise<boolean> => {
      const session = await openSession(rig, guest)
      if (session.opening[0]?.type === 'R') ({reader} = session)
      return reader !== undefined
    }
    await until(open, 'the agent knows them')
    plane.put({kind: 'user', name: 'alice', item: {name: 'alice', roles: ['access'], traits: {db_users: ['bob']}}})
    const error = await reader?.error()
    expect(error).toMatchObject({code: '57P01', message: expect.stringContaining('database user') as unknown})
    expect(await reader?.next()).toBeUndefined()
  })

  it('leaves the others alone', async () => {
    const {socket, reader} = await openSession(rig, await rig.guest())
    plane.put({kind: 'role', name: 'access', item: {...accessRole, metadata: {name: 'access', description: 'new'}}})
    plane.put({kind: 'user', name: 'bob', item: {name: 'bob', roles: []}})
    plane.breakStreams()
    await until(() => plane.streams > 0, 'the agent is back')
    socket.write(query('select 1'))
    expect((await reader.until('Z')).map(({type}) => type)).toEqual(['T', 'D', 'C', 'Z'])
    socket.destroy()
  })

  it('that takes a database away ends its sessions, one that gives it lets them in', async () => {
    const route = {database: 'moving', protocol: 'postgres' as const, dbUser: 'alice', dbName: 'postgres', dbRoles: []}
    plane.put({kind: 'db', name: 'moving', item: databaseResource('moving', `127.0.0.1:${postgres.port}`)})
    await until(() => rig.agent.databases().length === 2, 'the agent serves it')
    const {reader} = await openSession(rig, await rig.guest({route}), {application_name: 'moving'})
    plane.delete('db', 'moving')
    expect(await reader.error()).toMatchObject({code: '57P01'})
    expect((await sessionEvents(plane, 'moving')).at(-1)?.reason).toContain('no longer served')
    expect((await sessionEvents(plane, 'moving'))[0]).toMatchObject({db_service: 'moving', db_origin: 'dynamic'})
  })
})

describe('a draining agent', () => {
  it('sends new clients elsewhere, lets sessions end, and then ends them', async () => {
    const {socket: ending, reader: ended} = await openSession(rig, await rig.guest(), {application_name: 'ending'})
    const {reader} = await sleeping('staying')
    const spare = await rig.dial(await rig.guest())
    await greet(spare)
    const drained = rig.agent.drain(120_000)
    const late = await rig.dial(await rig.guest())
    expect(await greet(late)).toMatchObject({ok: false, code: 'draining'})
    late.destroy()
    expect(await new MessageReader(spare).next()).toBeUndefined()
    ending.write(query('select 1'))
    expect((await ended.until('Z')).at(-1)?.type).toBe('Z')
    ending.write(encodeMessage(frontend.terminate))
    await until(() => rig.agent.sessions() === 1, 'it has ended by itself')
    await rig.agent.drain(0)
    expect(await reader.error()).toMatchObject({
      severity: 'FATAL',
      code: '57P01',
      message: 'The database agent is shutting down.',
    })
    await drained
    expect(rig.agent.sessions()).toBe(0)
    expect((await sessionEvents(plane, 'ending')).at(-1)?.reason).toBe('The client ended the session.')
    expect((await sessionEvents(plane, 'staying')).at(-1)?.reason).toBe('The database agent is shutting down.')
  })

  it('is done at once when nobody is there', async () => {
    await rig.agent.drain(60_000)
    expect(rig.agent.ready()).toBe(false)
  })
})

describe('a proxy that shuts down', () => {
  it('has the agent end the sessions that came through it', async () => {
    const {reader} = await openSession(rig, await rig.guest())
    void rig.proxy.drain(1500)
    expect(await reader.error()).toMatchObject({code: '57P01', message: 'The proxy is shutting down.'})
  })

  it('is not held up by connections that clients keep in reserve', async () => {
    const spare = await rig.dial(await rig.guest())
    await greet(spare)
    const drained = rig.proxy.drain(60_000)
    expect(await new MessageReader(spare).next()).toBeUndefined()
    await drained
  })
})

describe('the end of one side', () => {
  it('ends the other: a database that stops', async () => {
    const {reader} = await openSession(rig, await rig.guest(), {application_name: 'killed'})
    await postgres.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'killed'")
    expect(await reader.error()).toMatchObject({severity: 'FATAL', code: '57P01'})
    expect(await reader.next()).toBeUndefined()
    expect((await sessionEvents(plane, 'killed')).at(-1)?.reason).toBe('The database server closed the connection.')
  })

  it('ends the other: a client that vanishes', async () => {
    const {socket} = await openSession(rig, await rig.guest(), {application_name: 'vanished'})
    socket.destroy()
    await sessionEvents(plane, 'vanished')
    const sql = "select 1 from pg_stat_activity where application_name = 'vanished'"
    await until(async () => (await postgres.execute(sql)).length === 0, 'the database session is gone')
    await until(() => rig.agent.sessions() === 0, 'the agent counts it no more')
  })

  it('ends the other, and says what came of it: a client that vanishes after its last query', async () => {
    await postgres.execute('create table last_words (word text); grant insert on last_words to alice')
    const {socket} = await openSession(rig, await rig.guest(), {application_name: 'fire-and-forget'})
    socket.write(query("select pg_sleep(0.1); insert into last_words values ('gone')"))
    socket.end()
    const events = await sessionEvents(plane, 'fire-and-forget')
    expect(events).toMatchObject([
      {code: 'TDB00I'},
      {code: 'TDB02I', success: true, transaction_outcome: 'commit'},
      {code: 'TDB01I', reason: 'The client closed the connection.'},
    ])
  })

  it('ends the other: a client that prepares more than an agent keeps', async () => {
    const {socket, reader} = await openSession(rig, await rig.guest(), {application_name: 'hoarder'})
    const prepare = (number: number): Buffer => ask.parse(`s${number}`, `select '${'x'.repeat(60_000)}'`)
    for (let number = 0; number < 300 && socket.writable; number += 1) {
      socket.write(Buffer.concat([prepare(number), ask.sync]))
    }
    expect(await reader.error()).toMatchObject({severity: 'FATAL', code: '54000'})
    expect((await sessionEvents(plane, 'hoarder')).at(-1)?.reason).toContain('more statements and portals')
  })

  it('ends the other: a client that contradicts itself', async () => {
    const lying = encodeMessage(frontend.parse, cstring('s'), cstring('select 1'), Buffer.from([0, 9]))
    const {socket, reader} = await openSession(rig, await rig.guest(), {application_name: 'lying'})
    socket.write(Buffer.concat([query('select 1'), lying]))
    expect(await reader.error()).toMatchObject({severity: 'FATAL', code: '08P01'})
    const events = await sessionEvents(plane, 'lying')
    expect(events.map(({code}) => code).sort()).toEqual(['TDB00I', 'TDB01I', expect.stringMatching(/^TDB02/), 'TDB06I'])
    expect(events.find(({code}) => code === 'TDB06I')).toMatchObject({payload: lying.subarray(5).toString('base64')})
  })

  it('ends the other: a client whose message is too long for any server', async () => {
    const {socket, reader} = await openSession(rig, await rig.guest(), {application_name: 'huge'})
    socket.write(Buffer.from('Q\xff\xff\xff\xffselect', 'latin1'))
    expect(await reader.error()).toMatchObject({severity: 'FATAL', code: '08P01'})
    expect((await sessionEvents(plane, 'huge')).at(-1)?.reason).toContain('impossible length')
  })
})
