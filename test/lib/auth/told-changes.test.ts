/** What changes the cluster stands in the audit log, or it was not done. */
import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, expect, it} from '@jest/globals'
import Database from 'libsql'
import type {Credentials} from '../../../src/lib/pki/credentials.js'
import {generateKeys} from '../../../src/lib/pki/keys.js'
import type {Database as DatabaseResource} from '../../../src/lib/resources/database.js'
import {kinds} from '../../../src/lib/resources/kinds.js'
import type {Role} from '../../../src/lib/resources/role.js'
import {startTestAuth, testPassword, type TestAuth, type TestHost} from '../../helpers/auth.js'

const cleanups: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const role = (name: string, version: Role['version'] = 'v7'): Role => ({
  kind: 'role',
  version,
  metadata: {name},
  spec: {},
})

const database = (name: string, uri = 'db:5432'): DatabaseResource => ({
  kind: 'db',
  version: 'v3',
  metadata: {name},
  spec: {protocol: 'postgres', uri},
})

interface Setting {
  readonly plane: TestAuth
  readonly alice: Credentials
  readonly discovery: TestHost
  readonly invite: string
  readonly joinToken: string
}

/** Everything that changes something and says so, with the event that it leaves. */
const changes: [string, (setting: Setting) => Promise<unknown>][] = [
  ['user.create', ({plane}) => plane.admin.addUser({name: 'bob', roles: ['access'], traits: {}})],
  ['user.password_change', ({plane, invite}) => plane.clientOf().acceptInvite({token: invite, password: testPassword})],
  ['reset_password_token.create', ({plane}) => plane.admin.resetUser('carol', {})],
  ['user.logout_everywhere', ({plane, alice}) => plane.clientOf(alice).logout({everywhere: true})],
  [
    'user.update',
    async ({plane}) => {
      const [user] = (await plane.admin.getResource('user', 'carol')).items
      if (!user) throw new Error('no carol')
      await plane.admin.putResource({...user, spec: {...user.spec, roles: ['auditor']}})
    },
  ],
  ['user.delete', ({plane}) => plane.admin.deleteResource('user', 'dave')],
  ['role.created', ({plane}) => plane.admin.createResource(role('new'))],
  [
    'role.updated',
    ({plane}) => plane.admin.putResource({...role('old'), metadata: {name: 'old', description: 'changed'}}),
  ],
  ['role.deleted', ({plane}) => plane.admin.deleteResource('role', 'unused')],
  ['db.create', ({plane}) => plane.admin.createResource(database('new'))],
  ['db.update', ({plane}) => plane.admin.putResource(database('old', 'elsewhere:5432'))],
  ['db.delete', ({plane}) => plane.admin.deleteResource('db', 'unused')],
  [
    'lock.created',
    ({plane}) =>
      plane.admin.createResource({
        kind: 'lock',
        version: 'v2',
        metadata: {name: 'eve'},
        spec: {target: {user: 'eve'}},
      }),
  ],
  ['lock.deleted', ({plane}) => plane.admin.deleteResource('lock', 'mallory')],
  ['session_recording_config.update', ({plane}) => plane.admin.putResource(recordingConfig('off'))],
  ['join_token.create', ({plane}) => plane.admin.addToken({roles: ['Db']})],
  ['join_token.delete', ({plane}) => plane.admin.deleteResource('token', 'a token to be removed')],
  [
    'instance.join',
    async ({plane, joinToken}) => {
      const {publicKey} = await generateKeys()
      const request = {systemRole: 'Db' as const, hostname: 'a-host', version: '0.1.0', publicKey}
      return plane.clientOf().join({...request, token: joinToken})
    },
  ],
  [
    'db.create',
    ({discovery: {client}}) => client.putDiscovered({group: 'g', database: database('found', rds('found'))}),
  ],
  [
    'db.update',
    ({discovery: {client}}) => client.putDiscovered({group: 'g', database: database('known', rds('other'))}),
  ],
  ['db.delete', ({discovery: {client}}) => client.removeDiscovered({group: 'g', name: 'lost'})],
]

const rds = (name: string): string => `${name}.abcdefghijkl.eu-west-1.rds.amazonaws.com:5432`
const recordingConfig = (mode: 'off' | 'node') =>
  ({
    kind: 'session_recording_config',
    version: 'v2',
    metadata: {name: 'session-recording-config'},
    spec: {mode},
  }) as const

async function start(dataDir: string): Promise<TestAuth> {
  const plane = await startTestAuth({dataDir})
  cleanups.push(plane.stop)
  return plane
}

async function stop(plane: TestAuth): Promise<void> {
  await plane.stop()
  cleanups.pop()
}

/** What the API shows, as far as changes show there. */
async function everything({admin}: TestAuth): Promise<unknown[]> {
  return Promise.all(
    kinds.filter((kind) => kind !== 'db_server').map(async (kind) => (await admin.listResources(kind)).items),
  )
}

it('is not done when its event cannot be stored; each change has its event', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'postern-told-'))
  cleanups.push(() => rm(dataDir, {recursive: true, force: true}))
  const sql = (statement: string): void => {
    const file = new Database(join(dataDir, 'backend.sqlite'))
    file.exec(statement)
    file.close()
  }

  const first = await start(dataDir)
  const {admin} = first
  const {credentials: alice} = await first.addUser('alice', ['access'])
  await first.addUser('carol', ['access'])
  await first.addUser('dave', ['access'])
  const {url} = await admin.addUser({name: 'frank', roles: ['access'], traits: {}})
  const {token: joinToken} = await admin.addToken({roles: ['Db']})
  await admin.addToken({roles: ['Db'], value: 'a token to be removed'})
  for (const name of ['old', 'unused']) {
    await admin.createResource(role(name))
    await admin.createResource(database(name))
  }
  await admin.createResource({
    kind: 'lock',
    version: 'v2',
    metadata: {name: 'mallory'},
    spec: {target: {user: 'mallory'}},
  })
  const discovery = await first.joinHost('Discovery')
  for (const name of ['known', 'lost']) {
    await discovery.client.putDiscovered({group: 'g', database: database(name, rds(name))})
  }
  await stop(first)

  const setting = (plane: TestAuth): Setting => ({
    plane,
    alice,
    discovery: {...discovery, client: plane.clientOf(discovery.credentials)},
    invite: url.split('/').at(-1) ?? '',
    joinToken,
  })
  sql("create trigger full before insert on events begin select raise(abort, 'database or disk is full'); end")
  const second = await start(dataDir)
  const before = await everything(second)
  for (const [event, change] of changes) {
    const outcome = await change(setting(second)).then(
      () => 'was done',
      (error: unknown) => (error as {code: string}).code,
    )
    expect([event, outcome]).toEqual([event, 'INTERNAL'])
  }
  expect(await everything(second)).toEqual(before)
  await stop(second)

  sql('drop trigger full')
  const third = await start(dataDir)
  // That alice is still logged in, and that the invite still works, is part of it.
  for (const [event, change] of changes) {
    const known = (await third.admin.events({limit: 500})).events.length
    await change(setting(third))
    const {events} = await third.admin.events({limit: 500})
    expect(events.slice(known).map((told) => told.event)).toContain(event)
  }
})
