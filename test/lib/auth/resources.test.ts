import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {generateKeys} from '../../../src/lib/pki/keys.js'
import type {Database} from '../../../src/lib/resources/database.js'
import type {HealthStatus} from '../../../src/lib/resources/database-server.js'
import type {HealthCheckConfig} from '../../../src/lib/resources/health-check-config.js'
import type {Resource} from '../../../src/lib/resources/resource.js'
import type {Role, Verb} from '../../../src/lib/resources/role.js'
import type {Token} from '../../../src/lib/resources/token.js'
import {reportedHealth, startTestAuth, type TestAuth, type TestHost} from '../../helpers/auth.js'

let plane: TestAuth

beforeAll(async () => {
  plane = await startTestAuth()
})

afterAll(() => plane.stop())

function role(name: string, resources: string[], verbs: Verb[]): Role {
  return {kind: 'role', version: 'v7', metadata: {name}, spec: {allow: {rules: [{resources, verbs}]}}}
}

function token(name: string, roles: Token['spec']['roles']): Token {
  return {kind: 'token', version: 'v2', metadata: {name}, spec: {roles, join_method: 'token'}}
}

function database(name: string, uri = 'db:5432'): Database {
  return {kind: 'db', version: 'v3', metadata: {name}, spec: {protocol: 'postgres', uri}}
}

function beat(
  host: TestHost,
  status: HealthStatus,
  ...databases: Database[]
): ReturnType<TestHost['client']['heartbeat']> {
  const health = reportedHealth(status)
  return host.client.heartbeat({
    hostname: 'h',
    version: '0.1.0',
    databases: databases.map((each) => ({database: each, health})),
  })
}

describe('a lock', () => {
  it('says who made it and when, whatever its text says of that, also when somebody else changes it', async () => {
    const metadata = {name: 'out'}
    const forged = {created_at: '2001-01-01T00:00:00Z', created_by: 'somebody'}
    const target = {user: 'nobody'}
    const before = Date.now()
    await plane.admin.createResource({kind: 'lock', version: 'v2', metadata, spec: {target, ...forged}})
    const [made] = (await plane.admin.getResource('lock', 'out')).items
    expect(made?.spec).toMatchObject({target, created_by: '@admin'})
    expect(Date.parse(made?.spec.created_at ?? '')).toBeGreaterThanOrEqual(before)
    await plane.admin.createResource(role('locker', ['lock'], ['list', 'read', 'create', 'update']))
    const {client} = await plane.addUser('lola', ['locker'])
    await client.putResource({kind: 'lock', version: 'v2', metadata, spec: {target, message: 'why', ...forged}})
    const [changed] = (await plane.admin.getResource('lock', 'out')).items
    expect(changed?.spec).toEqual({...made?.spec, message: 'why'})
    await plane.admin.deleteResource('lock', 'out')
  })
})

describe('who may only update', () => {
  it('replaces what is there, and creates nothing by the way', async () => {
    await plane.admin.createResource(role('updater', ['role', 'db', 'token', 'user'], ['list', 'read', 'update']))
    await plane.admin.createResource(database('there'))
    const {client} = await plane.addUser('ursula', ['updater'])
    expect(await client.putResource(database('there', 'other:5432'))).toEqual({created: false})
    const denied = {code: 'ACCESS_DENIED'}
    await expect(client.putResource(database('new'))).rejects.toMatchObject(denied)
    await expect(client.putResource(role('new', ['*'], ['*']))).rejects.toMatchObject(denied)
    await expect(client.putResource(token('a-token-that-is-new', ['Db']))).rejects.toMatchObject(denied)
    await expect(client.deleteResource('db', 'there')).rejects.toMatchObject(denied)
    expect((await plane.admin.listResources('db')).items.map(({metadata}) => metadata.name)).toEqual(['there'])
  })
})

describe('a join token', () => {
  const secret = 'a-secret-of-ours-1234'

  it('is shown in full only to who may read tokens, and in no message and no event', async () => {
    await plane.admin.createResource(token(secret, ['Db']))
    await plane.admin.createResource(role('lister', ['token'], ['list']))
    const {client} = await plane.addUser('lisa', ['lister'])
    const names = async (from = client): Promise<string[]> =>
      (await from.listResources('token')).items.map(({metadata}) => metadata.name)
    expect(await names(plane.admin)).toContain(secret)
    expect((await names()).join()).not.toContain('secret')
    const missing = await plane.admin.getResource('token', `${secret}-not`).catch(String)
    expect(missing).not.toContain('secret')
    expect(JSON.stringify(await plane.admin.events({limit: 1000}))).not.toContain(secret)
  })

  it('is replaced without a gap, and a bad replacement leaves the old one', async () => {
    expect(await plane.admin.putResource(token(secret, ['Proxy']))).toEqual({created: false})
    expect((await plane.admin.getResource('token', secret)).items[0]?.spec.roles).toEqual(['Proxy'])
    await expect(plane.admin.createResource(token(secret, ['Db']))).rejects.toMatchObject({code: 'ALREADY_EXISTS'})
    await expect(plane.admin.createResource(token('short', ['Db']))).rejects.toMatchObject({code: 'INVALID'})
  })
})

describe('a database', () => {
  it('has one name, whatever its case', async () => {
    await plane.admin.createResource(database('Orders'))
    await expect(plane.admin.createResource(database('orders'))).rejects.toMatchObject({code: 'ALREADY_EXISTS'})
    expect((await plane.admin.getResource('db', 'ORDERS')).items).toMatchObject([
      {metadata: {name: 'Orders', labels: {'postern.dev/origin': 'dynamic'}}},
    ])
  })

  it('is served by several agents, the healthy ones first', async () => {
    const agents = [await plane.joinHost('Db'), await plane.joinHost('Db'), await plane.joinHost('Db')] as const
    const [sick, well, fresh] = agents
    await beat(sick, 'unhealthy', database('shared'))
    await beat(well, 'healthy', database('shared'))
    await beat(fresh, 'unknown', database('shared'))
    const {client} = await plane.addUser('dora', ['access'], {db_users: ['reader'], db_names: ['*']})
    const visible = (await client.visibleDatabases()).databases
    expect(visible).toMatchObject([
      {type: 'self-hosted', health: 'healthy', users: {allowed: ['reader']}, names: {allowed: ['*']}},
    ])
    const {publicKey} = await generateKeys()
    const wish = {publicKey, dbUser: 'reader', dbName: 'postgres'}
    const {agents: order, route} = await client.databaseCertificate({...wish, database: 'SHARED'})
    expect(order.map(({hostId}) => hostId)).toEqual([well, fresh, sick].map(({joined}) => joined.hostId))
    expect(route.database).toBe('shared')
    for (const agent of agents) await beat(agent, 'healthy')
    await expect(client.databaseCertificate({...wish, database: 'shared'})).rejects.toMatchObject({code: 'NOT_FOUND'})
    // Declared, visible, but nowhere served.
    await expect(client.databaseCertificate({...wish, database: 'Orders'})).rejects.toMatchObject({code: 'UNREACHABLE'})
  })

  it('is offered without the proxy where its agent says so, unless no host could be there', async () => {
    const agent = await plane.joinHost('Db')
    const beatAt = (directAddress?: string): ReturnType<typeof beat> =>
      agent.client.heartbeat({
        hostname: 'h',
        version: '0.1.0',
        ...(directAddress === undefined ? {} : {directAddress}),
        databases: [{database: database('near'), health: reportedHealth()}],
      })
    const {client} = await plane.addUser('nora', ['access'], {db_users: ['reader'], db_names: ['*']})
    const {publicKey} = await generateKeys()
    const offered = async (): Promise<unknown> => {
      const answer = await client.databaseCertificate({
        publicKey,
        database: 'near',
        dbUser: 'reader',
        dbName: 'postgres',
      })
      return answer.agents[0]?.directAddress
    }
    await beatAt('db1.internal:5433')
    expect(await offered()).toBe('db1.internal:5433')
    for (const nowhere of ['0.0.0.0:5433', '169.254.169.254:80', '[ff02::1]:80', 'db1.internal:0', 'https://db1']) {
      await expect(beatAt(nowhere)).rejects.toMatchObject({code: 'INVALID'})
    }
    await beatAt()
    expect(await offered()).toBeUndefined()
  })

  it('named twice by one agent, or with another address than other agents give it, is refused by name', async () => {
    const [one, other] = [await plane.joinHost('Db'), await plane.joinHost('Db')]
    const {refused} = await beat(one, 'healthy', database('twice'), database('TWICE'))
    expect(refused).toMatchObject([{name: 'TWICE'}])
    expect((await beat(other, 'healthy', database('twice', 'elsewhere:5432'))).refused).toMatchObject([{name: 'twice'}])
    // What an administrator declares decides: so agents can follow when its address changes.
    await plane.admin.createResource(database('twice', 'elsewhere:5432'))
    expect((await beat(other, 'healthy', database('twice', 'elsewhere:5432'))).refused).toEqual([])
  })
})

describe('the settings of the cluster', () => {
  const recording = (spec: object): Resource =>
    ({
      kind: 'session_recording_config',
      version: 'v2',
      metadata: {name: 'session-recording-config'},
      spec,
    }) as unknown as Resource

  it('are there from the start, with their defaults', async () => {
    for (const [kind, spec] of [
      ['session_recording_config', {mode: 'node'}],
      ['cluster_networking_config', {client_idle_timeout: 'never'}],
      ['cluster_auth_preference', {type: 'local', disconnect_expired_cert: false, locking_mode: 'best_effort'}],
    ] as const) {
      const labels = {'postern.dev/origin': 'defaults'}
      const metadata = {name: kind.replaceAll('_', '-'), labels}
      expect((await plane.admin.listResources(kind)).items).toEqual([{kind, version: 'v2', metadata, spec}])
      await expect(plane.admin.deleteResource(kind, metadata.name)).rejects.toMatchObject({code: 'NOT_FOUND'})
    }
    await expect(plane.admin.getResource('session_recording_config', 'another')).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })

  it('are changed and reset as resources are, and every change is audited', async () => {
    const read = async (): Promise<Resource | undefined> =>
      (await plane.admin.getResource('session_recording_config', 'session-recording-config')).items[0]
    await plane.admin.createResource(recording({mode: 'node-sync'}))
    expect(await read()).toMatchObject({
      metadata: {labels: {'postern.dev/origin': 'dynamic'}, revision: expect.any(String)},
      spec: {mode: 'node-sync'},
    })
    await expect(plane.admin.createResource(recording({mode: 'off'}))).rejects.toMatchObject({code: 'ALREADY_EXISTS'})
    // Where databases are concerned a proxy of any system has the agent record.
    await plane.admin.putResource(recording({mode: 'proxy'}))
    expect(await read()).toMatchObject({spec: {mode: 'node'}})
    await expect(plane.admin.putResource(recording({mode: 'sometimes'}))).rejects.toMatchObject({code: 'INVALID'})
    await plane.admin.deleteResource('session_recording_config', 'session-recording-config')
    expect(await read()).toMatchObject({metadata: {labels: {'postern.dev/origin': 'defaults'}}})
    const {events} = await plane.admin.events({event: 'session_recording_config.update'})
    expect(events.map(({code, user, settings}) => [code, user, settings])).toEqual(
      ['node-sync', 'node', 'node'].map((mode) => ['TCREC003I', '@admin', {mode}]),
    )
  })

  it('are for who may change them: an editor may, others may not', async () => {
    const alice = await plane.addUser('settled', ['access'])
    await expect(alice.client.createResource(recording({mode: 'off'}))).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    const editor = await plane.addUser('settling', ['editor'])
    await editor.client.createResource(recording({mode: 'off'}))
    await editor.client.deleteResource('session_recording_config', 'session-recording-config')
  })
})

describe('a health check configuration', () => {
  const document = (name: string, spec: object): HealthCheckConfig =>
    ({kind: 'health_check_config', version: 'v1', metadata: {name}, spec}) as unknown as HealthCheckConfig
  const everything = {db_labels: [{name: '*', values: ['*']}]}

  it('is there for every database from the start, and has defaults', async () => {
    const {items} = await plane.admin.listResources('health_check_config')
    const usual = {interval: '30s', timeout: '5s', healthy_threshold: 2, unhealthy_threshold: 1}
    expect(items).toMatchObject([{metadata: {name: 'default'}, spec: {...usual, match: everything}}])
    await plane.admin.createResource(document('slow', {interval: '10m', match: {db_labels_expression: 'true'}}))
    expect((await plane.admin.getResource('health_check_config', 'slow')).items).toMatchObject([
      {spec: {...usual, interval: '10m'}},
    ])
    await plane.admin.deleteResource('health_check_config', 'slow')
    await plane.admin.deleteResource('health_check_config', 'default')
    const events = await plane.admin.events({limit: 10})
    expect(events.events.map(({code}) => code)).toEqual(expect.arrayContaining(['THCC001I', 'THCC003I', 'THCC003I']))
  })

  it.each<[string, object, RegExp]>([
    ['without a match', {}, /spec\.match/],
    ['more often than each 30 s', {interval: '29s', match: everything}, /interval: must be between 30s and 10m/],
    ['less often than each 10 minutes', {interval: '601s', match: everything}, /interval: must be between 30s and 10m/],
    ['with no patience', {timeout: '999ms', match: everything}, /timeout: must be at least 1s/],
    ['with more patience than time', {timeout: '31s', match: everything}, /must not be longer than the interval, 30s/],
    ['with a threshold of none', {healthy_threshold: 0, match: everything}, /healthy_threshold/],
    ['with a threshold above ten', {unhealthy_threshold: 11, match: everything}, /unhealthy_threshold/],
    ['of every name and some values', {match: {db_labels: [{name: '*', values: ['a']}]}}, /takes only the value/],
    ['in words that are no duration', {interval: 'often', match: everything}, /must be a duration such as 30s/],
    ['with an expression that cannot be read', {match: {db_labels_expression: 'labels['}}, /cannot be|expect|end/],
    ['with a pattern that cannot be read', {match: {db_labels: [{name: 'a', values: ['^($']}]}}, /regular expression/],
  ])('is refused %s', async (_how, spec, message) => {
    await expect(plane.admin.createResource(document('bad', spec))).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(message),
    })
  })
})
