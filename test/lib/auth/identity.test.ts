import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {once} from 'node:events'
import {connect, type TLSSocket} from 'node:tls'
import {X509Certificate} from 'node:crypto'
import type {ApiClient} from '../../../src/lib/api/client.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import type {Credentials} from '../../../src/lib/pki/credentials.js'
import {decodeIdentity, type Identity} from '../../../src/lib/pki/identity.js'
import {createAuthority, issueCertificate} from '../../../src/lib/pki/issuing.js'
import {generateKeys} from '../../../src/lib/pki/keys.js'
import {
  reportedHealth,
  startTestAuth,
  testCluster,
  testPassword,
  type TestAuth,
  type TestHost,
  type TestUser,
} from '../../helpers/auth.js'
import {formatEvents} from '../../helpers/event-lines.js'

const now = Date.now()

function database(name: string, labels: Record<string, string> = {}, uri = 'db:5432') {
  return {
    database: {
      kind: 'db' as const,
      version: 'v3' as const,
      metadata: {name, labels},
      spec: {protocol: 'postgres' as const, uri},
    },
    health: reportedHealth(),
  }
}

function beat(host: TestHost, ...databases: ReturnType<typeof database>[]): ReturnType<ApiClient['heartbeat']> {
  return host.client.heartbeat({hostname: 'a-host', version: '0.1.0', databases})
}

let plane: TestAuth
let alice: TestUser
let agent: TestHost
/** What the wall clock says beyond the truth, in milliseconds. */
let ahead = 0

beforeAll(async () => {
  plane = await startTestAuth({clock: {...systemClock, now: () => Date.now() + ahead}})
  alice = await plane.addUser('alice', ['access'], {db_users: ['alice'], db_names: ['postgres']})
  agent = await plane.joinHost('Db')
  await beat(agent, database('orders'))
})

afterAll(() => plane.stop())

async function databaseCertificate(user: TestUser, name = 'orders', dbUser = 'alice'): Promise<Credentials> {
  const keys = await generateKeys()
  const {certificate} = await user.client.databaseCertificate({
    publicKey: keys.publicKey,
    database: name,
    dbUser,
    dbName: 'postgres',
  })
  return {certificate, privateKey: keys.privateKey}
}

describe('a certificate that does not belong on the API', () => {
  it('D04: for a database is refused', async () => {
    const client = plane.clientOf(await databaseCertificate(alice))
    await expect(client.status()).rejects.toMatchObject({code: 'ACCESS_DENIED'})
  })

  it('D04: of a database server is refused', async () => {
    const {publicKey, privateKey} = await generateKeys()
    const {certificate} = await plane.admin.databaseServerCertificate({publicKey, hosts: ['db.example.com']})
    await expect(plane.clientOf({certificate, privateKey}).status()).rejects.toMatchObject({code: 'ACCESS_DENIED'})
  })

  it('D04: of a host opens no route of users, and of a user none of hosts', async () => {
    await expect(agent.client.visibleDatabases()).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    await expect(agent.client.listResources('user')).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    await expect(alice.client.heartbeat({hostname: 'x', version: '1', databases: []})).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
    })
    await expect(alice.client.emitEvents(formatEvents({event: 'db.session.start'}))).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
    })
  })

  const forged: Identity = {
    kind: 'user',
    usage: 'login',
    user: 'alice',
    roles: ['editor'],
    traits: {},
    loginExpires: new Date(now + 3_600_000).toISOString(),
  }

  it('with a forged identity, from another authority of the same name, is refused', async () => {
    const authority = await createAuthority({cluster: testCluster, type: 'user', now})
    const keys = await generateKeys()
    const certificate = await issueCertificate({
      authority,
      publicKey: keys.publicKey,
      commonName: 'alice',
      purposes: ['client'],
      identity: forged,
      notBefore: now - 60_000,
      notAfter: now + 3_600_000,
    })
    const client = plane.clientOf({certificate, privateKey: keys.privateKey})
    await expect(client.status()).rejects.toMatchObject({code: 'ACCESS_DENIED'})
  })

  it('D04: that expired between two requests of one connection is refused', async () => {
    const {client} = await plane.logIn('alice', testPassword, 60)
    await client.status()
    ahead = 120_000
    try {
      await expect(client.status()).rejects.toMatchObject({code: 'EXPIRED'})
    } finally {
      ahead = 0
    }
  })

  it('none at all is told to log in', async () => {
    await expect(plane.clientOf().status()).rejects.toMatchObject({code: 'NOT_LOGGED_IN'})
  })
})

describe('revocation', () => {
  it('by logout everywhere voids certificates that are still valid', async () => {
    const user = await plane.addUser('revoked', ['access'])
    await user.client.logout({everywhere: true})
    await expect(user.client.status()).rejects.toMatchObject({code: 'EXPIRED'})
    await (await plane.logIn('revoked')).client.status()
  })

  it('by a password reset voids the certificates and the password', async () => {
    const user = await plane.addUser('reset', ['access'])
    const {url} = await plane.admin.resetUser('reset', {})
    await expect(user.client.status()).rejects.toMatchObject({code: 'EXPIRED'})
    await expect(plane.logIn('reset')).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    expect(url).toContain('/web/reset/')
  })

  it('by removal shuts the user out', async () => {
    const user = await plane.addUser('removed', ['access'])
    await plane.admin.deleteResource('user', 'removed')
    await expect(user.client.status()).rejects.toMatchObject({code: 'ACCESS_DENIED'})
  })

  it('by a lock shuts a user or a host out, until the lock is gone', async () => {
    const user = await plane.addUser('locked', ['access'])
    const host = await plane.joinHost('Db')
    const lock = (name: string, target: {user?: string; server_id?: string}) =>
      plane.admin.createResource({
        kind: 'lock',
        version: 'v2',
        metadata: {name},
        spec: {target, message: 'maintenance'},
      })
    await lock('of-user', {user: 'locked'})
    await lock('of-host', {server_id: host.joined.hostId})
    await expect(user.client.status()).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
      message: expect.stringContaining('maintenance') as unknown,
    })
    await expect(beat(host)).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    await plane.admin.deleteResource('lock', 'of-user')
    await user.client.status()
  })

  it('of a role counts at once: what the certificate says is cut to what the user still has', async () => {
    const user = await plane.addUser('demoted', ['access', 'editor'])
    await user.client.listResources('role')
    const {items} = await plane.admin.getResource('user', 'demoted')
    const [record] = items
    if (!record) throw new Error('the user is gone')
    await plane.admin.putResource({...record, spec: {...record.spec, roles: ['access']}})
    await expect(user.client.listResources('role')).rejects.toMatchObject({code: 'ACCESS_DENIED'})
  })
})

describe('a host', () => {
  it('does not name itself: id and names come from the control plane', async () => {
    const {joined} = await plane.joinHost('Db')
    const certificate = new X509Certificate(joined.certificate)
    expect(joined.hostId).toMatch(/^[0-9a-f-]{36}$/)
    expect(certificate.subjectAltName).toBe(`DNS:${joined.hostId}.agent.${testCluster}`)
    expect(decodeIdentity(certificate.raw)).toMatchObject({hostId: joined.hostId, systemRoles: ['Db']})
  })

  it.each([
    ['a token of another type', 'Proxy' as const, undefined],
    ['a guessed token', 'Db' as const, '0123456789abcdef0123456789abcdef'],
  ])('D05: does not join with %s, and the attempt is audited without the token', async (_what, role, guessed) => {
    const token = guessed ?? (await plane.admin.addToken({roles: [role]})).token
    const {publicKey} = await generateKeys()
    const request = {token, systemRole: 'Db' as const, hostname: 'evil', version: '0', publicKey}
    await expect(plane.clientOf().join(request)).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    const {events} = await plane.admin.events({event: 'instance.join', limit: 5})
    const last = events.at(-1)
    expect(last).toMatchObject({code: 'TJ002E', success: false, node_name: 'evil'})
    expect(JSON.stringify(last)).not.toContain(token)
  })

  it('D05: does not join with a token that was removed, also when it was removed in the middle', async () => {
    const {token} = await plane.admin.addToken({roles: ['Db']})
    const joining = async (hostname: string): Promise<unknown> => {
      const {publicKey} = await generateKeys()
      return plane.clientOf().join({token, systemRole: 'Db', hostname, version: '0', publicKey})
    }
    await Promise.allSettled([joining('racing'), plane.admin.deleteResource('token', token)])
    await expect(joining('late')).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    const {events} = await plane.admin.events({event: 'instance.join', limit: 100})
    expect(events.filter((event) => event.node_name === 'late')).toMatchObject([{code: 'TJ002E', success: false}])
  })

  it('D05: does not join with a token that has expired', async () => {
    const {token} = await plane.admin.addToken({roles: ['Db'], ttlSeconds: 60})
    ahead = 61_000
    try {
      const {publicKey} = await generateKeys()
      const request = {token, systemRole: 'Db' as const, hostname: 'late', version: '0', publicKey}
      await expect(plane.clientOf().join(request)).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    } finally {
      ahead = 0
    }
  })

  it('serves only what its token allows, and a refusal is audited', async () => {
    const byName = await plane.joinHost('Db', {names: ['billing']})
    const {refused} = await beat(byName, database('payroll'), database('billing'))
    expect(refused).toEqual([{name: 'payroll', reason: expect.any(String) as unknown}])
    const byLabel = await plane.joinHost('Db', {labels: {env: 'dev'}})
    const answer = await beat(byLabel, database('prod-one', {env: 'prod'}), database('dev-one', {env: 'dev'}))
    expect(answer.refused.map(({name}) => name)).toEqual(['prod-one'])
    const {events} = await plane.admin.events({event: 'database_server.refused'})
    expect(events.map(({db_service: name}) => name)).toEqual(['payroll', 'prod-one'])
  })

  it('cannot take over a name that another agent serves with another address, whatever its case', async () => {
    const other = await plane.joinHost('Db')
    const {refused} = await beat(other, database('ORDERS', {}, 'evil:5432'))
    expect(refused.map(({name}) => name)).toEqual(['ORDERS'])
    const {items} = await plane.admin.getResource('db_server', 'orders')
    expect(items.map(({spec}) => spec.database.spec.uri)).toEqual(['db:5432'])
  })

  it('D07: gets a client certificate only for a database that it serves, against the certificate of the user', async () => {
    const user = await databaseCertificate(alice)
    const {publicKey} = await generateKeys()
    const issued = await agent.client.databaseClientCertificate({publicKey, userCertificate: user.certificate})
    const certificate = new X509Certificate(issued.certificate)
    expect(certificate.subject).toBe('CN=alice')
    expect(Date.parse(certificate.validTo) - Date.now()).toBeLessThanOrEqual(5 * 60_000)
    const stranger = await plane.joinHost('Db')
    const ask = (host: TestHost, userCertificate: string) =>
      host.client.databaseClientCertificate({publicKey, userCertificate})
    await expect(ask(stranger, user.certificate)).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    await expect(ask(agent, alice.credentials.certificate)).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    // What no role of hers allows, an agent gets no certificate for either.
    const superuser = await databaseCertificate(alice, 'orders', 'postgres')
    await expect(ask(agent, superuser.certificate)).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    ahead = 13 * 3_600_000
    try {
      await expect(ask(agent, user.certificate)).rejects.toMatchObject({code: 'EXPIRED'})
    } finally {
      ahead = 0
      // What agents had told by then has expired, and may have been swept away.
      await beat(agent, database('orders'))
    }
  })

  it('gets a server certificate for direct mode only for what it serves', async () => {
    const {publicKey} = await generateKeys()
    const {certificate} = await agent.client.directServerCertificate({publicKey, database: 'Orders'})
    const {subjectAltName, validTo} = new X509Certificate(certificate)
    expect(subjectAltName).toBe(`DNS:orders.db.${testCluster}`)
    expect(Date.parse(validTo) - Date.now()).toBeLessThanOrEqual(24 * 3_600_000)
    await expect(agent.client.directServerCertificate({publicKey, database: 'billing'})).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
    })
  })

  it('reports only what agents report, in its own name, each event once', async () => {
    const event = {
      event: 'db.session.query',
      code: 'TDB02I',
      uid: '6a4a7f5e-7c1f-4f0e-9f43-0a8a1f0a4e11',
      time: new Date().toISOString(),
      ei: 1,
      sid: '0f0e7c1f-9f43-4f0e-8a1f-6a4a7f5e0a4e',
      db_query: 'select 1',
    }
    await agent.client.emitEvents(formatEvents(event))
    await agent.client.emitEvents(formatEvents(event))
    const {events} = await plane.admin.events({sid: event.sid})
    expect(events).toMatchObject([{server_id: agent.joined.hostId, cluster_name: testCluster}])
    await expect(agent.client.emitEvents(formatEvents({...event, db_query: 'drop table t'}))).rejects.toMatchObject({
      code: 'CONFLICT',
    })
    const alarms = await plane.admin.events({event: 'audit.conflict'})
    expect(alarms.events).toMatchObject([{conflict_sid: event.sid, conflict_ei: 1}])
    const foreign = [{event: 'user.login'}, {server_id: 'somebody-else'}, {cluster_name: 'x'}, {received_at: 'now'}]
    for (const fields of foreign) {
      const emitted = agent.client.emitEvents(formatEvents({...event, ei: 2, ...fields}))
      await expect(emitted).rejects.toMatchObject({code: 'INVALID'})
    }
    const lines = formatEvents({...event, ei: 2}).toString()
    const deep = `${lines.slice(0, -2)},"x":${'['.repeat(1000)}${']'.repeat(1000)}}\n`
    const damaged = [lines.slice(0, -3), `${lines}[]\n`, '\n', deep]
    for (const text of damaged) {
      await expect(agent.client.emitEvents(Buffer.from(text))).rejects.toMatchObject({code: 'INVALID'})
    }
    // One member twice: what is stored is what was judged.
    await agent.client.emitEvents(Buffer.from(`{"db_query":"hidden",${lines.slice(1)}`))
    const {events: stored} = await plane.admin.events({sid: event.sid})
    expect(stored.map(({ei, db_query}) => [ei, db_query])).toEqual([
      [1, 'select 1'],
      [2, 'select 1'],
    ])
  })
})

describe('TLS', () => {
  const dial = async (options: object): Promise<TLSSocket> => {
    const socket = connect({...plane.auth.address, rejectUnauthorized: false, ...options})
    await once(socket, 'secureConnect')
    return socket
  }

  it.each([
    ['API', `auth.${testCluster}`],
    ['web', 'public.example.com'],
  ])('1.2 is refused on the %s route', async (_route, servername) => {
    await expect(dial({servername, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2'})).rejects.toThrow()
  })

  it('resumes nothing on the API route, neither its own sessions nor those of the web route', async () => {
    const sessionOf = async (servername: string): Promise<Buffer> => {
      const socket = connect({...plane.auth.address, servername, rejectUnauthorized: false})
      const [session] = (await once(socket, 'session')) as [Buffer]
      socket.destroy()
      return session
    }
    const [api, web] = [`auth.${testCluster}`, 'public.example.com']
    for (const from of [api, web]) {
      const socket = await dial({servername: api, session: await sessionOf(from)})
      expect(socket.isSessionReused()).toBe(false)
      socket.destroy()
    }
  })
})

describe('a database certificate', () => {
  it('never outlives the login that it comes from', async () => {
    const short = await plane.logIn('alice', testPassword, 120)
    const {certificate} = await databaseCertificate(short)
    expect(Date.parse(new X509Certificate(certificate).validTo)).toBeLessThanOrEqual(Date.parse(short.login.expires))
  })

  it('is not given for a database that no role lets the user see', async () => {
    const nobody = await plane.addUser('nobody', ['auditor'])
    await expect(databaseCertificate(nobody)).rejects.toMatchObject({code: 'NOT_FOUND'})
    expect((await nobody.client.visibleDatabases()).databases).toEqual([])
  })
})
