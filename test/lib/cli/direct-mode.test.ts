import {execFileSync} from 'node:child_process'
import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import {describeDirect, libpqVariables, psqlCommand, quoteWord} from '../../../src/lib/cli/direct-mode.js'
import {ProfileStore, type Profile} from '../../../src/lib/config/profile.js'
import {Secret} from '../../../src/lib/core/secret.js'
import {systemClock} from '../../../src/lib/core/clock.js'

const hour = 3_600_000
const pem = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n'
let home = ''
let store: ProfileStore
let profile: Profile

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'direct-'))
  store = new ProfileStore(home)
  profile = {
    // Nobody listens there.
    proxy: {host: '127.0.0.1', port: 1},
    user: 'alice',
    cluster: 'example.com',
    roles: [],
    traits: {},
    expires: new Date(Date.now() + hour).toISOString(),
  }
  await store.save(profile, {credentials: {certificate: pem, privateKey: new Secret('key')}, hostAuthorities: [pem]})
})

afterEach(async () => {
  await rm(home, {recursive: true, force: true})
})

const surroundings = (): Parameters<typeof describeDirect>[1] => ({
  environment: {home, rootsFile: undefined, caPins: []},
  clock: systemClock,
})

async function keep(database: string, {dbUser = 'alice', dbName = 'dev', left = hour} = {}): Promise<void> {
  await store.databases(profile).save({
    route: {database, dbUser, dbName},
    certificate: pem,
    agents: [],
    expires: new Date(Date.now() + left).toISOString(),
  })
}

describe('what other clients need', () => {
  it('is the route as host, the proxy as address, and the files', async () => {
    await keep('Orders')
    const direct = await describeDirect({}, {...surroundings(), database: 'orders'})
    expect(libpqVariables(direct)).toEqual({
      PGHOST: 'orders.db.example.com',
      PGHOSTADDR: '127.0.0.1',
      PGPORT: '1',
      PGUSER: 'alice',
      PGDATABASE: 'dev',
      PGSSLMODE: 'verify-full',
      PGSSLROOTCERT: join(home, 'keys/127.0.0.1/host-ca.pem'),
      PGSSLCERT: join(home, 'keys/127.0.0.1/alice-db/example.com/orders.crt'),
      PGSSLKEY: join(home, 'keys/127.0.0.1/alice-db/example.com/orders.key'),
      PGSSLSNI: '1',
      PGGSSENCMODE: 'disable',
    })
  })

  it('is of the only database when none is named', async () => {
    await keep('orders')
    expect((await describeDirect({}, surroundings())).name).toBe('orders')
    await keep('shop')
    await expect(describeDirect({}, surroundings())).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('orders, shop'),
    })
  })

  it('does not exist before `db login`, and not when the certificate has expired and the cluster does not answer', async () => {
    await expect(describeDirect({}, {...surroundings(), database: 'orders'})).rejects.toMatchObject({
      code: 'NOT_LOGGED_IN',
      hints: ['Run `postern db login orders`.'],
    })
    await keep('orders', {left: -1000})
    await expect(describeDirect({}, surroundings())).rejects.toMatchObject({code: 'UNREACHABLE'})
  })

  it('does not exist for an identity file', async () => {
    await expect(describeDirect({identity: 'file'}, surroundings())).rejects.toMatchObject({code: 'USAGE'})
  })

  it('is a psql command that survives the shell and libpq, whatever the names are', async () => {
    await keep('orders', {dbUser: `it's "a" \\user $HOME \`id\``, dbName: 'two words'})
    const direct = await describeDirect({}, surroundings())
    const command = psqlCommand(direct)
    const words = execFileSync('sh', [
      '-c',
      `show() { for word; do printf '%s\\0' "$word"; done; }; ${command.replace(/^psql/, 'show')}`,
    ])
    const [conninfo = '', rest] = words.toString().split('\0')
    expect(rest).toBe('')
    const read = (name: string): string | undefined => {
      const value = new RegExp(`${name}=('(?:[^'\\\\]|\\\\.)*'|\\S+)`).exec(conninfo)?.[1]
      return value?.startsWith("'") ? value.slice(1, -1).replace(/\\(.)/g, '$1') : value
    }
    expect(read('user')).toBe(direct.user)
    expect(read('dbname')).toBe('two words')
    expect(read('hostaddr')).toBe('127.0.0.1')
    expect(read('sslmode')).toBe('verify-full')
  })
})

it.each(['plain', 'two words', `it's`, '$HOME', '`id`', '"', 'a\\b', '!!', 'é', '*'])(
  'a shell reads %j back from its quotes',
  (word) => {
    expect(execFileSync('sh', ['-c', `printf %s ${quoteWord(word)}`]).toString()).toBe(word)
  },
)
