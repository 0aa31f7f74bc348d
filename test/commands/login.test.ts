import {readdir, readFile, stat} from 'node:fs/promises'
import {join} from 'node:path'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {ProfileStore} from '../../src/lib/config/profile.js'
import {freePort} from '../helpers/cli.js'
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

describe('login', () => {
  it('prints the login, and keeps it in files that only the user can read', async () => {
    const {code, stdout, stderr} = await cluster.logIn('alice')
    expect({code, stderr}).toEqual({code: 0, stderr: ''})
    expect(stdout).toMatch(
      new RegExp(
        `^> Profile URL: {8}https://${cluster.proxy}
  Logged in as: {7}alice
  Cluster: {12}example\\.com
  Roles: {14}access, editor
  Logins: {13}ubuntu
  Valid until: {8}\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d \\+0000 UTC \\[valid for (12h0m0s|11h5\\dm0s)\\]
$`,
      ),
    )
    const files = await readdir(homeOf('alice'), {recursive: true})
    expect(files.sort()).toEqual([
      '127.0.0.1.json',
      'current-profile',
      'keys',
      'keys/127.0.0.1',
      'keys/127.0.0.1/alice.crt',
      'keys/127.0.0.1/alice.key',
      'keys/127.0.0.1/host-ca.pem',
    ])
    expect((await stat(join(homeOf('alice'), 'keys/127.0.0.1/alice.key'))).mode & 0o777).toBe(0o600)
  })

  it('takes an address of electronic mail as user', async () => {
    expect((await cluster.logIn('email@example.com')).code).toBe(0)
    const {stdout} = await cluster.as('email@example.com', ['status'])
    expect(stdout).toContain('Logged in as:       email@example.com')
  })

  it('while one is logged in asks for nothing, without a terminal too', async () => {
    await cluster.logIn('alice')
    const {code, stdout} = await cluster.as('alice', ['login', `--proxy=${cluster.proxy}`, '--user=alice'])
    expect(code).toBe(0)
    expect(stdout).toContain('Logged in as:       alice')
    expect((await cluster.as('alice', ['login', '--format=json'])).stdout).toContain('"username": "alice"')
  })

  it('of another user, or for another time, asks for a password, and needs a terminal for that', async () => {
    await cluster.logIn('alice')
    for (const flag of ['--user=bob', '--ttl=60']) {
      const {code, stderr} = await cluster.as('alice', ['login', flag])
      expect(code).toBe(2)
      expect(stderr).toContain('--password-stdin')
    }
  })

  it('lasts as long as was asked for', async () => {
    await cluster.logIn('alice', ['--ttl=30'])
    expect((await cluster.as('alice', ['status'])).stdout).toMatch(/valid for (30|2[5-9])m0s/)
  })

  it('again knows the cluster by its CA, without a pin', async () => {
    await cluster.logIn('alice')
    const again = await cluster.as('alice', ['login', '--password-stdin', '--ttl=60'], {input})
    expect(again.code).toBe(0)
    // With the port left out, the one of the profile is meant.
    const withoutPort = await cluster.as('alice', ['login', '--proxy=127.0.0.1', '--password-stdin'], {input})
    expect(withoutPort.code).toBe(0)
  })

  it('for the first time trusts nobody without a reason', async () => {
    const words = ['login', `--proxy=${cluster.proxy}`, '--user=alice', '--password-stdin']
    const nothing = await cluster.as('stranger', words, {input})
    expect(nothing.code).toBe(7)
    expect(nothing.stderr).toContain('--ca-pin')
    const wrong = await cluster.as('stranger', [...words, `--ca-pin=sha256:${'0'.repeat(64)}`], {input})
    expect(wrong.code).toBe(7)
    expect(wrong.stderr).toContain('another host CA than the one that was pinned')
    await expect(readdir(homeOf('stranger'))).rejects.toThrow()
  })

  it('takes the pin from the environment, a CA file, or nothing at the price it names', async () => {
    const words = ['login', `--proxy=${cluster.proxy}`, '--user=alice', '--password-stdin', '--format=json']
    const pinned = {input, environment: {POSTERN_CA_PIN: cluster.caPin}}
    expect((await cluster.as('pinned', words, pinned)).code).toBe(0)
    const {stdout} = await cluster.admin(['auth', 'export', '--type=host'])
    const store = new ProfileStore(homeOf('pinned'))
    const profile = await store.read()
    expect(profile && (await store.hostAuthorities(profile)).join('').trim()).toBe(stdout.trim())
    const caFile = profile ? store.hostAuthoritiesFile(profile) : ''
    expect((await cluster.as('by-file', [...words, `--ca-file=${caFile}`], {input})).code).toBe(0)
    const careless = await cluster.as('careless', [...words, '--insecure'], {input})
    expect(careless.code).toBe(0)
    expect(careless.stderr).toContain('can read the password')
  })

  it('with a wrong password is denied, and an implied user is named', async () => {
    const words = ['login', `--proxy=${cluster.proxy}`, '--password-stdin', `--ca-pin=${cluster.caPin}`]
    const named = await cluster.as('stranger', [...words, '--user=alice'], {input: 'wrong wrong wrong\n'})
    expect(named.code).toBe(4)
    expect(named.stderr).not.toContain('--user')
    const implied = await cluster.as('stranger', words, {input: 'wrong wrong wrong\n'})
    expect(implied.code).toBe(4)
    expect(implied.stderr).toContain('--user names somebody else')
    const json = await cluster.as('stranger', [...words, '--format=json'], {input: 'wrong wrong wrong\n'})
    expect(JSON.parse(json.stderr)).toMatchObject({error: {code: 'ACCESS_DENIED'}})
  })

  it('where nothing listens says so', async () => {
    const port = await freePort()
    const words = ['login', `--proxy=127.0.0.1:${port}`, '--user=alice', '--password-stdin']
    const {code, stderr} = await cluster.as('stranger', words, {input})
    expect(code).toBe(7)
    expect(stderr).toContain(`127.0.0.1:${port}`)
    const unknown = await cluster.as('stranger', ['login', '--password-stdin'], {input})
    expect(unknown.code).toBe(2)
    expect(unknown.stderr).toContain('--proxy=HOST')
  })

  it('--out writes an identity file and keeps no login', async () => {
    const out = join(cluster.directory, 'alice.pem')
    const words = ['login', `--proxy=${cluster.proxy}`, '--user=alice', '--password-stdin', `--ca-pin=${cluster.caPin}`]
    const {code, stderr} = await cluster.as('nobody', [...words, `--out=${out}`], {input})
    expect(code).toBe(0)
    expect(stderr).toContain(out)
    expect(await readFile(out, 'utf8')).toMatch(/^postern identity: .*"user":"alice"/)
    await expect(readdir(homeOf('nobody'))).rejects.toThrow()
    expect((await cluster.as('nobody', ['db', 'ls', '-i', out])).code).toBe(0)
    expect((await cluster.as('nobody', [...words, `--out=${out}`], {input})).code).toBe(6)
    expect((await cluster.as('nobody', [...words, `--out=${out}`, '--overwrite'], {input})).code).toBe(0)
  })
})
