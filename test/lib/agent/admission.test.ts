import {randomUUID} from 'node:crypto'
import type {TLSSocket} from 'node:tls'
import {afterAll, beforeAll, beforeEach, describe, expect, it} from '@jest/globals'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {encodeCancel, gssencRequest, sslRequest} from '../../../src/lib/pgwire/first-packet.js'
import {cstring, encodeMessage} from '../../../src/lib/pgwire/message.js'
import {frontend} from '../../../src/lib/pgwire/message-types.js'
import {createAuthority} from '../../../src/lib/pki/issuing.js'
import type {Lock} from '../../../src/lib/resources/lock.js'
import type {Greeting} from '../../../src/lib/tunnel/greeting.js'
import {expectDocumented, psqlText} from '../../helpers/troubleshooting.js'
import {cluster, minute, Plane} from './plane.js'
import {
  accessRole,
  cacheTtl,
  greet,
  guestIdentity,
  issueLeaf,
  MessageReader,
  openSession,
  refusal,
  role,
  serverCertificate,
  sessionEvents,
  startPostgresFor,
  startRig,
  startup,
  until,
  type Rig,
} from './rig.js'

let plane: Plane
let postgres: PostgresServer
let rig: Rig
/** Milliseconds by which the agent's clock for freshness runs ahead. */
let leap = 0
/** And the one that certificates go by. */
let ahead = 0

beforeAll(async () => {
  plane = await Plane.create()
  postgres = await startPostgresFor(plane, 'CREATE ROLE alice LOGIN; CREATE ROLE admin LOGIN')
  const clock = {now: () => systemClock.now() + ahead, monotonic: () => systemClock.monotonic() + leap}
  rig = await startRig({plane, uri: `127.0.0.1:${postgres.port}`, agent: {clock}})
})

afterAll(async () => {
  await rig.stop()
  await postgres.stop()
})

beforeEach(() => {
  plane.put({kind: 'role', name: 'access', item: accessRole})
  plane.put({kind: 'user', name: 'alice', item: {name: 'alice', roles: ['access']}})
  plane.delete('lock', 'l1')
})

const lock = (target: Lock['spec']['target'], message?: string): Lock => ({
  kind: 'lock',
  version: 'v2',
  metadata: {name: 'l1'},
  spec: {target, ...(message === undefined ? {} : {message})},
})

async function greetingFor(credentials: Awaited<ReturnType<Rig['guest']>> | undefined): Promise<Greeting> {
  const socket = await rig.dial(credentials)
  const greeting = await greet(socket)
  socket.destroy()
  return greeting
}

/** Changes reach the agent over its watch stream. */
async function greetingBecomes(expected: Partial<Greeting>): Promise<void> {
  const guest = await rig.guest()
  let last: Greeting | undefined
  await until(async () => {
    last = await greetingFor(guest).catch(() => undefined)
    return last?.ok === expected.ok
  }, 'the greeting changes')
  expect(last).toMatchObject(expected)
}

describe('the certificate of a client', () => {
  it('is welcome when it is a database certificate of a user', async () => {
    expect(await greetingFor(await rig.guest())).toEqual({ok: true})
  })

  it('must be there', async () => {
    expect(await greetingFor(undefined)).toMatchObject({ok: false, code: 'denied'})
  })

  it('D04: must not be one for the API', async () => {
    const greeting = await greetingFor(await rig.guest({usage: 'login', route: undefined}))
    expect(greeting).toMatchObject({ok: false, code: 'denied', message: 'The certificate is not for databases.'})
  })

  it('D04: must not be a host’s, whoever signed it', async () => {
    const identity = {kind: 'host' as const, hostId: randomUUID(), systemRoles: ['Db' as const]}
    expect(await greetingFor(await issueLeaf(plane.host, identity))).toMatchObject({ok: false, code: 'denied'})
    expect(await greetingFor(await issueLeaf(plane.user, identity))).toMatchObject({ok: false, code: 'denied'})
  })

  it('D04: must not come from another authority, nor be that of a database server', async () => {
    const other = await createAuthority({cluster, type: 'user', now: Date.now()})
    expect(await greetingFor(await issueLeaf(other, guestIdentity()))).toMatchObject({ok: false, code: 'denied'})
    expect(await greetingFor(await issueLeaf(plane.host, guestIdentity()))).toMatchObject({ok: false, code: 'denied'})
    expect(await greetingFor(await issueLeaf(plane.dbClient, guestIdentity()))).toMatchObject({code: 'denied'})
    expect(await greetingFor(await serverCertificate(plane))).toMatchObject({code: 'denied'})
    const both = {purposes: ['client', 'server']} as const
    expect(await greetingFor(await issueLeaf(plane.db, guestIdentity(), both))).toMatchObject({code: 'denied'})
  })

  it('D04: must not have expired a second ago, nor begin in the future', async () => {
    expect(await greetingFor(await rig.guest({}, {notAfter: Date.now() - 1000}))).toMatchObject({code: 'expired'})
    expect(await greetingFor(await rig.guest({}, {notBefore: Date.now() + 20 * minute}))).toMatchObject({
      code: 'expired',
    })
  })

  it('is judged anew each time it comes, also when it is known', async () => {
    const guest = await rig.guest({}, {notAfter: Date.now() + 10 * minute})
    expect(await greetingFor(guest)).toEqual({ok: true})
    ahead = 11 * minute
    expect(await greetingFor(guest)).toMatchObject({ok: false, code: 'expired'})
    ahead = 0
  })

  it('D04: must be for clients', async () => {
    expect(await greetingFor(await rig.guest({}, {purposes: ['server']}))).toMatchObject({ok: false, code: 'denied'})
  })

  it('must carry an identity', async () => {
    expect(await greetingFor(await issueLeaf(plane.user, undefined))).toMatchObject({ok: false, code: 'denied'})
  })

  it('is void when its user’s certificates count only from later on', async () => {
    const certsValidFrom = new Date(Date.now() + 1000).toISOString()
    plane.put({kind: 'user', name: 'alice', item: {name: 'alice', roles: ['access'], certsValidFrom}})
    await greetingBecomes({ok: false, code: 'expired', message: 'The certificate was revoked.'})
  })

  it('is void when its user is gone', async () => {
    plane.delete('user', 'alice')
    await greetingBecomes({ok: false, code: 'denied', message: 'The user "alice" no longer exists.'})
  })

  it('does not open a locked door, and the audit knows', async () => {
    plane.put({kind: 'lock', name: 'l1', item: lock({user: 'alice'}, 'on leave')})
    await greetingBecomes({ok: false, code: 'denied', message: 'Access is locked: on leave.'})
    await until(() => plane.events.some(({error}) => error === 'Access is locked: on leave.'), 'the refusal is audited')
    expect(plane.events.find(({error}) => error === 'Access is locked: on leave.')).toMatchObject({
      event: 'db.session.start',
      code: 'TDB00W',
      success: false,
      user: 'alice',
      db_service: 'example',
    })
  })

  it('leads to another agent when this one does not serve the database', async () => {
    const route = {
      database: 'elsewhere',
      protocol: 'postgres' as const,
      dbUser: 'alice',
      dbName: 'postgres',
      dbRoles: [],
    }
    expect(await greetingFor(await rig.guest({route}))).toMatchObject({ok: false, code: 'unreachable'})
  })

  it('is not looked at below TLS 1.3', async () => {
    await expect(rig.dial(await rig.guest(), {minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2'})).rejects.toThrow()
  })

  it('is of no use to a client that does not speak our protocol on this route', async () => {
    const silent = await rig.dial(await rig.guest(), {ALPNProtocols: []}).catch(() => undefined)
    if (silent) await expect(greet(silent)).rejects.toThrow()
    await expect(rig.dial(await rig.guest(), {ALPNProtocols: ['postgresql']})).rejects.toThrow()
  })
})

describe('a denial by roles', () => {
  const guestAs = (dbUser: string) =>
    rig.guest({route: {database: 'example', protocol: 'postgres', dbUser, dbName: 'postgres', dbRoles: []}})

  it('says which role came nearest, what it lacks, and under which id the audit has the whole decision', async () => {
    const error = await refusal(rig, await guestAs('admin'), {user: 'admin'})
    expect(error).toMatchObject({severity: 'FATAL', code: '28000'})
    expect(error?.message).toBe(
      'Access to database "example" as user "admin" to "postgres" is denied: your role "access" allows the database, but not database user "admin".',
    )
    const [, hint, id] =
      /^(.*) An administrator sees why with: postern access explain (\S+)$/.exec(error?.hint ?? '') ?? []
    expect(hint).toBe('It allows the database users "alice".')
    await until(() => plane.eventsOf(id).length > 0, 'the denial is audited')
    expect(plane.eventsOf(id)).toMatchObject([
      {
        code: 'TDB00W',
        error: error?.message,
        decision: {
          allowed: false,
          reason: 'no-role',
          role: 'access',
          db_user: 'admin',
          roles: [{role: 'access', allow: {labels: {matched: true}, user: {matched: false, entries: ['alice']}}}],
        },
      },
    ])
  })

  it('by a lock has such an id in the greeting', async () => {
    plane.put({kind: 'lock', name: 'l1', item: lock({user: 'alice'}, 'on leave')})
    await greetingBecomes({ok: false, code: 'denied', message: 'Access is locked: on leave.'})
    const greeting = await greetingFor(await rig.guest())
    const id = /postern access explain (\S+)$/.exec(greeting.ok ? '' : (greeting.hint ?? ''))?.[1]
    await until(() => plane.eventsOf(id).length > 0, 'the refusal is audited')
    expect(plane.eventsOf(id)).toMatchObject([{decision: {reason: 'lock', lock: 'l1'}}])
  })

  it.each(['admin', 'ADMIN', 'Admin', 'adm\u0131n', '"admin"', 'admin ', ' admin'])(
    'D01: of a user name holds however it is spelled: %j does not become it',
    async (dbUser) => {
      const all = {db_labels: {'*': ['*']}, db_users: ['*'], db_names: ['*']}
      const spec = {allow: all, deny: {db_users: ['admin']}}
      plane.put({kind: 'role', name: 'access', item: {...accessRole, spec}})
      await until(
        async () => (await refusal(rig, await guestAs('admin'), {user: 'admin'}))?.message.includes('forbids') === true,
        'the role has arrived',
      )
      // Denied, or another name to PostgreSQL too, which has no such user.
      expect((await refusal(rig, await guestAs(dbUser), {user: dbUser}))?.code).toMatch(/^28/)
    },
  )

  it('D01: of a user name is not avoided with a zero byte', async () => {
    // In the startup message the name ends there; in the certificate it does not.
    const error = await refusal(rig, await guestAs('admin\0x'), {user: 'admin'})
    expect(error?.message).toContain('asks for database user "admin", but its certificate is for')
  })
})

describe('a TLS ticket', () => {
  async function ticketOf(socket: TLSSocket): Promise<Buffer> {
    return new Promise((resolve) => {
      socket.once('session', resolve)
      socket.resume()
    })
  }

  it('resumes on its own route, where the certificate is judged again', async () => {
    const guest = await rig.guest()
    const first = await rig.dial(guest)
    const session = await ticketOf(first)
    first.destroy()
    const second = await rig.dial(undefined, {session})
    expect(second.isSessionReused()).toBe(true)
    expect(await greet(second)).toEqual({ok: true})
    second.destroy()

    plane.put({kind: 'lock', name: 'l1', item: lock({user: 'alice'})})
    await greetingBecomes({ok: false, code: 'denied'})
    const third = await rig.dial(undefined, {session})
    expect(third.isSessionReused()).toBe(true)
    expect(await greet(third)).toMatchObject({ok: false, code: 'denied'})
    third.destroy()
  })

  it('of the agent route is nothing on the direct route, and the other way round', async () => {
    await until(async () => {
      const socket = await rig.dialDirect(await rig.guest()).catch(() => undefined)
      socket?.destroy()
      return socket !== undefined
    }, 'the direct route has its certificate')
    const agentTicket = await ticketOf(await rig.dial(await rig.guest()))
    const direct = await rig.dialDirect(undefined, {session: agentTicket})
    expect(direct.isSessionReused()).toBe(false)
    const reader = new MessageReader(direct)
    direct.write(startup())
    expect((await reader.error())?.message).toBe('The connection came without a certificate.')

    const directTicket = await ticketOf(await rig.dialDirect(await rig.guest()))
    const agent = await rig.dial(undefined, {session: directTicket})
    expect(agent.isSessionReused()).toBe(false)
    expect(await greet(agent)).toMatchObject({ok: false, code: 'denied'})
    agent.destroy()
  })
})

describe('the startup message', () => {
  it('D02: must name the user of the certificate', async () => {
    const error = await refusal(rig, await rig.guest(), {user: 'postgres'})
    expect(error).toMatchObject({severity: 'FATAL', code: '28000'})
    expect(error?.message).toBe('The connection asks for database user "postgres", but its certificate is for "alice".')
    expect(error?.hint).toContain('--db-user=postgres')
    for (const user of ['Alice', 'alice ', 'аlice']) {
      expect(await refusal(rig, await rig.guest(), {user})).toMatchObject({code: '28000'})
    }
  })

  it('D02: must name the database of the certificate; none means the user’s own', async () => {
    expect(await refusal(rig, await rig.guest(), {database: 'template1'})).toMatchObject({code: '28000'})
    expect((await refusal(rig, await rig.guest(), {database: ''}))?.message).toContain('asks for database "alice"')
  })

  it.each([
    [{replication: 'database'}, '28000'],
    [{role: 'postgres'}, '42501'],
    [{session_authorization: 'postgres'}, '42501'],
    [{Role: 'postgres'}, '42501'],
    [{options: '-c role=postgres'}, '42501'],
    [{options: '-csession_authorization=postgres'}, '42501'],
    [{options: '--session-authorization=postgres'}, '42501'],
    [{options: '-c statement_timeout=1 -c ROLE=postgres'}, '42501'],
    [{options: '-d 5'}, '42601'],
  ])('must not ask for %j', async (parameters: Record<string, string>, code) => {
    expect(await refusal(rig, await rig.guest(), parameters)).toMatchObject({severity: 'FATAL', code})
  })

  it('comes once: a second one, and a password that nobody asked for, end the session', async () => {
    const extras = {twice: startup(), 'with a password': encodeMessage(frontend.password, cstring('secret'))}
    for (const [name, extra] of Object.entries(extras)) {
      const {socket, reader} = await openSession(rig, await rig.guest(), {application_name: name})
      socket.write(extra)
      expect(await reader.error()).toMatchObject({severity: 'FATAL', code: '08P01'})
      expect((await sessionEvents(plane, name)).at(-1)?.reason).toContain(
        'The client sent a message of the unknown type',
      )
    }
  })

  it('may follow one request for GSSAPI encryption, not one for TLS', async () => {
    const gss = await rig.dial(await rig.guest())
    await greet(gss)
    const answer = new Promise<Buffer>((resolve) => gss.once('data', resolve))
    gss.write(gssencRequest)
    expect((await answer).toString()).toBe('N')
    const reader = new MessageReader(gss)
    gss.write(startup())
    expect((await reader.until('Z')).at(-1)?.type).toBe('Z')
    gss.destroy()

    const tls = await rig.dial(await rig.guest())
    await greet(tls)
    tls.write(sslRequest)
    expect(await new MessageReader(tls).error()).toMatchObject({code: '08P01'})
  })

  it('must be one', async () => {
    for (const rubbish of [
      'GET / HTTP/1.1\r\n',
      '\0\0\0\0rubbish',
      '\x7f\xff\xff\xffrubbish',
      '\0\0\0\x08\0\x02\0\0',
    ]) {
      const socket = await rig.dial(await rig.guest())
      await greet(socket)
      socket.write(Buffer.from(rubbish, 'latin1'))
      expect((await new MessageReader(socket).error())?.severity).toBe('FATAL')
    }
  })
})

describe('the decision', () => {
  it('refuses what no role allows, with a sentence for the user and TDB00W for the audit', async () => {
    plane.put({
      kind: 'role',
      name: 'access',
      item: role('access', {db_labels: {'*': ['*']}, db_users: ['bob'], db_names: ['*']}),
    })
    const message =
      'Access to database "example" as user "alice" to "postgres" is denied: your role "access" allows the database, but not database user "alice".'
    await until(async () => (await refusal(rig, await rig.guest()))?.message === message, 'the role is changed')
    await until(() => plane.events.some(({error}) => error === message), 'the refusal is audited')
    expect(plane.events.find(({error}) => error === message)).toMatchObject({code: 'TDB00W', db_user: 'alice', ei: 0})
  })

  it('counts only roles that the user still has', async () => {
    plane.put({kind: 'user', name: 'alice', item: {name: 'alice', roles: []}})
    await until(async () => (await refusal(rig, await rig.guest()))?.code === '28000', 'the user has lost the role')
  })
})

describe('an agent that has lost touch with the control plane', () => {
  it('lets nobody in, however many bytes drip from the stream, and recovers', async () => {
    const guest = await rig.guest()
    const spare = await rig.dial(guest)
    await greet(spare)
    plane.muted = true
    leap += cacheTtl + 5000
    const reader = new MessageReader(spare)
    spare.write(startup())
    await expectDocumented('lost-touch', psqlText({...(await reader.error())}))
    expect(await greetingFor(await rig.guest())).toMatchObject({ok: false, code: 'stale'})
    plane.put({kind: 'role', name: 'other', item: role('other', {})})
    expect(await greetingFor(await rig.guest())).toMatchObject({ok: false, code: 'stale'})
    // A new stream with everything in it, but without an answer to a ping, is no fresher.
    plane.breakStreams()
    await until(() => plane.streams > 0, 'the agent is back')
    expect(await greetingFor(await rig.guest())).toMatchObject({ok: false, code: 'stale'})
    expect(rig.agent.ready()).toBe(false)
    plane.muted = false
    await greetingBecomes({ok: true})
  })

  it('keeps its sessions for a while, and ends them when it takes too long', async () => {
    const guest = await rig.guest()
    const {socket, reader} = await openSession(rig, guest)
    plane.muted = true
    leap += cacheTtl + 5000
    socket.write(encodeMessage(frontend.query, cstring('select 1')))
    expect((await reader.until('Z')).at(-1)?.type).toBe('Z')
    leap += 3_600_000
    const error = await reader.error()
    expect(error).toMatchObject({severity: 'FATAL', code: '57P01'})
    await expectDocumented('lost-touch-for-long', psqlText({...error}))
    plane.muted = false
    await greetingBecomes({ok: true})
  })
})

describe('a connection in reserve', () => {
  it('is judged again when it is used', async () => {
    const guest = await rig.guest()
    const spare = await rig.dial(guest)
    expect(await greet(spare)).toEqual({ok: true})
    plane.put({kind: 'lock', name: 'l1', item: lock({user: 'alice'})})
    await greetingBecomes({ok: false})
    const reader = new MessageReader(spare)
    spare.write(startup())
    expect(await reader.error()).toMatchObject({code: '28000', message: 'Access is locked.'})
  })

  it('can cancel nothing that it does not know', async () => {
    const guest = await rig.guest()
    const socket = await rig.dial(guest)
    await greet(socket)
    socket.write(encodeCancel({pid: 1, secret: Buffer.alloc(4)}))
    expect(await new MessageReader(socket).next()).toBeUndefined()
  })
})
