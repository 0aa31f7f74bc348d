import {randomUUID} from 'node:crypto'
import {setTimeout as sleep} from 'node:timers/promises'
import {afterEach, expect, it} from '@jest/globals'
import {mkdtemp, readFile, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {startAuth} from '../../../src/lib/auth/auth.js'
import {openServices} from '../../../src/lib/auth/services.js'
import type {Auth, AuthOptions} from '../../../src/lib/auth/options.js'
import {Records} from '../../../src/lib/auth/records.js'
import type {HostRecord} from '../../../src/lib/auth/stores.js'
import {ApiClient} from '../../../src/lib/api/client.js'
import type {VerificationLine} from '../../../src/lib/api/verification.js'
import {readJsonLines} from '../../../src/lib/cli/json-lines.js'
import {WatchClient} from '../../../src/lib/api/watch-client.js'
import type {WatchEvent} from '../../../src/lib/api/watch-event.js'
import {readIdentityFile} from '../../../src/lib/config/identity-file.js'
import type {PosternError} from '../../../src/lib/core/errors.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {silentLogger} from '../../../src/lib/core/log.js'
import {Secret} from '../../../src/lib/core/secret.js'
import type {Credentials} from '../../../src/lib/pki/credentials.js'
import {generateKeys} from '../../../src/lib/pki/keys.js'
import {authServerName} from '../../../src/lib/resources/route.js'
import type {Resource} from '../../../src/lib/resources/resource.js'
import type {Role} from '../../../src/lib/resources/role.js'
import type {JoinRole} from '../../../src/lib/resources/token.js'
import type {Backend} from '../../../src/lib/storage/backend.js'
import {openSqlite} from '../../../src/lib/storage/sqlite.js'
import {formatEvents} from '../../helpers/event-lines.js'
import {patience} from '../../helpers/patience.js'
import {expectDocumented} from '../../helpers/troubleshooting.js'

type RoleRules = NonNullable<NonNullable<Role['spec']['allow']>['rules']>

const cluster = 'test.example.com'
const cleanups: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function newOptions(): Promise<AuthOptions> {
  const dataDir = await mkdtemp(join(tmpdir(), 'postern-restart-'))
  cleanups.push(() => rm(dataDir, {recursive: true, force: true}))
  return {
    dataDir,
    cluster,
    listen: {host: '127.0.0.1', port: 0},
    publicAddresses: [{host: 'localhost', port: 3080}],
    httpsKeypairs: [],
    staticTokens: [{roles: ['Db'], token: new Secret('a static token of the file')}],
    defaultSessionTtlMilliseconds: 12 * 3_600_000,
    version: '0.1.0',
    environment: {},
    logger: silentLogger,
    clock: systemClock,
  }
}

async function start(options: AuthOptions): Promise<Auth> {
  const auth = await startAuth(options)
  cleanups.push(() => auth.close())
  return auth
}

/** Again on the same data. */
async function restart(auth: Auth, options: AuthOptions): Promise<Auth> {
  await auth.close()
  cleanups.pop()
  return start(options)
}

function clientOf(auth: Auth, authorities: readonly string[], credentials?: Credentials): ApiClient {
  const serverName = authServerName(cluster)
  const client = new ApiClient(
    {
      ...auth.address,
      serverName,
      authorities,
      ...(credentials ? {credentials: () => credentials} : {}),
    },
    patience,
  )
  cleanups.push(() => client.close())
  return client
}

async function adminOf(auth: Auth): Promise<ApiClient> {
  const {credentials, hostAuthorities} = await readIdentityFile(auth.adminIdentity)
  return clientOf(auth, hostAuthorities, credentials)
}

async function joinWith(
  auth: Auth,
  token: string,
  systemRole: JoinRole = 'Db',
): Promise<{hostId: string} & Credentials> {
  const {hostAuthorities} = await readIdentityFile(auth.adminIdentity)
  const keys = await generateKeys()
  const {hostId, certificate} = await clientOf(auth, hostAuthorities).join({
    token,
    systemRole,
    hostname: 'h',
    version: '0.1.0',
    publicKey: keys.publicKey,
  })
  return {hostId, certificate, privateKey: keys.privateKey}
}

/** A new user's login. */
async function logIn(auth: Auth, user: string, roles: readonly string[]): Promise<ApiClient> {
  const {hostAuthorities} = await readIdentityFile(auth.adminIdentity)
  const admin = await adminOf(auth)
  const anybody = clientOf(auth, hostAuthorities)
  const {url} = await admin.addUser({name: user, roles: [...roles], traits: {}})
  const password = 'correct horse battery'
  await anybody.acceptInvite({token: url.split('/').at(-1) ?? '', password})
  const {publicKey, privateKey} = await generateKeys()
  const {certificate} = await anybody.login({user, password, publicKey})
  await Promise.all([admin, anybody].map((client) => client.close()))
  return clientOf(auth, hostAuthorities, {certificate, privateKey})
}

it('keeps authorities, users, tokens, hosts and events, and does not bring presets back', async () => {
  const options = await newOptions()
  const first = await start(options)
  const pins = first.caPins()
  const admin = await adminOf(first)
  await admin.addUser({name: 'alice', roles: ['access'], traits: {}})
  await admin.deleteResource('role', 'reviewer')
  await admin.deleteResource('health_check_config', 'default')
  const {token} = await admin.addToken({roles: ['Db']})
  const host = await joinWith(first, token)
  await admin.close()

  const second = await restart(first, options)
  expect(second.caPins()).toEqual(pins)
  const again = await adminOf(second)
  expect((await again.getResource('user', 'alice')).items[0]?.spec.roles).toEqual(['access'])
  const roles = (await again.listResources('role')).items.map(({metadata}) => metadata.name)
  expect(roles).toEqual(['access', 'auditor', 'editor', 'requester'])
  expect((await again.listResources('health_check_config')).items).toEqual([])
  expect((await again.events({event: 'instance.join'})).events).toMatchObject([{host_id: host.hostId}])
  const {hostAuthorities} = await readIdentityFile(second.adminIdentity)
  expect((await clientOf(second, hostAuthorities, host).status()).identity.name).toBe(host.hostId)
  await joinWith(second, token)
})

/** The rules of editors that the version before the settings of the cluster gave them. */
const earlierEditing = [
  'role',
  'user',
  'token',
  'db',
  'lock',
  'health_check_config',
  'db_certificate',
  'cert_authority',
]
const earlierRules: RoleRules = [
  {resources: earlierEditing, verbs: ['list', 'create', 'read', 'update', 'delete']},
  {resources: ['db_server'], verbs: ['list', 'read', 'delete']},
  {resources: ['event'], verbs: ['list', 'read']},
  {resources: ['session'], verbs: ['list', 'delete']},
]

it('gives presets that nobody changed the rules of the new version, once, and leaves the others alone', async () => {
  const options = await newOptions()
  const roles = async (auth: Auth): Promise<Map<string, Role>> => {
    const admin = await adminOf(auth)
    const items = (await admin.listResources('role')).items
    await admin.close()
    return new Map(items.map((role) => [role.metadata.name, role]))
  }
  const first = await start(options)
  const made = await roles(first)
  const admin = await adminOf(first)
  const store = async (name: string, rules: RoleRules, more: object = {}): Promise<void> => {
    const role = made.get(name)
    if (role) await admin.putResource({...role, spec: {...role.spec, ...more, allow: {...role.spec.allow, rules}}})
  }
  await store('editor', earlierRules)
  // Somebody made the sessions of this role shorter, and has chosen its rules with that.
  await store('access', [{resources: ['event'], verbs: ['list', 'read']}], {options: {max_session_ttl: '8h0m0s'}})
  const chosen = (await roles(first)).get('access')
  await admin.close()

  const second = await restart(first, options)
  const upgraded = await roles(second)
  expect(upgraded.get('editor')?.spec).toEqual(made.get('editor')?.spec)
  expect(upgraded.get('editor')?.spec.allow?.rules?.[0]?.resources).toContain('session_recording_config')
  expect(upgraded.get('access')).toEqual(chosen)
  const alice = await logIn(second, 'alice', ['access'])
  const refused = (await alice
    .listResources('session_recording_config')
    .catch((error: unknown) => error)) as PosternError
  await expectDocumented('preset-lacks-kind', [refused.message, ...refused.hints].join('\n'))
  await alice.close()
  const third = await restart(second, options)
  const {events} = await (await adminOf(third)).events({event: 'role.updated'})
  expect(events.slice(-2)).toMatchObject([
    {user: '@admin', name: 'access'},
    {code: 'T9002I', user: '@upgrade', user_kind: 3, name: 'editor', updated_by: '@upgrade'},
  ])
})

it('takes the settings of the cluster from its configuration file as long as they stand there', async () => {
  const options = await newOptions()
  const mode = async (auth: Auth): Promise<unknown> => {
    const admin = await adminOf(auth)
    const [item] = (await admin.listResources('session_recording_config')).items
    return [item?.spec.mode, item?.metadata.labels?.['postern.dev/origin']]
  }
  const document = (wanted: 'node' | 'off'): Resource => ({
    kind: 'session_recording_config',
    version: 'v2',
    metadata: {name: 'session-recording-config'},
    spec: {mode: wanted},
  })
  const first = await start({...options, settings: {session_recording_config: {mode: 'off'}}})
  expect(await mode(first)).toEqual(['off', 'config-file'])
  const admin = await adminOf(first)
  await expect(admin.putResource(document('node'))).rejects.toMatchObject({
    code: 'CONFLICT',
    message: expect.stringContaining('stands in the configuration file'),
  })
  await expect(admin.deleteResource('session_recording_config', 'session-recording-config')).rejects.toMatchObject({
    code: 'CONFLICT',
  })
  // A backup of it may be put back.
  await admin.putResource(document('off'))
  await admin.close()
  const second = await restart(first, {...options, settings: {session_recording_config: {mode: 'off'}}})
  expect(await mode(second)).toEqual(['off', 'config-file'])
  const third = await restart(second, options)
  expect(await mode(third)).toEqual(['node', 'defaults'])
  const {events} = await (await adminOf(third)).events({event: 'session_recording_config.update'})
  expect(events.map(({user, settings}) => [user, settings])).toEqual([
    ['@configuration', {mode: 'off'}],
    ['@configuration', {mode: 'node'}],
  ])
})

it('refuses certificates of a host that are older than its record allows, and tells agents so', async () => {
  const options = await newOptions()
  const first = await start(options)
  const [revoked, other] = [
    await joinWith(first, 'a static token of the file'),
    await joinWith(first, 'a static token of the file'),
  ]
  await first.close()
  cleanups.pop()

  const certsValidFrom = new Date(Math.floor(Date.now() / 1000) * 1000).toISOString()
  const backend = await openSqlite({path: join(options.dataDir, 'backend.sqlite'), clock: systemClock})
  const hosts = new Records<HostRecord>(backend, 'host/')
  const record = await hosts.get(revoked.hostId)
  if (!record) throw new Error('the host was not kept')
  await hosts.put(revoked.hostId, {...record.value, certsValidFrom})
  await backend.close()

  const second = await start(options)
  const {hostAuthorities} = await readIdentityFile(second.adminIdentity)
  await expect(clientOf(second, hostAuthorities, revoked).status()).rejects.toMatchObject({code: 'EXPIRED'})
  const keys = await generateKeys()
  await expect(clientOf(second, hostAuthorities, revoked).renewHost({publicKey: keys.publicKey})).rejects.toMatchObject(
    {code: 'EXPIRED'},
  )

  const heard = await new Promise<WatchEvent>((resolve) => {
    const watch = new WatchClient({
      client: clientOf(second, hostAuthorities, other),
      clock: systemClock,
      logger: silentLogger,
      onStart: () => undefined,
      onEvent: (event) => {
        if (event.type === 'put' && event.kind === 'host') resolve(event)
      },
    })
    cleanups.push(() => watch.close())
  })
  expect(heard).toMatchObject({name: revoked.hostId, item: {hostId: revoked.hostId, certsValidFrom}})
})

it('removes what its configuration does not keep any more when it starts, and says of a recording that it did', async () => {
  const options = await newOptions()
  const first = await start(options)
  const host = await joinWith(first, 'a static token of the file')
  const {hostAuthorities} = await readIdentityFile(first.adminIdentity)
  const agent = clientOf(first, hostAuthorities, host)
  const sid = randomUUID()
  const place = {agent_stream: randomUUID(), agent_session: 1}
  const events = ['db.session.start', 'db.session.end'].map((event, ei) => ({
    ...{ei, event, code: 'TDB00I', uid: randomUUID(), time: new Date().toISOString(), user: 'alice', sid},
    ...(ei === 0 && place),
  }))
  await agent.emitEvents(formatEvents(...events))
  await agent.close()
  const later = {...systemClock, now: () => Date.now() + 60_000}
  const second = await restart(first, {...options, clock: later, retention: {events: 50_000, recordings: 40_000}})
  const admin = await adminOf(second)
  const removed = async (event: string): Promise<boolean> => (await admin.events({event})).events.length > 0
  while (!(await removed('audit.events.prune'))) await sleep(20)
  await expect(admin.recording(sid, new AbortController().signal)).rejects.toMatchObject({
    code: 'NOT_FOUND',
    message: expect.stringContaining('it was older than recordings are kept'),
  })
  const found = async (): Promise<unknown> => (await admin.events({sid})).events
  while (JSON.stringify(await found()) !== '[]') await sleep(20)
  const lines = await readAll(await admin.verification({sid: undefined, head: undefined}, new AbortController().signal))
  expect(lines).toMatchObject([{type: 'summary', problems: 0, sessions: 1, pruned: 1, removed: expect.any(Number)}])
})

async function readAll(chunks: AsyncIterable<Buffer>): Promise<VerificationLine[]> {
  const lines: VerificationLine[] = []
  for await (const line of readJsonLines<VerificationLine>(chunks)) lines.push(line)
  return lines
}

it('D05: lets hosts of the same process join with a token that works once, for its own role', async () => {
  const auth = await start(await newOptions())
  const token = auth.issueInternalToken('Proxy')
  await expect(joinWith(auth, token, 'Db')).rejects.toMatchObject({code: 'ACCESS_DENIED'})
  await joinWith(auth, token, 'Proxy')
  await expect(joinWith(auth, token, 'Proxy')).rejects.toMatchObject({code: 'ACCESS_DENIED'})
})

it('does not start with a static token that can be guessed', async () => {
  const options = {...(await newOptions()), staticTokens: [{roles: ['Db'] as const, token: new Secret('short')}]}
  await expect(startAuth(options)).rejects.toMatchObject({code: 'INVALID'})
})

it('leaves no secret on disk that opens anything from outside', async () => {
  const options = await newOptions()
  const auth = await start(options)
  const admin = await adminOf(auth)
  const invite = await admin.addUser({name: 'alice', roles: ['access'], traits: {}})
  const secret = invite.url.split('/').at(-1) ?? ''
  const {hostAuthorities} = await readIdentityFile(auth.adminIdentity)
  await clientOf(auth, hostAuthorities).acceptInvite({token: secret, password: 'a marker in a password'})
  await admin.resetUser('alice', {}).then(({url}) => url)
  await admin.close()
  await auth.close()
  cleanups.pop()
  const bytes = await readFile(join(options.dataDir, 'backend.sqlite'), 'latin1')
  expect(bytes).not.toContain('a marker in a password')
  expect(bytes).not.toContain(secret)
})

/** As the process ends: from some write on nothing is written any more. */
function endingAt(backend: Backend, write: number): Backend {
  let writes = 0
  return new Proxy(backend, {
    get: (target, name: keyof Backend) => {
      const method = target[name].bind(target) as (...values: unknown[]) => unknown
      if (!['write', 'create', 'put', 'compareAndSwap', 'appendEvents'].includes(name)) return method
      return (...values: unknown[]) => (++writes < write ? method(...values) : Promise.reject(new Error('ended')))
    },
  })
}

it('a first start that ends at any of its writes is made up for by the next', async () => {
  for (let write = 1; ; write++) {
    const options = await newOptions()
    const path = join(options.dataDir, 'backend.sqlite')
    const backend = await openSqlite({path, clock: systemClock})
    const counters = {requests: 0, refused: 0, logins: 0, failedLogins: 0, joins: 0, failedJoins: 0}
    const end = await openServices(options, endingAt(backend, write), counters).then(
      () => undefined,
      (error: unknown) => error as Error,
    )
    await backend.close()
    if (!end) {
      // Fewer writes than that are no cluster.
      expect(write).toBeGreaterThan(5)
      return
    }
    expect(end.message).toBe('ended')
    const auth = await start(options)
    const admin = await adminOf(auth)
    const {items} = await admin.listResources('role')
    expect(items.map(({metadata}) => metadata.name)).toEqual(['access', 'auditor', 'editor', 'requester', 'reviewer'])
  }
})
