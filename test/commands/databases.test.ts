import {createPrivateKey, X509Certificate} from 'node:crypto'
import {readdir, readFile} from 'node:fs/promises'
import {join} from 'node:path'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {parse} from 'yaml'
import {ProfileStore} from '../../src/lib/config/profile.js'
import {createGuideRole, startTestAgent, startTestCluster, type TestCluster} from './cluster.js'

let cluster: TestCluster
let stopAgent: () => Promise<unknown> = () => Promise.resolve()

beforeAll(async () => {
  cluster = await startTestCluster()
  await createGuideRole(cluster)
  await Promise.all([
    cluster.addUser('alice', ['--roles=access,db']),
    cluster.addUser('bob', ['--roles=access', '--db-users=reader', '--db-names=shop']),
    cluster.addUser('carol', ['--roles=requester']),
    cluster.addUser('erin', ['--roles=editor']),
  ])
  stopAgent = await startTestAgent(cluster, [
    {name: 'my-redshift', description: 'Redshift in us-west-1', labels: 'env: dev'},
    {name: 'aurora', labels: 'env: prod, team: shop'},
  ])
  await Promise.all(['alice', 'bob', 'carol', 'erin'].map((person) => cluster.logIn(person)))
})

afterAll(async () => {
  await stopAgent()
  await cluster.stop()
})

const homeOf = (person: string): string => join(cluster.directory, 'homes', person)

describe('db ls', () => {
  it('prints the table of the guides', async () => {
    const {code, stdout, stderr} = await cluster.as('bob', ['db', 'ls'])
    expect({code, stderr}).toEqual({code: 0, stderr: ''})
    expect(stdout).toBe(
      [
        'Name        Description           Labels',
        '----------- --------------------- ------------------',
        'aurora                            env=prod,team=shop',
        'my-redshift Redshift in us-west-1 env=dev',
        '',
      ].join('\n'),
    )
  })

  it('shows nothing to somebody without access, and is no failure', async () => {
    const {code, stdout} = await cluster.as('carol', ['db', 'ls'])
    expect({code, stdout}).toEqual({code: 0, stdout: 'Name Description Labels\n---- ----------- ------\n'})
  })

  it('filters by labels and words', async () => {
    const names = async (...words: string[]): Promise<string[]> => {
      const {stdout} = await cluster.as('bob', ['db', 'ls', ...words, '--format=json'])
      return (JSON.parse(stdout) as {metadata: {name: string}}[]).map(({metadata}) => metadata.name)
    }
    expect(await names('env=prod,team=shop')).toEqual(['aurora'])
    expect(await names('env=none')).toEqual([])
    expect(await names('--search', 'redshift,dev')).toEqual(['my-redshift'])
  })

  it('filters by a query, for administrators too', async () => {
    const names = async (query: string): Promise<string[]> => {
      const {stdout} = await cluster.as('bob', ['db', 'ls', `--query=${query}`, '--format=json'])
      return (JSON.parse(stdout) as {metadata: {name: string}}[]).map(({metadata}) => metadata.name)
    }
    expect(await names('labels["env"] == "prod" && hasPrefix(name, "au")')).toEqual(['aurora'])
    expect(await names('!exists(labels["team"]) || name == "none"')).toEqual(['my-redshift'])
    const served = await cluster.admin([
      'db',
      'servers',
      '--query',
      'resource.metadata.labels.env == "dev"',
      '-f',
      'json',
    ])
    expect(JSON.parse(served.stdout)).toMatchObject([{metadata: {name: 'my-redshift'}}])
    const wrong = await cluster.as('bob', ['db', 'ls', '--query=labels["env"] = "prod"'])
    expect({code: wrong.code, stdout: wrong.stdout}).toEqual({code: 2, stdout: ''})
  })

  it('lists every database with its agents for whoever may see them', async () => {
    const all = await cluster.as('erin', ['db', 'ls', '--all-agents', 'env=prod', '--format=json'])
    const administrator = await cluster.admin(['db', 'servers', 'env=prod', '--format=json'])
    const rows = JSON.parse(all.stdout) as {status: {target_health: {status: string}}}[]
    expect(rows).toMatchObject([{kind: 'db_server', spec: {database: {metadata: {name: 'aurora'}}}}])
    expect(rows).toMatchObject((JSON.parse(administrator.stdout) as {spec: object}[]).map(({spec}) => ({spec})))
    const state = rows[0]?.status.target_health.status ?? ''
    const other = state === 'healthy' ? 'unhealthy' : 'healthy'
    const listed = await cluster.as('erin', [
      'db',
      'ls',
      '--all-agents',
      `--status=${other}`,
      '--search=aurora',
      '-f',
      'json',
    ])
    expect(JSON.parse(listed.stdout)).toEqual([])
    expect((await cluster.as('bob', ['db', 'ls', '--all-agents'])).code).toBe(4)
    expect((await cluster.as('bob', ['db', 'ls', '--status=healthy'])).code).toBe(2)
  })

  it('shows everything with -v, to programs as YAML too', async () => {
    const {stdout} = await cluster.as('bob', ['db', 'ls', '-v'])
    expect(stdout).toMatch(/Protocol Type +URI +Allowed Users +Health +Labels/)
    expect(stdout).toMatch(/^aurora +postgres self-hosted 127\.0\.0\.1:1 +\[reader\]/m)
    const yaml = parse((await cluster.as('bob', ['db', 'ls', '-f', 'yaml'])).stdout) as unknown[]
    expect(yaml[0]).toMatchObject({kind: 'db', users: {allowed: ['reader'], denied: []}})
  })
})

describe('db login', () => {
  it('takes the only user and name that are allowed, and says which name', async () => {
    const {code, stdout, stderr} = await cluster.as('bob', ['db', 'login', 'aurora'])
    expect(code).toBe(0)
    expect(stderr).toContain('Using database name "shop"')
    expect(stdout).toContain('postern db connect aurora')
    const files = new ProfileStore(homeOf('bob'))
    const profile = await files.read()
    if (!profile) throw new Error('no profile')
    const {key, certificate} = files.databases(profile).files('aurora')
    const leaf = new X509Certificate(await readFile(certificate))
    expect(leaf.checkPrivateKey(createPrivateKey(await readFile(key)))).toBe(true)
    expect(Date.parse(leaf.validTo)).toBeLessThanOrEqual(Date.parse(profile.expires))
  })

  it('shows up in db ls and in status', async () => {
    await cluster.as('alice', ['db', 'login', '--db-user=alice', '--db-name', 'postgres', 'aurora'])
    const {stdout} = await cluster.as('alice', ['db', 'ls'])
    expect(stdout).toMatch(/Labels +Connect$/m)
    expect(stdout).toMatch(/^> aurora \(user: alice, db: postgres\) .* postern db connect aurora$/m)
    expect((await cluster.as('alice', ['status'])).stdout).toContain('Databases:          aurora')
  })

  it('asks for the user where several are allowed', async () => {
    await cluster.as('alice', ['db', 'logout'])
    const {code, stderr} = await cluster.as('alice', ['db', 'login', 'my-redshift'])
    expect(code).toBe(2)
    expect(stderr).toContain('--db-user')
    const named = await cluster.as('alice', ['db', 'login', 'my-redshift', '--db-user=role/redshift-user-role'])
    expect(named.stdout).toContain('as user "role/redshift-user-role"')
  })

  it.each([
    [['nope'], 5, 'postern db ls'],
    [['nope', '--db-user=a', '--db-name=b'], 5, 'postern db ls'],
    [['--labels=env=none', '--db-user=a'], 5, 'env=none'],
    [['--labels=nonsense'], 2, 'not a label'],
    [['a.b', '--db-user=a', '--db-name=b'], 5, 'a.b'],
  ])('%j ends with exit code %d', async (words, code, said) => {
    const failed = await cluster.as('alice', ['db', 'login', ...words])
    expect(failed.code).toBe(code)
    expect(failed.stderr).toContain(said)
  })

  it('selects by labels, and names all that match when they are several', async () => {
    const one = await cluster.as('alice', ['db', 'login', '--labels=env=dev', '--db-user=a', '--db-name=b'])
    expect(one.stdout).toContain('database "my-redshift"')
    await cluster.as('alice', ['db', 'logout'])
    const none = await cluster.as('alice', ['db', 'login'])
    expect(none.code).toBe(2)
  })

  it('finds nothing for somebody who may not see it', async () => {
    expect((await cluster.as('carol', ['db', 'login', 'aurora', '--db-user=a', '--db-name=b'])).code).toBe(5)
    expect((await cluster.as('carol', ['db', 'login', 'aurora'])).code).toBe(5)
  })

  it('with an identity file works and keeps nothing', async () => {
    const out = join(cluster.directory, 'bob.pem')
    await cluster.admin(['auth', 'sign', '--user=bob', `--out=${out}`])
    const {code, stderr} = await cluster.as('nobody', ['db', 'login', 'aurora', '-i', out])
    expect(code).toBe(0)
    expect(stderr).toContain('nothing is kept')
    await expect(readdir(homeOf('nobody'))).rejects.toThrow()
  })
})
