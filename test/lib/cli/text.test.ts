import {describe, expect, it} from '@jest/globals'
import {parse} from 'yaml'
import {parseMoment, renderEvents} from '../../../src/lib/cli/audit-text.js'
import {databaseData, renderDatabases, searchDatabases} from '../../../src/lib/cli/database-text.js'
import {parseInvite} from '../../../src/lib/cli/invite-link.js'
import {renderInvite} from '../../../src/lib/cli/invite-text.js'
import {parseTtl} from '../../../src/lib/cli/login.js'
import {formatData} from '../../../src/lib/cli/output.js'
import {readPassword} from '../../../src/lib/cli/prompt.js'
import {candidateAddresses, parseProxyAddress} from '../../../src/lib/cli/proxy-address.js'
import {describeResource, hideSecrets, renderResources, renderYaml} from '../../../src/lib/cli/resource-text.js'
import {fitRows, renderSessions} from '../../../src/lib/cli/session-text.js'
import {clusterData, profileData, renderCluster, renderProfile} from '../../../src/lib/cli/status-text.js'
import {parseJoinRoles, renderJoinInstructions, renderTokens} from '../../../src/lib/cli/token-text.js'
import {checkVersion} from '../../../src/lib/cli/version.js'
import type {FindResponse} from '../../../src/lib/api/responses.js'
import {parseDocuments} from '../../../src/lib/resources/document.js'
import {parseResource} from '../../../src/lib/resources/resource.js'
import type {Token} from '../../../src/lib/resources/token.js'
import {discoveredNameLabel} from '../../../src/lib/cli/database-selection.js'
import {visible} from './visible.js'

const now = Date.parse('2026-11-20T22:00:00Z')

describe('status', () => {
  const profile = {
    proxy: {host: 'proxy.example.com', port: 443},
    user: 'alice',
    cluster: 'example.com',
    roles: ['access', 'db'],
    traits: {logins: ['ubuntu']},
    expires: '2026-11-21T10:00:00.123Z',
  }

  it('prints a login with its values in column 23', () => {
    const data = profileData({profile, databases: ['aurora', 'my-redshift']})
    expect(renderProfile(data, {current: true, now})).toBe(`> Profile URL:        https://proxy.example.com:443
  Logged in as:       alice
  Cluster:            example.com
  Roles:              access, db
  Logins:             ubuntu
  Databases:          aurora, my-redshift
  Valid until:        2026-11-21 10:00:00 +0000 UTC [valid for 12h0m0s]`)
  })

  it.each([
    ['2026-11-20T22:00:20Z', '[valid for <1m]'],
    ['2026-11-20T22:29:50Z', '[valid for 30m0s]'],
    ['2026-11-20T22:00:00Z', '[EXPIRED]'],
  ])('of a login until %s says %s', (expires, said) => {
    const data = profileData({profile: {...profile, expires, traits: {}}, databases: []})
    const text = renderProfile(data, {current: false, now})
    expect(text).toContain(said)
    expect(text.startsWith('  Profile URL:')).toBe(true)
    expect(text).not.toMatch(/Databases|Logins/)
  })

  it('prints the cluster as the guides do', async () => {
    const status = {
      cluster: 'teleport.example.com',
      version: '18.7.3',
      caPins: ['sha256:abdc'],
      identity: {kind: 'user', name: 'alice', roles: []},
    } as const
    const lines = 'Cluster  teleport.example.com\nVersion  18.7.3\nCA pin   sha256:abdc'
    expect(await renderCluster(clusterData(status))).toBe(lines)
    const forEver = clusterData({...status, retention: {events: null, recordings: null}})
    expect(forEver.retention).toEqual({events: null, recordings: null})
    expect(await renderCluster(forEver)).toBe(lines)
    const limited = clusterData({...status, retention: {events: null, recordings: 90 * 86_400_000}})
    expect(limited.retention).toEqual({events: null, recordings: '90d'})
    expect(await renderCluster(limited)).toBe(
      `${lines}\nAudit    events are kept for ever, recordings are kept for 90d`,
    )
  })
})

describe('db ls', () => {
  const databases = [
    visible({
      name: 'aurora',
      description: 'Aurora in us-west-1',
      labels: {env: 'dev', 'postern.dev/origin': 'dynamic'},
    }),
    visible({name: 'shop-rds-us', labels: {[discoveredNameLabel]: 'shop'}, users: ['*'], deniedUsers: ['postgres']}),
  ]

  it('prints name, description and labels', async () => {
    expect(await renderDatabases(databases, {verbose: false, active: []})).toBe(
      [
        'Name   Description         Labels',
        '------ ------------------- -------',
        'aurora Aurora in us-west-1 env=dev',
        'shop',
      ].join('\n'),
    )
  })

  it('marks what is in use, with the command that connects', async () => {
    const active = [{database: 'aurora', dbUser: 'alice', dbName: 'postgres'}]
    const [head, , row] = (await renderDatabases(databases, {verbose: false, active})).split('\n')
    expect(head).toMatch(/Labels +Connect$/)
    expect(row).toMatch(/^> aurora \(user: alice, db: postgres\) .* postern db connect aurora$/)
  })

  it('prints everything with -v', async () => {
    const text = await renderDatabases(databases, {verbose: true, active: []})
    expect(text.split('\n')[0]).toMatch(/Name +Description +Protocol +Type +URI +Allowed Users +Health +Labels$/)
    expect(text).toContain('env=dev,postern.dev/origin=dynamic')
    expect(text).toContain('shop-rds-us')
    expect(text).toContain('[*], except: [postgres]')
  })

  it('searches for words in everything', () => {
    const found = (...words: string[]): string[] =>
      searchDatabases(databases, words).map(({database}) => database.metadata.name)
    expect(found('US-WEST')).toEqual(['aurora'])
    expect(found('shop')).toEqual(['shop-rds-us'])
    expect(found('dev', 'aurora')).toEqual(['aurora'])
    expect(found('dev', 'shop')).toEqual([])
    expect(found()).toHaveLength(2)
  })

  it('gives programs the resource and what the caller may be', () => {
    expect(databaseData(visible({name: 'aurora', users: ['*'], deniedUsers: ['x']}))).toMatchObject({
      kind: 'db',
      metadata: {name: 'aurora'},
      users: {allowed: ['*'], denied: ['x']},
    })
  })
})

describe('join tokens', () => {
  const token = {
    token: '0123456789abcdef0123456789abcdef',
    roles: ['Db'],
    expires: '2026-11-20T22:30:00Z',
    ttlSeconds: 1800,
    caPins: ['sha256:aa', 'sha256:bb'],
    proxy: 'proxy.example.com:443',
  }

  it('come with commands that work when they are copied', () => {
    const text = renderJoinInstructions(token, {name: 'aurora', uri: 'aurora.example.com:5432'})
    expect(text).toContain('It can be used for 30 minutes.')
    const command = /> (postern db configure create[^>]*?)\n\n/.exec(text)?.[1]?.replaceAll(/\\\n\s*/g, '')
    expect(command).toBe(
      'postern db configure create --token=0123456789abcdef0123456789abcdef --ca-pin=sha256:aa --ca-pin=sha256:bb --proxy=proxy.example.com:443 --name=aurora --protocol=postgres --uri=aurora.example.com:5432 --output=file:///etc/postern.yaml',
    )
    expect(text).toContain('> postern start -c /etc/postern.yaml')
  })

  it('for a proxy come with its configuration', () => {
    const text = renderJoinInstructions({...token, roles: ['Proxy']}, {})
    expect(text).toContain('auth_token: 0123456789abcdef0123456789abcdef')
    expect(text).toContain('    - sha256:aa\n    - sha256:bb')
  })

  it.each([
    [['db'], ['Db']],
    [
      ['Proxy', 'DB'],
      ['Proxy', 'Db'],
    ],
  ])('of types %j have the roles %j', (types, roles) => {
    expect(parseJoinRoles(types)).toEqual(roles)
  })

  it('have no other types', () => {
    expect(() => parseJoinRoles(['node'])).toThrow(expect.objectContaining({code: 'USAGE'}))
    expect(() => parseJoinRoles(['constructor'])).toThrow(expect.objectContaining({code: 'USAGE'}))
  })

  it('are listed masked, the one that ends first on top', async () => {
    const resource = (name: string, expires?: string): Token => ({
      kind: 'token',
      version: 'v2',
      metadata: {name, ...(expires === undefined ? {} : {expires})},
      spec: {roles: ['Db', 'Proxy'], join_method: 'token'},
    })
    const tokens = [resource('static-static'), resource(token.token, '2026-11-20T22:29:59Z')].map(
      hideSecrets,
    ) as Token[]
    const lines = (await renderTokens(tokens, now)).split('\n')
    expect(lines[0]).toMatch(/^Token +Type +Labels +Expiry Time \(UTC\)$/)
    expect(lines[2]).toMatch(/^\*{24}89abcdef +Db,Proxy +20 Nov 26 22:29 UTC \(29m59s\)$/)
    expect(lines[3]).toMatch(/never$/)
    expect(await renderTokens([], now)).toBe('No token is in force.')
  })
})

describe('resources', () => {
  const [role] = parseDocuments(
    'kind: role\nversion: v3\nmetadata: {name: db}\nspec: {allow: {db_users: ["*"], db_labels: {env: dev}}}',
  )

  it('are printed as YAML that can be read back', async () => {
    if (!role) throw new Error('no role')
    expect(parseDocuments(await renderYaml([role, role]))).toEqual([role, role])
    expect(await renderYaml([role])).not.toContain('---')
  })

  it('are named as sentences name them, tokens without their secret', () => {
    expect(describeResource('role', 'db')).toBe('role "db"')
    expect(describeResource('db_server', 'aurora')).toBe('database server "aurora"')
    expect(describeResource('token', '0123456789abcdef')).toBe('token "************cdef"')
  })

  it('of each kind have a table', async () => {
    const heads = {
      role: 'Role',
      user: 'There are no users.',
      token: 'No token is in force.',
      db: 'Name',
      db_server: 'Host',
      lock: 'ID',
    } as const
    for (const [kind, head] of Object.entries(heads)) {
      expect(await renderResources(kind as keyof typeof heads, [], now)).toMatch(new RegExp(`^${head}`))
    }
    if (!role) throw new Error('no role')
    expect(await renderResources('role', [role], now)).toMatch(/^db +\* +env=dev$/m)
  })
})

describe('data from elsewhere', () => {
  const hostile = {name: 'a\u001B[2J\u009B2Jb', note: 'exe.\u202Etxt', lines: 'one\ntwo', 'k\u0007': 1}

  it.each(['json', 'yaml'] as const)('as %s says what it is, and moves no cursor', async (format) => {
    const text = await formatData(format, hostile, () => '')
    expect(text).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}]/u)
    expect(parse(text)).toEqual(hostile)
  })

  it('is printed in snake_case alone: the compiler refuses other keys, at any depth, but those of the user', async () => {
    const text = (): string => ''
    // @ts-expect-error: the guard of all commands, which print with `formatData`
    await formatData('json', {hostId: 1}, text)
    // @ts-expect-error: the same further down
    await formatData('json', [{spec: {agents: [{hostId: 1}]}}], text)
    const labels: Record<string, string> = {Team: 'data'}
    expect(await formatData('json', {host_id: 1, labels}, text)).toContain('"Team"')
  })

  it('moves no cursor as text either', async () => {
    expect(await formatData('text', {}, () => 'a\u001B[2J\n\tb')).toBe('a\\u{1b}[2J\n\tb')
  })

  it('is read back from the YAML of resources', async () => {
    const resource = parseResource('role', {
      kind: 'role',
      version: 'v3',
      metadata: {name: 'x', description: 'a\u009B2Jb'},
      spec: {},
    })
    const yaml = await renderYaml([resource])
    expect(yaml).not.toContain('\u009B')
    expect(parseDocuments(yaml)).toEqual([resource])
  })
})

describe('audit events', () => {
  it('are a table with what says most', async () => {
    const text = await renderEvents([
      {
        event: 'db.session.query',
        code: 'TDB02I',
        time: '2026-11-20T10:00:00.000Z',
        user: 'alice',
        db_service: 'aurora',
        db_user: 'reader',
        db_name: 'postgres',
        db_query: 'select *\n  from products',
      },
      {event: 'user.login', code: 'T1000W', time: '2026-11-20T10:00:01.000Z', user: 'bob', success: false, error: 'no'},
      {event: 'session.kill', code: 'PSE00I', user: 'bob', db_service: 'aurora', session_user: 'alice', sid: '307b'},
    ])
    const [head, , query, login, kill] = text.split('\n')
    expect(head).toMatch(/^Time +Event +User +Code +Details$/)
    expect(query).toMatch(/TDB02I +aurora as reader to postgres db_query=select \* from products$/)
    expect(login).toMatch(/bob +T1000W +error=no$/)
    expect(kill).toMatch(/bob +PSE00I +aurora session_user=alice sid=307b$/)
  })

  it('says why a session ended, and is cut only where there is a terminal, to its width', async () => {
    const reason = `The client was idle for longer than ${'x'.repeat(70)}.`
    const end = {
      event: 'db.session.end',
      code: 'TDB01I',
      user: 'alice',
      db_service: 'aurora',
      db_user: 'a',
      db_name: 'b',
      reason,
    }
    expect((await renderEvents([end])).split('\n').at(-1)).toMatch(/aurora as a to b reason=The client .*x\.$/)
    const lines = (await renderEvents([end], 100)).split('\n')
    expect(lines.map(({length}) => length <= 100)).toEqual([true, true, true])
    expect(lines.at(-1)).toMatch(/reason=The client was .*\.\.\.$/)
    // Not in the middle of a character.
    const wide = await renderEvents([{...end, reason: `${'x'.repeat(119)}😀😀`}])
    expect(wide).toMatch(/ reason=x{119}😀\.\.\.$/)
  })

  it.each([
    ['2026-11-20', '2026-11-20T00:00:00.000Z'],
    ['2026-11-20T10:00:00+01:00', '2026-11-20T09:00:00.000Z'],
    ['2h', '2026-11-20T20:00:00.000Z'],
    ['99999999h', '1970-01-01T00:00:00.000Z'],
  ])('from %s means from %s', (text, moment) => {
    expect(parseMoment(text, now)).toBe(moment)
  })

  it.each([
    ...['yesterday', '2026-13-45', '2026-02-30', '2026-02-30T10:00:00Z', ''],
    // Whose ten o'clock?
    ...['2026-11-20T10:00', '2026-11-20T10:00:00'],
  ])('from %j is refused', (text) => {
    expect(() => parseMoment(text, now)).toThrow(expect.objectContaining({code: 'USAGE'}))
  })
})

describe('an invitation', () => {
  const secret = '5d1e0000111122223333444455556666'

  it('is a link and a command for terminals', () => {
    const text = renderInvite(
      {
        user: 'alice',
        url: `https://proxy.example.com:443/web/invite/${secret}`,
        proxy: 'proxy.example.com:443',
        expires: '2026-11-20T23:00:00Z',
        ttl_seconds: 3600,
      },
      {done: 'created', caPins: ['sha256:aa']},
    )
    expect(text).toContain('for 1h:')
    expect(text.split('\n')).toContain(`https://proxy.example.com:443/web/invite/${secret}`)
    expect(text).toContain(
      `postern invite accept https://proxy.example.com:443/web/invite/${secret} --ca-pin=sha256:aa`,
    )
  })

  it.each([
    [`https://proxy.example.com:3080/web/invite/${secret}`, {host: 'proxy.example.com', port: 3080}],
    [`https://proxy.example.com:443/web/reset/${secret}`, {host: 'proxy.example.com', port: 443}],
    [`https://[::1]:3080/web/invite/${secret}`, {host: '::1', port: 3080}],
  ])('is read from %s', (url, proxy) => {
    expect(parseInvite(url)).toEqual({proxy, token: secret})
  })

  it.each([`http://p/web/invite/${secret}`, 'https://p/web/other/x', 'nonsense', `https://p/web/invite/${secret}/x`])(
    'is refused when it is %s, without repeating the secret',
    (url) => {
      expect(() => parseInvite(url)).toThrow(
        expect.objectContaining({code: 'USAGE', message: expect.not.stringContaining(secret)}),
      )
    },
  )
})

describe('a proxy address', () => {
  it.each([
    ['proxy.example.com', ['proxy.example.com:443', 'proxy.example.com:3080']],
    ['https://Proxy.Example.com/', ['proxy.example.com:443', 'proxy.example.com:3080']],
    ['proxy.example.com:8443', ['proxy.example.com:8443']],
    ['[::1]:3080', ['::1:3080']],
    ['::1', ['::1:443', '::1:3080']],
  ])('%s may mean %j', (text, addresses) => {
    expect(candidateAddresses(parseProxyAddress(text)).map(({host, port}) => `${host}:${port}`)).toEqual(addresses)
  })

  it.each(['a b', 'http://p', 'p:99999', 'p:x', 'user@p', ''])('%j is none', (text) => {
    expect(() => parseProxyAddress(text)).toThrow(expect.objectContaining({code: 'USAGE'}))
  })
})

describe('versions', () => {
  const find = (min_client_version: string): FindResponse =>
    ({server_version: '3.1.0', min_client_version}) as FindResponse

  it.each([
    ['2.0.0', '2.0.0'],
    ['2.0.0', 'v2.0.0-aa'],
    ['3.0.1-dev', '2.9.9'],
    ['10.0.0', '9.0.0'],
    ['0.1.0', 'unknown'],
  ])('%s is enough where %s is asked for', (own, minimum) => {
    expect(() => {
      checkVersion(own, find(minimum))
    }).not.toThrow()
  })

  it.each([
    ['1.9.9', '2.0.0'],
    ['2.0.9', '2.1.0'],
    ['9.0.0', '10.0.0'],
  ])('%s is too old where %s is asked for', (own, minimum) => {
    expect(() => {
      checkVersion(own, find(minimum))
    }).toThrow(expect.objectContaining({code: 'FAILED', hints: [expect.stringContaining('--skip-version-check')]}))
  })
})

describe('a password on standard input', () => {
  async function* chunks(...parts: string[]): AsyncGenerator<string> {
    for (const part of parts) yield await Promise.resolve(part)
  }

  it.each([
    [['secret\n'], 'secret'],
    [['sec', 'ret\r\n', 'rest'], 'secret'],
    [['no line end'], 'no line end'],
    [[' spaces stay \n'], ' spaces stay '],
  ])('%j is %j', async (parts, password) => {
    expect((await readPassword(chunks(...parts))).reveal()).toBe(password)
  })

  it.each([[['']], [['\n']], [['x'.repeat(2000)]]])('is refused when it is empty or endless', async (parts) => {
    await expect(readPassword(chunks(...parts))).rejects.toMatchObject({code: 'USAGE'})
  })
})

it.each([
  ['480', 28_800],
  ['8h', 28_800],
  ['1h30m', 5400],
])('--ttl=%s is %d seconds', (text, seconds) => {
  expect(parseTtl(text)).toBe(seconds)
})

describe('sessions ls', () => {
  const session = {
    ...{sid: '307b49d6-56c7-4d20-8cf0-5bc5348a7101', user: 'alice', database: 'orders', db_user: 'alice_rw'},
    ...{db_name: 'postgres', source: '127.0.0.1:50000', host_id: 'e5e6', hostname: 'db-host'},
    ...{started: '2026-11-20T10:00:00.123Z', statement_started: '2026-11-20T10:05:00.123Z'},
    state: 'active',
    statement: 'select *\n from lines where something is something else altogether',
  } as const
  const lines = async (width?: number, changes = {}): Promise<string[]> =>
    (await renderSessions([{...session, ...changes}], width)).split('\n')

  it('shows all where it is not a terminal', async () => {
    const [head, , row] = await lines()
    expect(head).toMatch(/^ID +User +Database +DB User +DB Name +Since +State +Agent +Running Since +Statement$/)
    expect(row).toMatch(/ db-host 2026-11-20T10:05:00Z select \* from lines .* altogether$/)
  })

  it.each([
    [200, /^ID +User +Database +DB User +DB Name +Since +State +Agent +Running Since +Statement$/],
    [130, /^ID +User +Database +DB User +DB Name +Since +State +Statement$/],
    [105, /^ID +User +Database +DB User +Since +State +Statement$/],
    [100, /^ID +User +Database +Since +State +Statement$/],
    [80, /^ID +User +Database +State +Statement$/],
  ])('fits a terminal of %d columns', async (width, titles) => {
    const shown = await lines(width)
    expect(shown[0]).toMatch(titles)
    for (const line of shown) expect(line.length).toBeLessThanOrEqual(width)
    expect(shown[2]).toContain('select * ')
  })

  it('keeps its heading on a terminal that has too few rows', () => {
    const table = ['ID', '--', 'a', 'b', 'c', 'd'].join('\n')
    expect(fitRows(table, 7)).toBe(table)
    expect(fitRows(table, 6)).toBe('ID\n--\na\nb\n... and 2 more, which sessions ls lists.')
    expect(fitRows(table, 2)).toBe('ID\n--\na\n... and 3 more, which sessions ls lists.')
  })

  it('does without the statement before it does without who and where', async () => {
    const shown = await lines(80, {state: 'idle in transaction'})
    expect(shown[0]).toMatch(/^ID +User +Database +State$/)
    expect(shown[2]).toBe(`${session.sid} alice orders   idle in transaction`)
  })
})
