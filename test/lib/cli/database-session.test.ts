import {createPrivateKey, X509Certificate} from 'node:crypto'
import {existsSync} from 'node:fs'
import {join} from 'node:path'
import {afterAll, beforeAll, beforeEach, describe, expect, it} from '@jest/globals'
import {openUserLogin} from '../../../src/lib/cli/connection.js'
import {examineDatabase} from '../../../src/lib/cli/database-examination.js'
import {openDatabaseSession, type DatabaseSession} from '../../../src/lib/cli/database-session.js'
import type {UserLogin} from '../../../src/lib/cli/user-login.js'
import {ProfileStore, type Profile} from '../../../src/lib/config/profile.js'
import {createGuideRole, startTestAgent, startTestCluster, type TestCluster} from '../../commands/cluster.js'

let cluster: TestCluster
let stopAgent: () => Promise<unknown> = () => Promise.resolve()
let home = ''
let store: ProfileStore

beforeAll(async () => {
  cluster = await startTestCluster()
  await createGuideRole(cluster)
  await Promise.all([
    cluster.addUser('alice', ['--roles=access,db']),
    cluster.addUser('bob', ['--roles=access', '--db-users=reader', '--db-names=shop']),
  ])
  stopAgent = await startTestAgent(cluster, [{name: 'aurora', labels: 'env: prod'}, {name: 'orders'}])
  await Promise.all(['alice', 'bob'].map((person) => cluster.logIn(person)))
  home = join(cluster.directory, 'homes')
})

afterAll(async () => {
  await stopAgent()
  await cluster.stop()
})

/** Time that goes on, from another moment. */
const clockAt = (offset: number): {now(): number; monotonic(): number} => ({
  now: () => Date.now() + offset,
  monotonic: () => performance.now(),
})

interface Counted {
  readonly login: UserLogin
  readonly profile: Profile
  /** How often the control plane was asked. */
  readonly exchanges: () => number
}

async function loginOf(person: string, offset = 0): Promise<Counted> {
  store = new ProfileStore(join(home, person))
  const environment = {home: store.home, rootsFile: undefined, caPins: []}
  const login = await openUserLogin({}, {environment, clock: clockAt(offset)})
  const profile = await store.read()
  if (!profile) throw new Error('no profile')
  let count = 0
  return {
    login: {
      ...login,
      ask: (question) => {
        count += 1
        return login.ask(question)
      },
    },
    profile,
    exchanges: () => count,
  }
}

const account = {dbUser: 'alice', dbName: 'postgres'}

async function forget(person: string): Promise<void> {
  const {login} = await loginOf(person)
  for (const {route} of await login.databases.list()) await login.databases.remove(route.database)
}

beforeEach(async () => {
  await forget('alice')
  await forget('bob')
})

describe('a database session', () => {
  it('has a certificate for its route, the agents, and how to reach and trust them', async () => {
    const {login} = await loginOf('alice')
    const session = await openDatabaseSession({login, selector: {name: 'aurora'}, ...account})
    expect(session.route).toEqual({database: 'aurora', ...account})
    expect(session.notices).toEqual([])
    const {proxy, hostAuthorities, agents, credentials, ...rest} = session.upstream
    expect(`${proxy.host}:${proxy.port}`).toBe(cluster.proxy)
    expect(rest.cluster).toBe('example.com')
    expect(hostAuthorities.length).toBe(1)
    expect(agents).toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/)])
    expect(Date.parse(new X509Certificate(credentials.certificate).validTo)).toBe(session.expires)
  })

  it('asks once for all it needs, and the next time nothing', async () => {
    const first = await loginOf('bob')
    await openDatabaseSession({login: first.login, selector: {name: 'aurora'}})
    expect(first.exchanges()).toBe(1)
    for (const selector of [{name: 'aurora'}, {name: 'AURORA'}, {}]) {
      const again = await loginOf('bob')
      const session = await openDatabaseSession({login: again.login, selector})
      await session.current()
      expect(session.route).toEqual({database: 'aurora', dbUser: 'reader', dbName: 'shop'})
      expect(again.exchanges()).toBe(0)
    }
  })

  it('for another user or name of the database gets another certificate', async () => {
    const {login, exchanges} = await loginOf('alice')
    const open = (dbUser?: string, dbName?: string): Promise<DatabaseSession> =>
      openDatabaseSession({login, selector: {name: 'aurora'}, dbUser, dbName})
    await open('alice', 'postgres')
    expect((await open(undefined, 'shop')).route).toMatchObject({dbUser: 'alice', dbName: 'shop'})
    expect((await open('bob', 'shop')).route).toMatchObject({dbUser: 'bob', dbName: 'shop'})
    // Another user's name of the database is not taken over.
    const other = await open('carol')
    expect(other.route).toMatchObject({dbUser: 'carol', dbName: 'carol'})
    expect(other.notices).toEqual([expect.stringContaining('"carol"')])
    expect(exchanges()).toBe(4)
  })

  it('keeps one key through all certificates of a database', async () => {
    const {login} = await loginOf('alice')
    const session = await openDatabaseSession({login, selector: {name: 'aurora'}, ...account})
    const before = session.upstream.credentials
    const after = (await session.refreshed()).credentials
    expect(after.certificate).not.toBe(before.certificate)
    expect(after.privateKey.reveal()).toBe(before.privateKey.reveal())
  })

  it('renews once for all who ask at the same time', async () => {
    const {login, exchanges} = await loginOf('alice')
    const session = await openDatabaseSession({login, selector: {name: 'aurora'}, ...account})
    const answers = await Promise.all(Array.from({length: 8}, () => session.refreshed()))
    expect(new Set(answers.map(({credentials}) => credentials.certificate)).size).toBe(1)
    expect(exchanges()).toBe(2)
    await session.refreshed()
    expect(exchanges()).toBe(3)
  })

  it('renews a certificate whose end is near before a new connection', async () => {
    const {login, exchanges, profile} = await loginOf('alice')
    const almostOver = Date.parse(profile.expires) - Date.now() - 30_000
    const session = await openDatabaseSession({
      login,
      selector: {name: 'aurora'},
      ...account,
      clock: clockAt(almostOver),
    })
    expect(exchanges()).toBe(1)
    await session.current()
    expect(exchanges()).toBe(2)
  })

  it('is refused with the way out when the login has expired', async () => {
    const {profile} = await loginOf('alice')
    const over = Date.parse(profile.expires) - Date.now() + 1000
    const {login} = await loginOf('alice', over)
    await expect(
      openDatabaseSession({login, selector: {name: 'aurora'}, ...account, clock: clockAt(over)}),
    ).rejects.toMatchObject({code: 'EXPIRED', hints: [expect.stringContaining('postern login --proxy=')]})
  })

  it('ends with the login: after a logout nothing is renewed', async () => {
    await cluster.logIn('bob')
    const {login, profile} = await loginOf('bob')
    const session = await openDatabaseSession({login, selector: {name: 'aurora'}})
    await store.remove(profile)
    await expect(session.refreshed()).rejects.toMatchObject({code: 'NOT_LOGGED_IN'})
    await cluster.logIn('bob')
  })

  it('goes on with a new login of the same user, and its new key', async () => {
    const {login} = await loginOf('bob')
    const session = await openDatabaseSession({login, selector: {name: 'aurora'}})
    const before = session.upstream.credentials.privateKey.reveal()
    await cluster.logIn('bob')
    const {certificate, privateKey} = (await session.refreshed()).credentials
    expect(privateKey.reveal()).not.toBe(before)
    expect(new X509Certificate(certificate).checkPrivateKey(createPrivateKey(privateKey.reveal()))).toBe(true)
  })

  it('of an examination leaves no trace in what is kept', async () => {
    const {login, profile} = await loginOf('alice')
    const examined = await examineDatabase({login, selector: {name: 'aurora'}, dbUser: 'reader', dbName: 'shop'})
    expect(examined).toMatchObject({database: 'aurora', db_user: 'reader', db_name: 'shop'})
    expect(existsSync(store.databases(profile).files('aurora').key)).toBe(false)
    const session = await openDatabaseSession({login, selector: {name: 'aurora'}, ...account})
    expect(await examineDatabase({login, selector: {name: 'aurora'}})).toMatchObject({db_user: account.dbUser})
    await examineDatabase({login, selector: {name: 'aurora'}, dbUser: 'reader', dbName: 'shop'})
    expect(await openDatabaseSession({login, selector: {name: 'aurora'}})).toMatchObject({
      route: session.route,
      expires: session.expires,
    })
  })

  it('is found by labels, or as the only one in use, or not at all', async () => {
    const {login} = await loginOf('alice')
    await expect(openDatabaseSession({login, selector: {}})).rejects.toMatchObject({code: 'USAGE'})
    const selected = await openDatabaseSession({login, selector: {labels: {env: 'prod'}}, ...account})
    expect(selected.route.database).toBe('aurora')
    expect((await openDatabaseSession({login, selector: {}})).route.database).toBe('aurora')
    const asBefore = await openDatabaseSession({login, selector: {labels: {env: 'prod'}}})
    expect(asBefore.route).toEqual({database: 'aurora', ...account})
    await openDatabaseSession({login, selector: {name: 'orders'}, ...account})
    await expect(openDatabaseSession({login, selector: {}})).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('aurora, orders'),
    })
    await expect(openDatabaseSession({login, selector: {name: 'nope'}, ...account})).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })
})
