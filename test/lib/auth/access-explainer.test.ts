import {randomUUID} from 'node:crypto'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import type {ApiClient} from '../../../src/lib/api/client.js'
import type {Database} from '../../../src/lib/resources/database.js'
import type {Role} from '../../../src/lib/resources/role.js'
import {formatEvents} from '../../helpers/event-lines.js'
import {reportedHealth, startTestAuth, type TestAuth, type TestHost} from '../../helpers/auth.js'

let plane: TestAuth
let host: TestHost
let alice: ApiClient
let bob: ApiClient

const role = (name: string, spec: Role['spec']): Role => ({kind: 'role', version: 'v7', metadata: {name}, spec})

const database = (name: string, labels: Record<string, string>): Database => ({
  kind: 'db',
  version: 'v3',
  metadata: {name, labels},
  spec: {protocol: 'postgres', uri: 'db:5432'},
})

beforeAll(async () => {
  plane = await startTestAuth()
  await plane.admin.createResource(
    role('dev', {allow: {db_labels: {env: ['dev']}, db_users: ['reader'], db_names: ['*']}}),
  )
  await plane.admin.createResource(
    role('secretive', {allow: {db_labels: {'*': ['*']}, db_users: ['hidden-user'], db_names: ['*']}}),
  )
  await plane.admin.createResource(
    role('watcher', {allow: {rules: [{resources: ['role', 'user', 'event'], verbs: ['read', 'list']}]}}),
  )
  await plane.admin.createResource(role('events', {allow: {rules: [{resources: ['event'], verbs: ['list', 'read']}]}}))
  host = await plane.joinHost('Db')
  const databases = [database('orders', {env: 'dev'}), database('payroll', {env: 'prod'})]
  await host.client.heartbeat({
    hostname: 'agent-1',
    version: '0.1.0',
    databases: databases.map((each) => ({database: each, health: reportedHealth()})),
  })
  alice = (await plane.addUser('alice', ['dev', 'events'])).client
  bob = (await plane.addUser('bob', ['watcher', 'secretive'])).client
})

afterAll(() => plane.stop())

describe('before the fact', () => {
  const asReader = {database: 'orders', dbUser: 'reader', dbName: 'shop'}

  it('tells users about themselves', async () => {
    const {answers} = await alice.explainAccess(asReader)
    expect(answers).toMatchObject([
      {explanation: {allowed: true, role: 'dev'}, remedies: [], agents: [{hostname: 'agent-1', health: 'healthy'}]},
    ])
    const denied = await alice.explainAccess({...asReader, dbUser: 'admin'})
    expect(denied.answers[0]).toMatchObject({
      explanation: {
        allowed: false,
        reason: 'no-role',
        message:
          'Access to database "orders" as user "admin" to "shop" is denied: your role "dev" allows the database, but not database user "admin".',
        roles: [{role: 'dev', allow: {user: {matched: false, entries: ['reader']}}}, {role: 'events'}],
      },
      remedies: ['Add to role "dev": "admin" in spec.allow.db_users.'],
    })
  })

  it('knows no databases that the user does not see', async () => {
    for (const database of ['payroll', 'nothing']) {
      await expect(alice.explainAccess({...asReader, database})).rejects.toMatchObject({
        code: 'NOT_FOUND',
        message: `There is no database "${database}" that you may see.`,
      })
    }
  })

  it('knows those databases for who may read roles, with every role', async () => {
    const {client: dora} = await plane.addUser('dora', ['watcher'])
    const {answers} = await dora.explainAccess({...asReader, database: 'payroll'})
    expect(answers).toMatchObject([{explanation: {allowed: false, roles: [{role: 'watcher'}]}, agents: [{}]}])
    await plane.admin.createResource(role('half', {allow: {rules: [{resources: ['role'], verbs: ['list']}]}}))
    const {client: eve} = await plane.addUser('eve', ['half'])
    await expect(eve.explainAccess({...asReader, database: 'payroll'})).rejects.toMatchObject({code: 'NOT_FOUND'})
  })

  it('is about others only for who may read users and roles', async () => {
    await expect(alice.explainAccess({...asReader, user: 'bob'})).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    await expect(alice.explainAccess({...asReader, user: 'nobody'})).rejects.toMatchObject({code: 'ACCESS_DENIED'})
    const {answers} = await bob.explainAccess({user: 'alice', database: 'payroll', dbUser: 'reader'})
    expect(answers[0]).toMatchObject({
      explanation: {
        allowed: false,
        db_name: 'reader',
        labels: {env: 'prod'},
        roles: [{allow: {labels: {matched: false, failed: 'env', selector: {env: ['dev']}}}}, {}],
      },
      remedies: [
        'Let role "dev" select the database in spec.allow.db_labels.',
        'Give the user a role that selects env=prod in spec.allow.db_labels, with database user "reader" and database name "reader".',
      ],
    })
    await expect(bob.explainAccess({...asReader, user: 'nobody'})).rejects.toMatchObject({code: 'NOT_FOUND'})
    await expect(plane.admin.explainAccess(asReader)).rejects.toMatchObject({code: 'INVALID'})
  })

  it('names the lock to administrators only', async () => {
    await plane.admin.createResource({
      kind: 'lock',
      version: 'v2',
      metadata: {name: 'a-lock'},
      spec: {target: {server_id: host.joined.hostId}, message: 'maintenance'},
    })
    const {answers} = await alice.explainAccess(asReader)
    expect(answers[0]?.explanation).toMatchObject({reason: 'lock', message: 'Access is locked: maintenance.'})
    expect(JSON.stringify(answers)).not.toContain('a-lock')
    const seen = await plane.admin.explainAccess({...asReader, user: 'alice'})
    expect(seen.answers[0]).toMatchObject({
      explanation: {lock: 'a-lock'},
      remedies: ['Remove the lock: postern rm lock/a-lock'],
    })
    await plane.admin.deleteResource('lock', 'a-lock')
  })

  it('gives an answer for each set of labels that agents know', async () => {
    const other = await plane.joinHost('Db')
    const databases = [{database: database('orders', {env: 'qa'}), health: reportedHealth()}]
    await other.client.heartbeat({hostname: 'agent-2', version: '0.1.0', databases})
    const {answers} = await plane.admin.explainAccess({...asReader, user: 'alice'})
    expect(answers.map(({explanation, agents}) => [explanation.allowed, agents[0]?.hostname]).sort()).toEqual([
      [false, 'agent-2'],
      [true, 'agent-1'],
    ])
    await other.client.heartbeat({hostname: 'agent-2', version: '0.1.0', databases: []})
  })
})

describe('a denial that was', () => {
  const sid = randomUUID()

  beforeAll(async () => {
    const asking = {user: 'alice', database: 'orders', dbUser: 'admin', dbName: 'shop'}
    const {answers} = await plane.admin.explainAccess(asking)
    const [answer] = answers
    // The user held another role then, which is not theirs any more.
    const lost = {...answer?.explanation.roles[0], role: 'lost-role'}
    const decision = {...answer?.explanation, roles: [...(answer?.explanation.roles ?? []), lost]}
    const event = {
      event: 'db.session.start',
      code: 'TDB00W',
      uid: randomUUID(),
      time: new Date().toISOString(),
      ei: 0,
      sid,
      user: 'alice',
      server_hostname: 'agent-1',
      success: false,
      message: answer?.explanation.message,
      decision,
    }
    await host.client.emitEvents(formatEvents(event))
  })

  it('is explained to administrators in full', async () => {
    const decision = await bob.decision(sid)
    expect(decision).toMatchObject({id: sid, user: 'alice', agent: {hostId: host.joined.hostId, hostname: 'agent-1'}})
    expect(decision.explanation?.roles.map(({role: name}) => name)).toEqual(['dev', 'events', 'lost-role'])
    expect(decision.remedies).toEqual(['Add to role "dev": "admin" in spec.allow.db_users.'])
  })

  it('is explained to its user with the roles that they still hold', async () => {
    const decision = await alice.decision(sid)
    expect(decision.explanation?.roles.map(({role: name}) => name)).toEqual(['dev', 'events'])
    expect(JSON.stringify(decision)).not.toContain('lost-role')
  })

  it('is not there for anybody else', async () => {
    await plane.admin.createResource(role('lister', {allow: {rules: [{resources: ['role'], verbs: ['list']}]}}))
    const {client: carol} = await plane.addUser('carol', ['events', 'lister'])
    const missing = {code: 'NOT_FOUND', message: `There is no denial with the id "${sid}".`}
    await expect(carol.decision(sid)).rejects.toMatchObject(missing)
    await expect(host.client.decision(sid)).rejects.toMatchObject(missing)
    for (const id of [randomUUID(), 'x', `${sid}0`]) {
      await expect(bob.decision(id)).rejects.toMatchObject({code: 'NOT_FOUND'})
    }
    // Nor in the log, for who may read events and no roles.
    const ofCarol = await carol.events({sid})
    expect(ofCarol.events).toHaveLength(1)
    expect(ofCarol.events[0]).not.toHaveProperty('decision')
    expect((await bob.events({sid})).events[0]).toHaveProperty('decision')
  })
})
