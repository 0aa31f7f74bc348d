import {describe, expect, it} from '@jest/globals'
import {readFile} from 'node:fs/promises'
import {parseDocuments} from '../../../src/lib/resources/document.js'
import {parseReference} from '../../../src/lib/resources/kinds.js'
import {parseRoute, agentServerName, databaseServerName} from '../../../src/lib/resources/route.js'
import {guideRole} from '../../helpers/three-hosts.js'

const user = 'kind: user\nversion: v2\nmetadata: {name: alice}\nspec: {roles: [access]}\n'

describe('a text of resources', () => {
  it('may hold several documents, as YAML or JSON, in their order', () => {
    const json = '{"kind":"lock","version":"v2","metadata":{"name":"l"},"spec":{"target":{"user":"alice"}}}'
    expect(parseDocuments(`${guideRole}---\n${user}---\n${json}`).map(({kind}) => kind)).toEqual([
      'role',
      'user',
      'lock',
    ])
  })

  it.each([
    ['nothing', '', 'no resource'],
    ['only comments', '# a\n---\n# b', 'no resource'],
    ['a kind that is none', 'kind: node\n', 'unknown kind "node"'],
    ['no kind', 'metadata: {name: x}\n', 'no kind'],
    ['a key that is none', guideRole.replace('db_users', 'db_user'), 'db_user'],
    ['a wildcard key with a value', guideRole.replace("'*': '*'", "'*': dev"), 'takes only the value'],
    ['a name with a slash', user.replace('alice', 'a/b'), 'metadata.name'],
    [
      'a database name with a dot',
      'kind: db\nversion: v3\nmetadata: {name: a.b}\nspec: {protocol: postgres, uri: "h:1"}',
      'metadata.name',
    ],
    [
      'an address that is a DSN',
      'kind: db\nversion: v3\nmetadata: {name: a}\nspec: {protocol: postgres, uri: "postgres://h:1"}',
      'host:port',
    ],
    ['a lock of nobody', 'kind: lock\nversion: v2\nmetadata: {name: l}\nspec: {target: {}}', 'target'],
  ])('with %s is refused, and says why', (_what, text, why) => {
    expect(() => parseDocuments(text)).toThrow(why)
  })

  it('says the line of the document that is wrong', () => {
    expect(() => parseDocuments(`${user}---\n${user}---\nkind: role\nversion: v7\n`)).toThrow(/line 1[01]/)
  })

  it('with aliases that multiply is refused', () => {
    const bomb = `a: &a [x, x, x, x, x, x, x, x, x]\n${'bcdefgh'
      .split('')
      .map((name, index) => `${name}: &${name} [${`*${'abcdefgh'[index] ?? 'a'}, `.repeat(9)}]`)
      .join('\n')}\nkind: role\n`
    expect(() => parseDocuments(bomb)).toThrow()
  })

  it('from the guides is taken: the role of the Aurora guide is a test of its own', async () => {
    expect(await readFile('README.md', 'utf8')).toContain(guideRole.trim())
  })
})

describe('names', () => {
  it('of kinds are known by their plurals too', () => {
    expect(parseReference('roles')).toEqual({kind: 'role'})
    expect(parseReference('database/orders')).toEqual({kind: 'db', name: 'orders'})
    expect(() => parseReference('constructor/x')).toThrow('not a kind')
  })

  it.each([
    [agentServerName('0f0e7c1f', 'c.example.com'), {kind: 'agent', hostId: '0f0e7c1f'}],
    [databaseServerName('Orders', 'c.example.com'), {kind: 'database', database: 'orders'}],
    ['ORDERS.DB.C.EXAMPLE.COM', {kind: 'database', database: 'orders'}],
    ['auth.c.example.com', {kind: 'auth'}],
    ['tunnel.c.example.com', {kind: 'tunnel'}],
    ['c.example.com', {kind: 'web'}],
    [undefined, {kind: 'web'}],
    ['.db.c.example.com', {kind: 'web'}],
    ['a.b.db.c.example.com', {kind: 'web'}],
    ['orders.db.c.example.com.evil.com', {kind: 'web'}],
  ])('of routes: %s', (name, route) => {
    expect(parseRoute(name, 'c.example.com')).toEqual(route)
  })
})
