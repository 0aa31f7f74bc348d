import {describe, expect, it} from '@jest/globals'
import {Authorization} from '../../../src/lib/access/authorization.js'
import {decide, type Decision} from '../../../src/lib/access/decision.js'
import {viewOf} from '../../../src/lib/access/listing.js'
import {checkRole} from '../../../src/lib/access/role-check.js'
import {permits} from '../../../src/lib/access/rules.js'
import {selects} from '../../../src/lib/access/selector.js'
import {compileTemplate} from '../../../src/lib/access/template.js'
import type {Labels} from '../../../src/lib/core/labels.js'
import {parseResource} from '../../../src/lib/resources/resource.js'
import type {Lock} from '../../../src/lib/resources/lock.js'
import type {Role} from '../../../src/lib/resources/role.js'

const now = Date.parse('2026-01-01T00:00:00Z')

function role(name: string, spec: object, version = 'v7'): Role {
  return parseResource('role', {kind: 'role', version, metadata: {name}, spec})
}

function lock(target: object, more: object = {}): Lock {
  return parseResource('lock', {kind: 'lock', version: 'v2', metadata: {name: 'l'}, spec: {target, ...more}})
}

interface Case {
  readonly roles: readonly Role[]
  readonly traits?: Record<string, string[]>
  readonly labels?: Labels
  readonly dbUser?: string
  readonly dbName?: string
  readonly locks?: readonly Lock[]
  readonly held?: readonly string[]
}

function ask({
  roles,
  traits = {},
  labels = {env: 'dev'},
  dbUser = 'alice',
  dbName = 'shop',
  locks = [],
  held,
}: Case): Decision {
  return decide({
    subject: {user: 'alice', roles: held ?? roles.map(({metadata}) => metadata.name), traits},
    roles: new Map(roles.map((one) => [one.metadata.name, one])),
    target: {name: 'orders', labels},
    request: {dbUser, dbName},
    locks,
    serverId: 'host-1',
    now,
  })
}

const all = {db_labels: {'*': '*'}, db_users: ['*'], db_names: ['*']}

describe('a decision', () => {
  it('needs one role that allows labels, user and name together', () => {
    const labels = role('labels', {allow: {db_labels: {env: 'dev'}, db_users: ['reader'], db_names: ['*']}})
    const users = role('users', {allow: {db_labels: {env: 'prod'}, db_users: ['alice'], db_names: ['*']}})
    expect(ask({roles: [labels, users]}).allowed).toBe(false)
    expect(ask({roles: [labels, users], dbUser: 'reader'})).toMatchObject({allowed: true, by: 'labels'})
  })

  it.each<[string, object]>([
    ['labels', {db_labels: {env: 'dev'}}],
    ['the user', {db_users: ['alice']}],
    ['every user', {db_users: ['*']}],
    ['the name', {db_names: ['shop']}],
  ])('is no when any role denies %s, whatever the others allow', (_what, deny) => {
    expect(ask({roles: [role('all', {allow: all}), role('but', {deny})]})).toMatchObject({
      allowed: false,
      reason: 'deny-rule',
    })
  })

  it('lets a role of version 3 that names no labels reach every database, a later one none', () => {
    const spec = {allow: {db_users: ['*'], db_names: ['*']}}
    expect(ask({roles: [role('old', spec, 'v3')]}).allowed).toBe(true)
    expect(ask({roles: [role('new', spec, 'v4')]}).allowed).toBe(false)
  })

  it('counts a role without a definition for nothing', () => {
    expect(ask({roles: [], held: ['all']}).allowed).toBe(false)
  })

  it.each(['Alice', 'ALICE', 'alice ', 'al\u0131ce', 'alice\u0000', '"alice"', '', 'alic'])(
    'compares database users byte by byte: %j is not alice',
    (dbUser) => {
      expect(ask({roles: [role('exact', {allow: {...all, db_users: ['alice']}})], dbUser}).allowed).toBe(false)
    },
  )

  it('fills in traits, each value one entry, and a missing one none', () => {
    const roles = [role('traits', {allow: {...all, db_users: ['{{internal.db_users}}', 'dev-{{external.team}}']}})]
    const traits = {db_users: ['reader', 'writer'], team: ['blue']}
    for (const dbUser of ['reader', 'writer', 'dev-blue']) expect(ask({roles, traits, dbUser}).allowed).toBe(true)
    for (const dbUser of ['dev-', '{{internal.db_users}}', ''])
      expect(ask({roles, traits: {}, dbUser}).allowed).toBe(false)
  })

  it.each<[string, Lock, boolean]>([
    ['of the user', lock({user: 'alice'}), true],
    ['of a role', lock({role: 'all'}), true],
    ['of the server', lock({server_id: 'host-1'}), true],
    ['of another user', lock({user: 'bob'}), false],
    ['of the user on another server', lock({user: 'alice', server_id: 'host-2'}), false],
    ['that has ended', lock({user: 'alice'}, {expires: '2025-12-31T23:59:59Z'}), false],
    ['that goes on', lock({user: 'alice'}, {expires: '2026-01-01T00:00:01Z'}), true],
  ])('a lock %s', (_what, one, locks) => {
    expect(ask({roles: [role('all', {allow: all})], locks: [one]}).allowed).toBe(!locks)
  })

  it('says which of the own roles came nearest and what it lacked, and nothing of others', () => {
    const nearest = role('nearest', {allow: {...all, db_users: ['reader']}})
    const denied = ask({roles: [role('far', {allow: {db_labels: {env: 'prod'}}}), nearest]})
    expect(denied).toMatchObject({
      allowed: false,
      message: expect.stringMatching(/"nearest".*database user "alice"/),
    })
  })

  it('opens one connection, and only when it allows', () => {
    const allowed = ask({roles: [role('all', {allow: all})]})
    if (!allowed.allowed) throw new Error('it should')
    const authorization = Authorization.from(allowed)
    expect(authorization.spend()).toBe(allowed)
    expect(() => authorization.spend()).toThrow()
  })
})

describe('a label selector', () => {
  it.each<[object, Labels, boolean]>([
    [{}, {env: 'dev'}, false],
    [{'*': ['*']}, {}, true],
    [{env: ['dev']}, {env: 'dev', team: 'a'}, true],
    [{env: ['dev'], team: ['a']}, {env: 'dev'}, false],
    [{env: ['prod', 'dev']}, {env: 'dev'}, true],
    [{env: ['*']}, {env: ''}, true],
    [{env: ['*']}, {team: 'a'}, false],
    [{env: ['Dev']}, {env: 'dev'}, false],
    [{region: ['us-*-1']}, {region: 'us-west-1'}, true],
    [{region: ['us-*-1']}, {region: 'us--1'}, true],
    [{region: ['us-*-1']}, {region: 'us-1'}, false],
    [{region: ['*a*a*']}, {region: 'a'}, false],
    [{team: ['^sre-.*$']}, {team: 'sre-1'}, true],
    [{team: ['^sre$']}, {team: 'sre-1'}, false],
    [{constructor: ['*']}, {}, false],
    [JSON.parse('{"__proto__": ["*"]}') as object, {}, false],
  ])('%j on %j', (selector, labels, selected) => {
    expect(selects(selector as Record<string, string[]>, labels)).toBe(selected)
  })

  it('is not stalled by an expression that makes others backtrack', () => {
    expect(selects({team: ['^(a+)+$']}, {team: `${'a'.repeat(200)}b`})).toBe(false)
    expect(selects({team: [`${'*a'.repeat(60)}*b`]}, {team: 'a'.repeat(1000)})).toBe(false)
  })
})

describe('a role', () => {
  it.each([
    [{allow: {db_users: ['{{internal.x']}}, 'spec.allow.db_users'],
    [{allow: {db_names: ['{{regexp.replace(a)}}']}}, 'spec.allow.db_names'],
    [{deny: {db_labels: {env: '^($'}}}, 'spec.deny.db_labels.env'],
    [{options: {max_session_ttl: 'soon'}}, 'spec.options.max_session_ttl'],
    [{allow: {db_roles: ['*']}}, 'database role "*"'],
  ])('%j is refused when it is saved, with the place', (spec, place) => {
    expect(() => {
      checkRole(role('broken', spec))
    }).toThrow(place)
  })

  it('grants verbs on resources; a deny rule of any role wins', () => {
    const reader = role('reader', {allow: {rules: [{resources: ['user'], verbs: ['list', 'read']}]}})
    const everything = role('everything', {allow: {rules: [{resources: ['*'], verbs: ['*']}]}})
    const blind = role('blind', {deny: {rules: [{resources: ['user'], verbs: ['read']}]}})
    const granted = (roles: Role[], resource: string, verb: 'read' | 'delete') =>
      permits({user: 'alice', traits: {}, roles}, resource, verb)
    expect(granted([reader], 'user', 'read')).toBe(true)
    expect(granted([reader], 'user', 'delete')).toBe(false)
    expect(granted([reader], 'role', 'read')).toBe(false)
    expect(granted([everything], 'role', 'delete')).toBe(true)
    expect(granted([everything, blind], 'user', 'read')).toBe(false)
    expect(granted([], 'user', 'read')).toBe(false)
  })
})

describe('a listing', () => {
  const look = (roles: readonly Role[], labels: Labels = {env: 'dev'}) =>
    viewOf(
      {user: 'alice', roles: roles.map(({metadata}) => metadata.name), traits: {}},
      new Map(roles.map((one) => [one.metadata.name, one])),
    )(labels)

  it('shows a database that some role selects, unless one denies it', () => {
    expect(look([role('dev', {allow: {db_labels: {env: 'dev'}}})])).toBeDefined()
    expect(look([role('dev', {allow: {db_labels: {env: 'prod'}}})])).toBeUndefined()
    expect(look([role('all', {allow: all}), role('but', {deny: {db_labels: {env: 'dev'}}})])).toBeUndefined()
  })

  it('names the users that a decision would let through', () => {
    const some = role('some', {allow: {db_labels: {'*': '*'}, db_users: ['*', 'alice', 'bob'], db_names: ['*']}})
    expect(look([some, role('but', {deny: {db_users: ['bob']}})])?.users).toEqual({
      allowed: ['*', 'alice'],
      denied: ['bob'],
    })
    expect(look([some, role('none', {deny: {db_users: ['*']}})])?.users).toEqual({allowed: [], denied: []})
  })
})

it('templates that are not understood are refused, others give one value for each of the trait', () => {
  expect(compileTemplate('plain').fill({})).toEqual(['plain'])
  expect(compileTemplate('{{ external.team }}-x').fill({team: ['a', 'b', '']})).toEqual(['a-x', 'b-x'])
  for (const entry of ['{{team}}', '{{external.a}}{{external.b}}', '{{external.a', '}}']) {
    expect(() => compileTemplate(entry)).toThrow('template')
  }
})
