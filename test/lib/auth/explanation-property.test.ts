import {expect, it} from '@jest/globals'
import fc from 'fast-check'
import {noClusterLimits} from '../../../src/lib/access/session-options.js'
import {judge, type Guest} from '../../../src/lib/agent/admission.js'
import {AccessExplainer} from '../../../src/lib/auth/access-explainer.js'
import type {AuditLog} from '../../../src/lib/auth/audit-log.js'
import type {Caller, UserCaller} from '../../../src/lib/auth/caller.js'
import type {Stores} from '../../../src/lib/auth/stores.js'
import type {Database} from '../../../src/lib/resources/database.js'
import type {DatabaseServer} from '../../../src/lib/resources/database-server.js'
import {parseResource} from '../../../src/lib/resources/resource.js'
import type {Role} from '../../../src/lib/resources/role.js'
import {mayEnter, type Case} from '../access/oracle.js'

const cases = 10_000
const now = Date.parse('2026-01-01T00:00:00Z')
const serverId = 'b5c8d0a0-0000-4000-8000-000000000001'
const roleNames = ['r0', 'r1', 'r2', 'r3']
/** What only roles that the user does not hold are made of: it must never be told. */
const foreign = 'foreign'

const some = <T>(values: readonly T[], most: number): fc.Arbitrary<T[]> =>
  fc.array(fc.constantFrom(...values), {maxLength: most})
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, {nil: undefined})

const envs = ['dev', 'prod', 'qa']
const labelValue = fc.constantFrom(
  'dev',
  'prod',
  'd*',
  '*',
  '^(dev|qa)$',
  '^p.*$',
  '{{external.envs}}',
  '{{external.envs}}*',
)
const selector = fc.oneof(
  {weight: 1, arbitrary: fc.constant({'*': ['*']})},
  {
    weight: 3,
    arbitrary: fc.dictionary(fc.constantFrom('env', 'team'), fc.array(labelValue, {maxLength: 2}), {maxKeys: 2}),
  },
)
const expression = fc
  .tuple(fc.constantFrom('env', 'team', 'none'), fc.constantFrom('==', '!='), fc.constantFrom('dev', 'prod', 'x', ''))
  .map(([key, operator, value]) => `labels["${key}"] ${operator} "${value}"`)
const entries = ['a', 'A', 'b', 'admin', '*', '{{internal.db_users}}', 'x-{{external.envs}}']

const sideOf = (rarity: number) =>
  fc.record(
    {
      db_labels: maybe(selector),
      db_labels_expression: fc.option(expression, {nil: undefined, freq: 3}),
      db_users: some(entries, rarity),
      db_names: some(entries, rarity),
    },
    {requiredKeys: []},
  )

const roleOf = (name: string): fc.Arbitrary<Role> =>
  fc
    .record({
      version: fc.constantFrom('v3', 'v5', 'v8'),
      allow: sideOf(4),
      deny: fc.oneof({weight: 3, arbitrary: fc.constant({})}, {weight: 1, arbitrary: sideOf(1)}),
    })
    .map(({version, ...spec}) =>
      parseResource('role', {
        kind: 'role',
        version,
        metadata: {name},
        spec: JSON.parse(JSON.stringify(spec)) as object,
      }),
    )

const foreignRole = parseResource('role', {
  kind: 'role',
  version: 'v8',
  metadata: {name: foreign},
  spec: {
    allow: {
      db_labels: {[foreign]: '*'},
      db_labels_expression: `labels["${foreign}"] == ""`,
      db_users: [foreign, '*'],
      db_names: ['*'],
    },
    deny: {db_labels: {[foreign]: '*'}, db_users: [foreign], db_names: [foreign]},
  },
})

const lock = fc
  .record({
    target: fc.constantFrom(
      {user: 'alice'},
      {user: 'bob'},
      {role: 'r0'},
      {role: foreign},
      {server_id: serverId},
      {user: 'alice', role: 'r1'},
    ),
    expires: maybe(fc.constantFrom(new Date(now - 1).toISOString(), new Date(now + 1).toISOString())),
  })
  .map((spec) =>
    parseResource('lock', {
      kind: 'lock',
      version: 'v2',
      metadata: {name: 'a-lock'},
      spec: JSON.parse(JSON.stringify(spec)) as object,
    }),
  )

const aCase: fc.Arbitrary<Case> = fc
  .record({
    held: fc.uniqueArray(fc.constantFrom(...roleNames, 'undefined-role'), {maxLength: 4}),
    definitions: fc.tuple(...roleNames.map(roleOf)),
    traits: fc.record({db_users: some(['a', 'b', 'reader', ''], 2), envs: some([...envs, ''], 2)}, {requiredKeys: []}),
    labels: fc.record({env: fc.constantFrom(...envs), team: fc.constantFrom('dev', 'x')}, {requiredKeys: []}),
    dbUser: fc.constantFrom('a', 'A', 'b', 'admin', 'reader', 'x-dev', ''),
    dbName: fc.constantFrom('a', 'b', 'B', 'x-qa'),
    locks: fc.oneof({weight: 4, arbitrary: fc.constant([])}, {weight: 1, arbitrary: fc.array(lock, {maxLength: 2})}),
    folds: fc.boolean(),
  })
  .map((made) => ({...made, definitions: [...made.definitions, foreignRole], user: 'alice', serverId, now}))

function databaseOf({labels, folds}: Case): Database {
  const uri = folds ? 'shop.abc123.us-east-1.redshift.amazonaws.com:5439' : 'db:5432'
  return {kind: 'db', version: 'v3', metadata: {name: 'orders', labels}, spec: {protocol: 'postgres', uri}}
}

/** What an agent decides that got everything over its watch stream. */
function live(the: Case) {
  const route = {database: 'orders', protocol: 'postgres', dbUser: the.dbUser, dbName: the.dbName, dbRoles: []}
  const identity = {kind: 'user', usage: 'db', user: the.user, roles: [...the.held, foreign], traits: the.traits, route}
  const cache = {
    roles: new Map(the.definitions.map((role) => [role.metadata.name, role])),
    users: new Map([['alice', {name: 'alice', roles: the.held, traits: the.traits}]]),
    locks: new Map(the.locks.map((one, index) => [String(index), one])),
    authorities: () => [],
    limits: noClusterLimits,
  }
  return judge({identity, route, dbName: the.dbName} as unknown as Guest, databaseOf(the), {
    cache,
    hostId: serverId,
    now: the.now,
  })
}

const audit = {} as unknown as AuditLog
const admin = {kind: 'host', hostId: serverId, identity: {kind: 'host', systemRoles: ['Admin']}} as unknown as Caller

function myself(the: Case): UserCaller {
  const definitions = new Map(
    the.definitions.filter((role) => the.held.includes(role.metadata.name)).map((role) => [role.metadata.name, role]),
  )
  const {traits} = the
  return {
    kind: 'user',
    name: 'alice',
    roles: the.held,
    traits,
    definitions,
    identity: {traits},
  } as unknown as UserCaller
}

/** What the control plane says beforehand, from the same records. */
async function explain(the: Case, caller: Caller) {
  const server = {
    kind: 'db_server',
    spec: {host_id: serverId, hostname: 'a-host', database: databaseOf(the)},
    status: {target_health: {status: 'healthy'}},
  } as unknown as DatabaseServer
  const definitions = new Map(the.definitions.map((role) => [role.metadata.name, role]))
  const stores = {
    users: {get: () => Promise.resolve({value: {user: {spec: {roles: the.held, traits: the.traits}}}})},
    rolesNamed: (names: readonly string[]) =>
      Promise.resolve(
        new Map(names.flatMap((name) => [definitions.get(name)].flatMap((role) => (role ? [[name, role]] : [])))),
      ),
    databases: {get: () => Promise.resolve(undefined)},
    allLocks: () => Promise.resolve(the.locks),
    serversOf: () => Promise.resolve([server]),
  } as unknown as Stores
  const explainer = new AccessExplainer({
    stores,
    audit,
    clock: {now: () => the.now, monotonic: () => 0},
  })
  const question = {user: 'alice', database: 'orders', dbUser: the.dbUser, dbName: the.dbName}
  const {answers} = await explainer.before(question, caller)
  return answers[0]
}

/** What follows from the roles of an explanation alone. */
function conclusion({reason, roles}: NonNullable<Awaited<ReturnType<typeof explain>>>['explanation']): boolean {
  if (reason === 'lock') return false
  if (roles.some(({deny}) => deny.labels.matched || deny.user.matched || deny.name.matched)) return false
  return roles.some(({allow}) => allow.labels.matched && allow.user.matched && allow.name.matched)
}

/** Cheaper than `expect`, ten thousand times over. */
function check(what: string, holds: boolean): void {
  if (!holds) throw new Error(`${what} differs`)
}

it(`D12: explanation, live decision and rules say the same in ${cases} cases, and nothing of roles that are not held`, async () => {
  const counted = {allowed: 0, denied: 0, hidden: 0}
  await fc.assert(
    fc.asyncProperty(aCase, async (the) => {
      const decision = live(the)
      check('rules', decision.allowed === mayEnter(the))
      counted[decision.allowed ? 'allowed' : 'denied'] += 1

      const full = await explain(the, admin)
      check('explanation', JSON.stringify(full?.explanation) === JSON.stringify(decision.explanation))
      check('conclusion', full !== undefined && conclusion(full.explanation) === decision.allowed)
      check('remedies', (full?.remedies.length === 0) === decision.allowed)

      const own = await explain(the, myself(the)).catch((error: unknown) => error as Error)
      if (own instanceof Error || 'code' in (own ?? {})) counted.hidden += 1
      else
        check(
          'own view',
          own?.explanation.allowed === decision.allowed && own.explanation.message === decision.explanation.message,
        )
      check('message', decision.allowed || decision.message === decision.explanation.message)
      check('leak', !JSON.stringify([own, decision]).includes(foreign))
    }),
    {numRuns: cases, seed: 7},
  )
  // A property that never sees one of them proves nothing.
  expect(Math.min(counted.allowed, counted.denied, counted.hidden)).toBeGreaterThan(cases / 50)
}, 1_200_000)
