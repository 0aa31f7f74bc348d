import {readdir, rm} from 'node:fs/promises'
import {join} from 'node:path'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {ProfileStore} from '../../src/lib/config/profile.js'
import {password, startTestCluster, type TestCluster} from './cluster.js'

let cluster: TestCluster

beforeAll(async () => {
  cluster = await startTestCluster()
  await cluster.addUser('alice', ['--roles=access,editor', '--logins=ubuntu'])
  await cluster.addUser('email@example.com', ['--roles=access'])
})

afterAll(async () => {
  await cluster.stop()
})

const homeOf = (person: string): string => join(cluster.directory, 'homes', person)
const input = `${password}\n`

describe('status', () => {
  it('without a login ends with exit code 3', async () => {
    const {code, stdout, stderr} = await cluster.as('stranger', ['status'])
    expect({code, stdout}).toEqual({code: 3, stdout: ''})
    expect(stderr).toContain('postern login --proxy=HOST')
  })

  it('shows an administrator the cluster, then the login', async () => {
    await cluster.logIn('alice')
    const {stdout} = await cluster.as('alice', ['status'])
    expect(stdout).toMatch(
      /^Cluster {2}example\.com\nVersion {2}0\.1\.0\nCA pin {3}sha256:[0-9a-f]{64}\nAudit {4}events are kept for 400d, .*\n\n> Profile URL:/,
    )
  })

  it('gives programs the login, the others, and the environment', async () => {
    await cluster.logIn('email@example.com')
    const {stdout} = await cluster.as('email@example.com', ['status', '--format=json'])
    const data = JSON.parse(stdout) as Record<string, unknown>
    expect(data).toMatchObject({
      active: {
        profile_url: `https://${cluster.proxy}`,
        username: 'email@example.com',
        cluster: 'example.com',
        roles: ['access'],
        databases: [],
      },
      profiles: [],
      environment: {POSTERN_HOME: homeOf('email@example.com')},
    })
  })

  it('of an expired login prints it and ends with exit code 3', async () => {
    await cluster.logIn('alice')
    await expire('alice')
    const {code, stdout, stderr} = await cluster.as('alice', ['status'])
    expect(code).toBe(3)
    expect(stdout).toContain('[EXPIRED]')
    expect(stderr).toContain(`postern login --proxy=${cluster.proxy} --user=alice`)
    for (const words of [
      ['db', 'ls'],
      ['get', 'role'],
      ['db', 'login', 'x', '--db-user=a', '--db-name=b'],
    ]) {
      expect((await cluster.as('alice', words)).code).toBe(3)
    }
  })

  it('where the cluster cannot be reached still shows the login', async () => {
    await cluster.logIn('alice')
    const store = new ProfileStore(homeOf('alice'))
    const profile = await store.read()
    if (!profile) throw new Error('no profile')
    const [credentials, hostAuthorities] = [await store.credentials(profile), await store.hostAuthorities(profile)]
    await store.save({...profile, proxy: {...profile.proxy, port: 1}}, {credentials, hostAuthorities})
    const {code, stdout, stderr} = await cluster.as('alice', ['status'])
    expect(code).toBe(0)
    expect(stdout).toContain('Logged in as:       alice')
    expect(stderr).toContain('could not be asked')
  })
})

async function expire(person: string): Promise<void> {
  const store = new ProfileStore(homeOf(person))
  const profile = await store.read()
  if (!profile) throw new Error('no profile')
  const [credentials, hostAuthorities] = [await store.credentials(profile), await store.hostAuthorities(profile)]
  await store.save({...profile, expires: new Date(Date.now() - 60_000).toISOString()}, {credentials, hostAuthorities})
}

describe('logout', () => {
  it('removes every login, and every file of theirs', async () => {
    await cluster.logIn('alice')
    const {code, stdout} = await cluster.as('alice', ['logout'])
    expect({code, stdout}).toEqual({code: 0, stdout: 'Logged out all users from all proxies.\n'})
    expect((await readdir(homeOf('alice'), {recursive: true})).filter((name) => name !== 'keys')).toEqual([])
    expect((await cluster.as('alice', ['logout'])).stdout).toBe('All users logged out.\n')
    expect((await cluster.as('alice', ['db', 'ls'])).code).toBe(3)
  })

  it('of one proxy and user', async () => {
    await cluster.logIn('alice')
    const wrong = await cluster.as('alice', ['logout', `--proxy=${cluster.proxy}`, '--user=bob'])
    expect(wrong.code).toBe(3)
    const right = await cluster.as('alice', ['logout', `--proxy=${cluster.proxy}`, '--user=alice'])
    expect(right.stdout).toBe('Logged out alice from 127.0.0.1.\n')
    expect((await cluster.as('alice', ['logout', '--user=alice'])).code).toBe(2)
  })

  it('--everywhere voids the certificates that are elsewhere', async () => {
    await cluster.logIn('alice')
    const laptop = join(cluster.directory, 'laptop.pem')
    await cluster.as('alice', ['login', '--password-stdin', `--out=${laptop}`], {input})
    expect((await cluster.as('nobody', ['db', 'ls', '-i', laptop])).code).toBe(0)
    expect((await cluster.as('alice', ['logout', '--everywhere'])).code).toBe(0)
    expect((await cluster.as('nobody', ['db', 'ls', '-i', laptop])).code).not.toBe(0)
    await rm(laptop)
  })
})

describe('invite accept', () => {
  it('sets the password once', async () => {
    const added = await cluster.admin(['users', 'add', '--roles=access', 'grace', '--format=json'])
    const {url} = JSON.parse(added.stdout) as {url: string}
    const words = ['invite', 'accept', url, '--password-stdin', `--ca-pin=${cluster.caPin}`]
    const {code, stdout} = await cluster.as('grace', words, {input})
    expect(code).toBe(0)
    expect(stdout).toContain(`postern login --proxy=${cluster.proxy} --user=grace`)
    const again = await cluster.as('grace', words, {input})
    expect(again.code).toBe(5)
    expect(again.stderr).not.toContain(url.slice(-32))
    expect((await cluster.logIn('grace')).code).toBe(0)
  })

  it('refuses what is no link, and a terminal that is none', async () => {
    expect((await cluster.as('grace', ['invite', 'accept', 'https://example.com/', '--password-stdin'])).code).toBe(2)
    const url = `https://${cluster.proxy}/web/invite/${'0'.repeat(32)}`
    expect((await cluster.as('grace', ['invite', 'accept', url])).code).toBe(2)
  })
})
