import {mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import {DatabaseCertificateMemory, type DatabaseCertificate} from '../../../src/lib/config/database-certificates.js'
import {fileName, ProfileStore, type Profile} from '../../../src/lib/config/profile.js'
import {Secret} from '../../../src/lib/core/secret.js'

let home = ''
let store: ProfileStore

beforeEach(async () => {
  home = join(await mkdtemp(join(tmpdir(), 'profile-')), '.postern')
  store = new ProfileStore(home)
})

afterEach(async () => {
  await rm(join(home, '..'), {recursive: true, force: true})
})

function profileOf(user: string, host = 'proxy.example.com'): Profile {
  return {
    proxy: {host, port: 443},
    user,
    cluster: 'example.com',
    roles: ['access'],
    traits: {db_users: ['*']},
    expires: '2026-11-21T10:00:00.000Z',
  }
}

const pem = (content: string): string => `-----BEGIN CERTIFICATE-----\n${content}\n-----END CERTIFICATE-----\n`
const material = {
  credentials: {certificate: pem('bGVhZg=='), privateKey: new Secret('the private key\n')},
  hostAuthorities: [pem('b25l'), pem('dHdv')],
}
const certificateOf = (database: string, certificate = pem('ZGI=')): DatabaseCertificate => ({
  route: {database, dbUser: 'alice', dbName: 'dev'},
  certificate,
  agents: ['a', 'b'],
  expires: '2026-11-21T10:00:00.000Z',
})

async function filesBelow(directory: string): Promise<{path: string; mode: number; isDirectory: boolean}[]> {
  const names = await readdir(directory, {recursive: true})
  return Promise.all(
    names.sort().map(async (path) => {
      const found = await stat(join(directory, path))
      return {path, mode: found.mode & 0o777, isDirectory: found.isDirectory()}
    }),
  )
}

describe('a stored login', () => {
  it('is read back with its certificate, key and host CA', async () => {
    await store.save(profileOf('alice'), material)
    const profile = await store.read()
    expect(profile).toEqual(profileOf('alice'))
    expect(await store.read('proxy.example.com')).toEqual(profileOf('alice'))
    expect(await store.read('other.example.com')).toBeUndefined()
    const credentials = await store.credentials(profileOf('alice'))
    expect(credentials.certificate).toBe(material.credentials.certificate)
    expect(credentials.privateKey.reveal()).toBe('the private key\n')
    expect(await store.hostAuthorities(profileOf('alice'))).toEqual(material.hostAuthorities)
  })

  it('is readable by its owner only, each file and directory', async () => {
    await store.save(profileOf('alice'), material)
    await store.databases(profileOf('alice')).privateKey('aurora')
    await store.databases(profileOf('alice')).save(certificateOf('aurora'))
    const files = await filesBelow(home)
    expect(files.map(({path}) => path)).toEqual([
      'current-profile',
      'keys',
      'keys/proxy.example.com',
      'keys/proxy.example.com/alice-db',
      'keys/proxy.example.com/alice-db/example.com',
      'keys/proxy.example.com/alice-db/example.com/aurora.crt',
      'keys/proxy.example.com/alice-db/example.com/aurora.json',
      'keys/proxy.example.com/alice-db/example.com/aurora.key',
      'keys/proxy.example.com/alice.crt',
      'keys/proxy.example.com/alice.key',
      'keys/proxy.example.com/host-ca.pem',
      'proxy.example.com.json',
    ])
    for (const {mode, isDirectory} of files) expect(mode).toBe(isDirectory ? 0o700 : 0o600)
    expect((await stat(home)).mode & 0o777).toBe(0o700)
  })

  it('keeps no private key in the profile or beside a database certificate', async () => {
    await store.save(profileOf('alice'), material)
    const files = store.databases(profileOf('alice')).files('aurora')
    const key = await store.databases(profileOf('alice')).privateKey('aurora')
    await store.databases(profileOf('alice')).save(certificateOf('aurora'))
    const others = [join(home, 'proxy.example.com.json'), files.description, files.certificate]
    for (const file of others) {
      const text = await readFile(file, 'utf8')
      expect(text).not.toContain('PRIVATE KEY')
      expect(text).not.toContain(key.reveal().slice(40, 80))
    }
  })

  it.each(['email@example.com', '../../etc/passwd', '.', '..', 'ä b\\c:d', 'x'.repeat(256), 'nul\u0000byte', '-rf'])(
    'takes the user name %j, and stays inside its directory',
    async (user) => {
      await store.save(profileOf(user), material)
      expect((await store.read())?.user).toBe(user)
      expect((await store.credentials(profileOf(user))).privateKey.reveal()).toBe('the private key\n')
      const keys = await readdir(join(home, 'keys', 'proxy.example.com'))
      expect(keys).toHaveLength(3)
      for (const name of keys) expect(name).toMatch(/^[A-Za-z0-9@_+=.%~-]{1,200}$/)
      expect(await readdir(join(home, '..'))).toEqual(['.postern'])
    },
  )

  it('replaces the login before it, with its database certificates', async () => {
    await store.save(profileOf('alice'), material)
    await store.databases(profileOf('alice')).save(certificateOf('aurora'))
    await store.save(profileOf('bob'), material)
    expect((await filesBelow(home)).filter(({path}) => path.includes('alice'))).toEqual([])
  })

  it('survives damage elsewhere in the home, and names the file when it is damaged itself', async () => {
    await store.save(profileOf('alice'), material)
    await writeFile(join(home, 'stranger.json'), '[]')
    expect(await store.list()).toHaveLength(1)
    await writeFile(join(home, 'proxy.example.com.json'), '{"user":')
    await expect(store.read()).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining(home),
    })
  })

  it('says so when its key has gone', async () => {
    await store.save(profileOf('alice'), material)
    await rm(join(home, 'keys'), {recursive: true})
    await expect(store.credentials(profileOf('alice'))).rejects.toMatchObject({code: 'NOT_LOGGED_IN'})
  })
})

describe('several logins', () => {
  it('are listed with the one in use first', async () => {
    await store.save(profileOf('alice', 'a.example.com'), material)
    await store.save(profileOf('bob', 'b.example.com'), material)
    await store.save(profileOf('carol', 'c.example.com'), material)
    await store.use(profileOf('bob', 'b.example.com'))
    expect((await store.list()).map(({user}) => user)).toEqual(['bob', 'alice', 'carol'])
  })

  it('put another in use when the one in use is removed', async () => {
    await store.save(profileOf('alice', 'a.example.com'), material)
    await store.save(profileOf('bob', 'b.example.com'), material)
    await store.remove(profileOf('bob', 'b.example.com'))
    expect((await store.read())?.user).toBe('alice')
    await store.remove(profileOf('alice', 'a.example.com'))
    expect(await store.read()).toBeUndefined()
    expect(await store.list()).toEqual([])
    expect((await filesBelow(home)).filter(({isDirectory}) => !isDirectory)).toEqual([])
  })
})

describe('database certificates', () => {
  it('are found whatever the case of the name, and listed', async () => {
    const databases = store.databases(profileOf('alice'))
    await databases.save(certificateOf('Aurora'))
    await databases.save(certificateOf('shop'))
    expect((await databases.read('AURORA'))?.route.database).toBe('Aurora')
    expect((await databases.list()).map(({route}) => route.database)).toEqual(['Aurora', 'shop'])
    expect(await databases.remove('aurora')).toBe(true)
    expect(await databases.remove('aurora')).toBe(false)
    expect((await databases.list()).map(({route}) => route.database)).toEqual(['shop'])
  })

  it('share one key per database, also when many commands make it at once', async () => {
    const keys = await Promise.all(
      Array.from({length: 16}, () => new ProfileStore(home).databases(profileOf('alice')).privateKey('aurora')),
    )
    expect(new Set(keys.map((key) => key.reveal())).size).toBe(1)
    const again = await store.databases(profileOf('alice')).privateKey('Aurora')
    expect(again.reveal()).toBe(keys[0]?.reveal())
  })

  it('are whole at every moment, while others replace them', async () => {
    const databases = store.databases(profileOf('alice'))
    const long = pem('x'.repeat(100_000))
    await databases.save(certificateOf('aurora', long))
    const state = {writing: true}
    const reader = (async () => {
      const lengths = new Set<number>()
      while (state.writing) lengths.add((await databases.read('aurora'))?.certificate.length ?? -1)
      return lengths
    })()
    for (let turn = 0; turn < 30; turn += 1) {
      await databases.save(certificateOf('aurora', turn % 2 === 0 ? pem('short') : long))
    }
    state.writing = false
    const allowed = [long.length, pem('short').length]
    for (const length of await reader) expect(allowed).toContain(length)
  })

  it('count as absent when their file is damaged', async () => {
    const databases = store.databases(profileOf('alice'))
    await databases.save(certificateOf('aurora'))
    await writeFile(databases.files('aurora').description, '{')
    expect(await databases.read('aurora')).toBeUndefined()
  })

  it.each(['../alice', 'a/b', '', 'a.b', '.hidden'])('refuse the name %j', (name) => {
    expect(() => store.databases(profileOf('alice')).files(name)).toThrow(expect.objectContaining({code: 'NOT_FOUND'}))
  })

  it('of an identity file live in memory only', async () => {
    const memory = new DatabaseCertificateMemory()
    await memory.save(certificateOf('Aurora'))
    expect((await memory.read('aurora'))?.route.dbUser).toBe('alice')
    expect(await memory.privateKey('aurora')).toBe(await memory.privateKey('AURORA'))
    expect(await memory.list()).toHaveLength(1)
    expect(await memory.remove('aurora')).toBe(true)
  })
})

it('a file that cannot be written is named in the error', async () => {
  await mkdir(join(home, 'current-profile'), {recursive: true})
  await expect(store.save(profileOf('alice'), material)).rejects.toMatchObject({
    code: 'FAILED',
    message: expect.stringContaining(join(home, 'current-profile')),
  })
  // And nothing half-written stays beside it.
  expect((await filesBelow(home)).filter(({path}) => /\.[0-9a-f]{12}$/.test(path))).toEqual([])
})

it('different names have different files', () => {
  const names = ['a', 'A', 'a%', 'a%25', 'ä', 'a/b', 'a%2Fb', 'y'.repeat(120), 'y'.repeat(121)]
  expect(new Set(names.map(fileName)).size).toBe(names.length)
})
