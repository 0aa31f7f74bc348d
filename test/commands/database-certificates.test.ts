import {readdir, readFile, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {runShell} from '../helpers/cli.js'
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
  ])
  stopAgent = await startTestAgent(cluster, [
    {name: 'my-redshift', description: 'Redshift in us-west-1', labels: 'env: dev'},
    {name: 'aurora', labels: 'env: prod, team: shop'},
  ])
  await Promise.all(['alice', 'bob', 'carol'].map((person) => cluster.logIn(person)))
})

afterAll(async () => {
  await stopAgent()
  await cluster.stop()
})

const homeOf = (person: string): string => join(cluster.directory, 'homes', person)

describe('db env and config', () => {
  it('print what libpq needs, in words that a shell takes', async () => {
    await cluster.as('bob', ['db', 'login', 'aurora'])
    const environment = {POSTERN_HOME: homeOf('bob')}
    const {stdout} = await runShell('eval "$(postern db env)"; env | grep ^PG | sort', {environment})
    expect(stdout.split('\n').map((line) => line.split('=')[0])).toEqual([
      ...['PGDATABASE', 'PGGSSENCMODE', 'PGHOST', 'PGHOSTADDR', 'PGPORT', 'PGSSLCERT', 'PGSSLKEY', 'PGSSLMODE'],
      ...['PGSSLROOTCERT', 'PGSSLSNI', 'PGUSER', ''],
    ])
    expect(stdout).toContain('PGHOST=aurora.db.example.com\n')
    const json = JSON.parse((await cluster.as('bob', ['db', 'env', 'aurora', '-f', 'json'])).stdout) as unknown
    expect(json).toMatchObject({PGUSER: 'reader', PGDATABASE: 'shop', PGSSLMODE: 'verify-full'})
  })

  it('print a block, or the command', async () => {
    const {stdout} = await cluster.as('bob', ['db', 'config', 'aurora'])
    expect(stdout).toMatch(
      /^Name: {6}aurora\nHost: {6}aurora\.db\.example\.com\nAddress: {3}127\.0\.0\.1\nPort: {6}\d+\n/,
    )
    const command = await cluster.as('bob', ['db', 'config', '--format=cmd', 'aurora'])
    expect(command.stdout).toMatch(
      /^psql "host=aurora\.db\.example\.com hostaddr=127\.0\.0\.1 .*gssencmode=disable"\n$/,
    )
  })

  it('renew a certificate that has expired', async () => {
    const keys = join(homeOf('bob'), 'keys')
    const [file = ''] = (await readdir(keys, {recursive: true})).filter((name) => name.endsWith('aurora.json'))
    const read = async (): Promise<{certificate: string; expires: string}> =>
      JSON.parse(await readFile(join(keys, file), 'utf8')) as Awaited<ReturnType<typeof read>>
    const before = await read()
    await writeFile(join(keys, file), JSON.stringify({...before, expires: '2020-01-01T00:00:00.000Z'}))
    const {code, stdout} = await cluster.as('bob', ['db', 'env', 'aurora', '-f', 'json'])
    expect(code).toBe(0)
    const after = await read()
    expect(Date.parse(after.expires)).toBeGreaterThan(Date.now())
    expect(after.certificate).not.toBe(before.certificate)
    const {PGSSLCERT = ''} = JSON.parse(stdout) as Record<string, string>
    expect(await readFile(PGSSLCERT, 'utf8')).toBe(after.certificate)
  })

  it('before a login to the database end with exit code 3', async () => {
    expect((await cluster.as('bob', ['db', 'env', 'my-redshift'])).code).toBe(3)
    expect((await cluster.as('carol', ['db', 'config'])).code).toBe(3)
    expect((await cluster.as('stranger', ['db', 'env'])).code).toBe(3)
  })
})

describe('db logout', () => {
  it('removes one database, or all', async () => {
    for (const name of ['aurora', 'my-redshift']) {
      await cluster.as('alice', ['db', 'login', name, '--db-user=a', '--db-name=b'])
    }
    const one = await cluster.as('alice', ['db', 'logout', 'my-redshift'])
    expect(one.stdout).toBe('Logged out of database my-redshift\n')
    const gone = await cluster.as('alice', ['db', 'logout', 'my-redshift'])
    expect(gone.code).toBe(3)
    expect((await cluster.as('alice', ['db', 'logout'])).stdout).toBe('Logged out of all databases\n')
    const files = await readdir(join(homeOf('alice'), 'keys'), {recursive: true})
    expect(files.filter((name) => /aurora|redshift/.test(name))).toEqual([])
  })
})
