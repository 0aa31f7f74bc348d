import {randomUUID} from 'node:crypto'
import {mkdtemp, readFile, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {format} from 'prettier'
import type {ApiClient} from '../../../src/lib/api/client.js'
import {ownEvents, sessionEvents} from '../../../src/lib/audit/event-codes.js'
import {SealingKey} from '../../../src/lib/audit/seal.js'
import {AuditLog} from '../../../src/lib/auth/audit-log.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {terminate as terminateMessage} from '../../../src/lib/pgwire/client-messages.js'
import {cstring, encodeMessage} from '../../../src/lib/pgwire/message.js'
import {frontend} from '../../../src/lib/pgwire/message-types.js'
import {generateKeys} from '../../../src/lib/pki/keys.js'
import {singletonNames, type SingletonKind} from '../../../src/lib/resources/kinds.js'
import {parseResource, type ResourceOf} from '../../../src/lib/resources/resource.js'
import type {Role} from '../../../src/lib/resources/role.js'
import {openSqlite} from '../../../src/lib/storage/sqlite.js'
import {expectDocumented} from '../../helpers/documented.js'
import {formatEvents} from '../../helpers/event-lines.js'
import {healthCheckConfig} from '../../lib/agent/plane.js'
import {databaseResource, role, until} from '../../lib/agent/rig.js'
import {ask} from '../../lib/agent/wire.js'
import {StoredAudit} from '../../lib/auth/retention-rig.js'
import {database, startOneProcessCluster, type Event, type OneProcessCluster} from './cluster.js'

/** Every code that there is, with its event. */
const codes = Object.entries({...sessionEvents, ...ownEvents}).flatMap(([event, {done, failed}]: CodesOf) =>
  [done, failed].flatMap((code) => (code === undefined ? [] : [{event, code}])),
)
type CodesOf = [string, {readonly done: string; readonly failed?: string}]

const password = 'correct horse battery'
let cluster: OneProcessCluster
/** Everything that was audited or recorded, in its order. */
let events: Event[]

beforeAll(async () => {
  cluster = await startOneProcessCluster()
  await administer(cluster.admin)
  const bob = await person('bob', {client_idle_timeout: '1s'})
  const idle = cluster.connect(bob, 'alice', 'idle')
  const alice = await person('alice', {max_connections: 1})
  await misuse()
  await endings(alice)
  const terminated = await terminate(alice)
  await (await idle).reader.until('E')
  await ended('idle')
  await useRareFields(alice)
  const sid = await useDatabase(alice)
  await impostors()
  await leave(alice)
  const recorded = await Promise.all([terminated, sid].map((each) => cluster.recording(each)))
  events = [...recorded.flat(), ...(await cluster.events()), await damaged(), ...(await tooOld())]
})

afterAll(() => cluster.stop())

/** What administrators make, change and remove. */
async function administer(admin: ApiClient): Promise<void> {
  const resources = [
    role('dba', {db_labels: {env: ['dev']}, db_users: ['postgres'], db_names: ['*']}),
    {kind: 'lock', version: 'v2', metadata: {name: 'incident-17'}, spec: {target: {user: 'mallory'}}},
    databaseResource('reports', 'reports.example.com:5432'),
    healthCheckConfig('often', {interval: '40s', timeout: '5s'}),
    setting('session_recording_config', {mode: 'node-sync'}),
    setting('cluster_networking_config', {client_idle_timeout: '1h'}),
    setting('cluster_auth_preference', {disconnect_expired_cert: true}),
  ] as const
  for (const resource of resources) {
    await admin.createResource(resource)
    await admin.putResource(resource)
    await admin.deleteResource(resource.kind, resource.metadata.name)
  }
  const {token} = await admin.addToken({roles: ['Db'], ttlSeconds: 3600})
  await admin.deleteResource('token', token)
}

const setting = <K extends SingletonKind>(kind: K, spec: Partial<ResourceOf[K]['spec']>): ResourceOf[K] =>
  parseResource(kind, {kind, version: 'v2', metadata: {name: singletonNames[kind]}, spec})

/** Somebody with a role of their own, a password and a login. */
async function person(name: string, options: Role['spec']['options']): Promise<ApiClient> {
  const {admin} = cluster
  const allow = {db_labels: {env: ['dev']}, db_users: ['alice'], db_names: ['postgres']}
  const own = role(`${name}-access`, allow)
  await admin.createResource({...own, spec: {...own.spec, options}})
  const {url} = await admin.addUser({name, roles: [own.metadata.name], traits: {team: ['shop']}})
  const client = cluster.clientOf()
  await client.acceptInvite({token: url.split('/').at(-1) ?? '', password})
  const [user] = (await admin.getResource('user', name)).items
  if (user) await admin.putResource({...user, spec: {...user.spec, traits: {team: ['shop', 'billing']}}})
  const {publicKey, privateKey} = await generateKeys()
  const {certificate} = await client.login({user: name, password, publicKey})
  return cluster.clientOf({certificate, privateKey})
}

/** Wrong passwords and tokens. */
async function misuse(): Promise<void> {
  const client = cluster.clientOf()
  const {publicKey} = await generateKeys()
  for (let attempt = 0; attempt < 5; attempt += 1) {
    await client.login({user: 'mallory', password: 'guess', publicKey}).catch(() => undefined)
  }
  const host = {systemRole: 'Db', hostname: 'elsewhere', version: '0.1.0', publicKey} as const
  await client.join({...host, token: 'no-such-token-at-all'}).catch(() => undefined)
}

/** Sessions that somebody ends, and that are refused. */
async function endings(alice: ApiClient): Promise<void> {
  const {admin, connect} = cluster
  const {socket, reader} = await connect(alice, 'alice', 'reports')
  await reader.until('Z')
  socket.write(ask.query('select pg_sleep(600)'))
  let sid = ''
  await until(async () => {
    sid = (await admin.liveSessions()).sessions.find(({state}) => state === 'active')?.sid ?? ''
    return sid !== ''
  }, 'the query runs')
  await (await connect(alice)).reader.error()
  await admin.killSession(sid, {reason: 'it blocks the nightly import'})
  await ended('reports')
  await (await connect(alice, 'postgres')).reader.error()
}

/** A session that the server ends. @returns its id */
async function terminate(alice: ApiClient): Promise<string> {
  const {reader} = await cluster.connect(alice, 'alice', 'terminated')
  await reader.until('Z')
  await cluster.postgres.execute(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'terminated'`,
  )
  await reader.error()
  return ended('terminated')
}

/** A session of which the server has heard. @returns runs messages of it up to the next ReadyForQuery */
async function session(alice: ApiClient, name: string) {
  const {socket, reader} = await cluster.connect(alice, 'alice', name)
  await reader.until('Z')
  const run = async (...messages: Buffer[]): Promise<void> => {
    socket.write(Buffer.concat(messages))
    await reader.until('Z')
  }
  return {socket, reader, run}
}

/** Statements with the fields that few of them have. */
async function useRareFields(alice: ApiClient): Promise<void> {
  const {socket, run} = await session(alice, 'rare')
  const long = 'x'.repeat(70_000)
  await run(ask.query('listen news; notify news'))
  await run(ask.query('begin; declare c cursor for select 1'))
  await run(ask.execute('c'), ask.sync)
  await run(ask.query('rollback; select 1'))
  await run(ask.query('copy (select 1) to stdout'))
  await run(ask.parse('s', 'select $1::text'), ask.bind('p', 's', [long]), ask.execute('p'), ask.sync)
  await run(ask.call(1, [long]))
  await run(ask.query('select 1;'.repeat(101)))
  socket.write(terminateMessage)
  await ended('rare')
}

/** A session with one statement of each kind. @returns its id */
async function useDatabase(alice: ApiClient): Promise<string> {
  const {socket, reader, run} = await session(alice, 'psql')
  await run(ask.query(`select length('${'x'.repeat(70_000)}')`))
  const parse = ask.parse('', 'select id, name from products where price < $1')
  await run(parse, ask.bind('', '', ['500']), ask.describe('P', ''), ask.execute(''), ask.sync)
  await run(ask.query('update products set price = 0'))
  // The OIDs of int4pl and int4div.
  await run(ask.call(177, ['40', '2']))
  await run(ask.call(154, ['1', '0']))
  socket.write(encodeMessage(frontend.query, cstring('ends'), cstring('twice')))
  await reader.error()
  return ended('psql')
}

/**
 * Waits for the end of the session with this application name. Its agent may tell of that before it has it on its disk, and
 * until then the session takes up one of those that its user may have. @returns its id
 */
async function ended(application: string): Promise<string> {
  let sid: unknown
  await until(async () => {
    const all = await cluster.events()
    sid = all.find(({user_agent: agent}) => agent === application)?.sid
    return all.some((event) => event.event === 'session.upload' && event.sid === sid)
  }, 'the session ended')
  await until(
    async () => (await cluster.admin.liveSessions()).sessions.every((session) => session.sid !== sid),
    'its place is free',
  )
  return String(sid)
}

/** Agents that are not what they should be. */
async function impostors(): Promise<void> {
  const {admin, clientOf} = cluster
  const {token} = await admin.addToken({roles: ['Db'], databases: {names: ['inventory']}})
  const {publicKey, privateKey} = await generateKeys()
  const host = {hostname: 'db-host-2', version: '0.1.0'}
  const {certificate} = await clientOf().join({...host, systemRole: 'Db', token, publicKey})
  const agent = clientOf({certificate, privateKey})
  const health = {
    address: 'db.example.com:5432',
    protocol: 'TCP',
    status: 'healthy',
    transition_timestamp: new Date().toISOString(),
    transition_reason: 'initialized',
  } as const
  await agent.heartbeat({...host, databases: [{database: databaseResource(database, health.address), health}]})
  const start = {
    ...{ei: 0, event: 'db.session.start', code: 'TDB00I', uid: randomUUID(), time: new Date().toISOString()},
    ...{user: 'alice', sid: randomUUID(), agent_stream: randomUUID(), agent_session: 3},
  }
  await agent.emitEvents(formatEvents(start))
  await agent.emitEvents(formatEvents({...start, user: 'bob'})).catch(() => undefined)
}

async function leave(alice: ApiClient): Promise<void> {
  await alice.logout({everywhere: true})
  await cluster.admin.resetUser('alice', {ttlSeconds: 3600})
  await cluster.admin.deleteResource('user', 'alice')
}

/** What the log says of an event that was damaged in its storage. */
async function damaged(): Promise<Event> {
  const directory = await mkdtemp(join(tmpdir(), 'postern-log-'))
  const backend = await openSqlite({path: join(directory, 'backend.sqlite'), clock: systemClock})
  try {
    const log = new AuditLog(backend, 'postern.example.com', systemClock, new SealingKey(SealingKey.generate()))
    await backend.appendEvents([{time: Date.now(), event: 'user.login', hash: '', body: '{"event":"user.lo'}])
    return (await log.list({limit: 1})).events[0] ?? {}
  } finally {
    await backend.close()
    await rm(directory, {recursive: true})
  }
}

/** What the log says of what was kept for long enough. */
async function tooOld(): Promise<readonly Event[]> {
  const audit = await StoredAudit.create()
  try {
    await audit.session()
    audit.late = 401 * 86_400_000
    await audit.retention({events: 400 * 86_400_000, recordings: 90 * 86_400_000}).sweep()
    return (await audit.log.list({limit: 10})).events
  } finally {
    await audit.remove()
  }
}

describe('docs/audit.md', () => {
  it.each(codes)('has an example of $event $code, as it was just emitted', async ({event, code}) => {
    const found = events.findLast((each) => each.event === event && each.code === code)
    expect(found).toBeDefined()
    const text = await format(JSON.stringify(steady(found ?? {})), {
      parser: 'json',
      printWidth: 120,
      bracketSpacing: false,
    })
    await expectDocumented({page: 'audit.md', mark: code, text: text.trimEnd(), language: 'json'})
  })

  it('has no example of an event that does not exist, and knows all that happened', async () => {
    const page = await readFile(join(process.cwd(), 'docs', 'audit.md'), 'utf8')
    const marks = [...page.matchAll(/<!-- (\w+) -->/g)].map(([, mark]) => mark)
    expect(marks.toSorted()).toEqual(codes.map(({code}) => code).toSorted())
    const known = codes.map(({event, code}) => `${event} ${code}`)
    expect(known).toEqual(expect.arrayContaining(events.map(({event, code}) => `${String(event)} ${String(code)}`)))
  })

  it('is about events whose keys are in snake_case, at any depth, but those of users', () => {
    const keys = new Set(events.flatMap((event) => [...ownKeys(event)]))
    expect(keys).toContain('decision.db_user')
    expect([...keys].filter((key) => !/^[a-z0-9_.]+$/.test(key))).toEqual([])
  })

  it('explains every field that an event has', async () => {
    const page = await readFile(join(process.cwd(), 'docs', 'audit.md'), 'utf8')
    const fields = new Set(events.flatMap((event) => Object.keys(event)))
    expect([...fields].filter((field) => !page.includes(`\`${field}\``))).toEqual([])
  })
})

/** Fields in which any key may stand. */
const ofUsers: readonly string[] = ['user_traits', 'db_labels', 'labels', 'selector']

/** The keys of an event, those further down behind the ones above them. */
function* ownKeys(value: unknown, above = ''): Generator<string> {
  if (Array.isArray(value)) for (const item of value) yield* ownKeys(item, above)
  else if (typeof value === 'object' && value !== null) {
    for (const [key, below] of Object.entries(value)) {
      yield above + key
      if (!ofUsers.includes(key)) yield* ownKeys(below, `${above}${key}.`)
    }
  }
}

const usual: Readonly<Record<string, string>> = {
  uid: '0c5f2d1e-8a4b-4c6d-9e7f-1a2b3c4d5e6f',
  sid: '307b49d6-56c7-4d20-8cf0-5bc5348a7101',
  agent_stream: '6f1c0a52-3d47-4be9-a1f8-94d2c07be315',
  connection_id: '9d1f4c7ab2e05386f0c4d8e1a7b36259',
  'addr.local': '10.0.0.111:40132',
  'addr.remote': '203.0.113.24:51844',
  url: 'postern://postern.example.com/recordings/307b49d6-56c7-4d20-8cf0-5bc5348a7101',
  decision: '(an object, left out here)',
}
const numbers: Readonly<Record<string, number>> = {
  postgres_pid: 4242,
  duration_ms: 0.418,
  bytes_from_client: 96,
  bytes_from_server: 1734,
  position: 1204,
}
/** Who an id stands for, so that the examples belong together. */
const hostId = 'e5e6a1b7-2c3d-4f50-8a9b-0c1d2e3f4a5b'

/** An event without what differs from run to run. */
function steady(event: Event): unknown {
  return JSON.parse(JSON.stringify(event), (key, value: unknown) => {
    if (typeof value === 'number') return numbers[key] ?? value
    if (Object.hasOwn(usual, key)) return usual[key]
    if (typeof value !== 'string') return value
    return value
      .replace(/(?!0001)\d{4}-\d\d-\d\dT[\d:.]+Z/g, '2026-11-20T10:58:30.120Z')
      .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, hostId)
      .replace(/\*[0-9a-f]{8}$/g, '*b294cac9')
      .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:5432')
      .replace(/\b127\.0\.0\.1$/, '203.0.113.24')
      .replace(/[0-9a-f]{64}/g, 'b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c')
      .replace(/^[\w+/]{200,}=*$/, (data) => `${data.slice(0, 60)}…`)
  }) as unknown
}
