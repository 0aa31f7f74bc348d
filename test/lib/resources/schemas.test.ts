import {describe, expect, it} from '@jest/globals'
import type {Kind} from '../../../src/lib/resources/kinds.js'
import {parseResource} from '../../../src/lib/resources/resource.js'

const database = {
  kind: 'db',
  version: 'v3',
  metadata: {name: 'aurora', labels: {env: 'dev'}},
  spec: {protocol: 'postgres', uri: 'aurora.example.com:5432', tls: {mode: 'verify-full'}, aws: {region: 'us-east-1'}},
}

const valid: Record<Kind, Record<string, unknown>> = {
  role: {
    kind: 'role',
    version: 'v7',
    metadata: {name: 'dba', description: 'Everything in dev', namespace: 'default', id: 7},
    spec: {
      options: {max_session_ttl: '30h0m0s'},
      allow: {
        db_labels: {env: 'dev', region: ['us-east-1', 'us-*'], '*': '*'},
        db_users: ['{{internal.db_users}}'],
        rules: [{resources: ['event'], verbs: ['list', 'read']}],
      },
      deny: {db_names: ['postgres']},
    },
  },
  user: {
    kind: 'user',
    version: 'v2',
    metadata: {name: 'email@example.com'},
    spec: {roles: ['access'], traits: {db_users: ['*']}, created_by: {time: 'now', user: {name: 'admin'}}},
    status: {password_state: 'set'},
  },
  token: {
    kind: 'token',
    version: 'v2',
    metadata: {name: '0123456789abcdef', expires: '2026-11-20T10:30:00+01:00'},
    spec: {roles: ['Db'], join_method: 'token', databases: {names: ['aurora'], labels: {env: 'dev'}}},
  },
  db: database,
  db_server: {
    kind: 'db_server',
    version: 'v3',
    metadata: {name: 'aurora'},
    spec: {
      version: '0.1.0',
      hostname: 'agent-1',
      host_id: '5e1dc8a1-9a1c-4a53-8a52-3f1d2c4b5a69',
      rotation: {},
      database,
      proxy_ids: [],
    },
    status: {
      target_health: {
        address: 'aurora.example.com:5432',
        protocol: 'TCP',
        status: 'healthy',
        transition_timestamp: '2026-11-20T10:30:00Z',
        transition_reason: 'initialized',
      },
    },
  },
  lock: {
    kind: 'lock',
    version: 'v2',
    metadata: {name: 'l'},
    spec: {target: {user: 'alice', role: 'dba', server_id: 'x'}, message: 'Later.', expires: '2026-12-01T00:00:00Z'},
  },
  health_check_config: {
    kind: 'health_check_config',
    version: 'v1',
    metadata: {name: 'production'},
    spec: {interval: '1m', match: {db_labels: [{name: 'env', values: ['prod']}], db_labels_expression: 'true'}},
  },
  session_recording_config: {
    kind: 'session_recording_config',
    version: 'v2',
    metadata: {name: 'session-recording-config'},
    spec: {mode: 'node-sync', proxy_checks_host_keys: true, encryption: {enabled: false}},
  },
  cluster_networking_config: {
    kind: 'cluster_networking_config',
    version: 'v2',
    metadata: {name: 'cluster-networking-config'},
    spec: {client_idle_timeout: '15m'},
  },
  cluster_auth_preference: {
    kind: 'cluster_auth_preference',
    version: 'v2',
    metadata: {name: 'cluster-auth-preference'},
    spec: {type: 'local', second_factor: 'off', disconnect_expired_cert: 'yes', locking_mode: 'strict'},
  },
}

const everyKind = Object.keys(valid) as Kind[]

/** A copy with the value at a dotted path replaced; `undefined` removes it. */
function changed(kind: Kind, path: string, value: unknown): unknown {
  const copy = structuredClone(valid[kind])
  const keys = path.split('.')
  const last = keys.pop() ?? ''
  const parent = keys.reduce<Record<string, unknown>>((at, key) => at[key] as Record<string, unknown>, copy)
  if (value === undefined) Reflect.deleteProperty(parent, last)
  else Object.defineProperty(parent, last, {value, enumerable: true, configurable: true})
  return copy
}

const refusal = (why: string | RegExp): unknown =>
  expect.objectContaining({code: 'INVALID', message: expect.stringMatching(why)})

describe.each(everyKind)('a %s', (kind) => {
  it('is taken as written', () => {
    expect(parseResource(kind, valid[kind])).toMatchObject({kind, metadata: valid[kind].metadata as object})
  })

  it.each(['extra', 'metadata.extra', 'spec.extra', '__proto__', 'constructor'])(
    'with the unknown key %s is refused by name',
    (path) => {
      expect(() => parseResource(kind, changed(kind, path, {a: 1}))).toThrow(refusal(path.split('.').at(-1) ?? ''))
    },
  )

  it.each([
    ['kind', everyKind.find((other) => other !== kind)],
    ['version', 'v0'],
    ['version', 7],
    ['metadata', undefined],
    ['metadata.name', undefined],
    ['metadata.name', 7],
    ['metadata.labels', ['a']],
    ['metadata.labels', {env: true}],
    ['metadata.expires', 'tomorrow'],
    ['spec', undefined],
    ['spec', []],
  ])('with %s as %j is refused', (path, value) => {
    expect(() => parseResource(kind, changed(kind, path, value))).toThrow(refusal(path.split('.')[0] ?? ''))
  })

  it.each([[null], [undefined], ['text'], [[]], [7]])('is not %j', (document) => {
    expect(() => parseResource(kind, document)).toThrow(refusal('not valid'))
  })
})

it.each<[Kind, string, unknown]>([
  ['role', 'spec.allow.db_labels', {env: 7}],
  ['role', 'spec.allow.db_labels', {env: {a: 1}}],
  ['role', 'spec.allow.db_labels', {env: 'x'.repeat(1025)}],
  ['role', 'spec.allow.db_labels', {'*': 'dev'}],
  ['role', 'spec.allow.db_labels', {'*': ['*', 'dev']}],
  ['role', 'spec.allow.db_labels', 'dev'],
  ['role', 'spec.allow.db_users', '*'],
  ['role', 'spec.allow.db_users', ['']],
  ['role', 'spec.allow.db_users', [7]],
  ['role', 'spec.allow.rules', [{resources: ['event'], verbs: ['destroy']}]],
  ['role', 'spec.allow.rules', [{resources: [], verbs: ['read']}]],
  ['role', 'spec.deny.db_user', ['postgres']],
  ['role', 'spec.options', {max_session_tll: '1h'}],
  ['user', 'spec.roles', []],
  ['user', 'spec.traits', {db_users: '*'}],
  ['user', 'status.password_state', 'hacked'],
  ['token', 'metadata.name', '0123456789abcde'],
  ['token', 'spec.roles', []],
  ['token', 'spec.roles', ['Auth']],
  ['token', 'spec.join_method', 'ec2'],
  ['token', 'spec.allow', [{aws_account: '111122223333'}]],
  ['db', 'metadata.name', 'a_b'],
  ['db', 'metadata.name', '1st'],
  ['db', 'metadata.name', 'a-'],
  ['db', 'metadata.name', 'x'.repeat(64)],
  ['db', 'spec.protocol', 'mysql'],
  ['db', 'spec.uri', 'host'],
  ['db', 'spec.uri', 'host:0'],
  ['db', 'spec.uri', 'host:65536'],
  ['db', 'spec.uri', 'user@host:5432'],
  ['db', 'spec.uri', 'a b:5432'],
  ['db', 'spec.uri', 'a\u0000b:5432'],
  ['db', 'spec.uri', '::1:5432'],
  ['db', 'spec.tls', {mode: 'none'}],
  ['db', 'spec.aws', {account_id: 123456789012}],
  ['db_server', 'spec.host_id', 'host-1'],
  ['db_server', 'status', undefined],
  ['lock', 'spec.target', {}],
  ['lock', 'spec.target', {login: 'alice'}],
  ['lock', 'spec.expires', '2026-12-01'],
])('a %s with %s as %j is refused, naming the field', (kind, path, value) => {
  const field = path.split('.').at(-1) ?? ''
  expect(() => parseResource(kind, changed(kind, path, value))).toThrow(refusal(new RegExp(field)))
})

it.each<[Kind, string]>([
  ['role', 'spec.allow.db_labels'],
  ['role', 'spec.deny.db_labels'],
  ['user', 'spec.traits'],
  ['token', 'spec.databases.labels'],
  ['db', 'metadata.labels'],
])('a %s loses no key of %s in silence', (kind, path) => {
  const key = (name: string): unknown => JSON.parse(`{"${name}": ["x"], "env": ["dev"]}`)
  const labels = path.endsWith('labels') && !path.includes('db_labels')
  const map = (name: string): unknown => (labels ? JSON.parse(`{"${name}": "x", "env": "dev"}`) : key(name))
  expect(() => parseResource(kind, changed(kind, path, map('__proto__')))).toThrow(refusal('__proto__'))
  expect(() => parseResource(kind, changed(kind, path, map('constructor')))).not.toThrow()
})

it.each<[string, unknown]>([
  ['spec.uri', '127.0.0.1:5432'],
  ['spec.uri', '[::1]:5432'],
  ['spec.uri', 'my_db.internal:1'],
  ['metadata.name', 'A-1-b'],
  ['metadata.name', 'x'],
])('a db may have %s as %j', (path, value) => {
  expect(() => parseResource('db', changed('db', path, value))).not.toThrow()
})

describe('the name of a resource', () => {
  it.each(['alice', 'email@example.com', 'a b', 'é', '日本', 'a.b', '...', '.a', 'role;drop', 'x'.repeat(256)])(
    'may be %j',
    (name) => {
      expect(parseResource('user', changed('user', 'metadata.name', name)).metadata.name).toBe(name)
    },
  )

  it.each([
    '',
    ' ',
    ' alice',
    'alice ',
    'alice\n',
    'a/b',
    '/',
    '.',
    '..',
    'a\u0000b',
    'a\u001B[2Jb',
    'ali\u200Bce',
    'a\u202Eb',
    'a\u2028b',
    '\uD800',
    'x'.repeat(257),
  ])('is never %j', (name) => {
    expect(() => parseResource('user', changed('user', 'metadata.name', name))).toThrow(refusal('metadata.name'))
  })
})

it('a refusal does not repeat the secret name of a token', () => {
  const broken = changed('token', 'spec.roles', ['Root'])
  expect(() => parseResource('token', broken)).toThrow(refusal(/^(?!.*0123456789abcdef)/s))
})

it('a selector may give one value or several', () => {
  const {spec} = parseResource('role', valid.role)
  expect(spec.allow?.db_labels).toEqual({env: ['dev'], region: ['us-east-1', 'us-*'], '*': ['*']})
})

it('a user without traits and a token without a method get the defaults', () => {
  expect(parseResource('user', changed('user', 'spec.traits', undefined)).spec.traits).toEqual({})
  expect(parseResource('token', changed('token', 'spec.join_method', undefined)).spec.join_method).toBe('token')
})
