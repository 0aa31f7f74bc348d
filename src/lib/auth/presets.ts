import {isDeepStrictEqual} from 'node:util'
import {singletonKinds} from '../resources/kinds.js'
import type {HealthCheckConfig} from '../resources/health-check-config.js'
import type {Role} from '../resources/role.js'
import type {Change} from '../storage/backend.js'
import {noExpiry, type AuditLog} from './audit-log.js'
import type {Stores} from './stores.js'

type Rules = NonNullable<NonNullable<Role['spec']['allow']>['rules']>

const resourceTypeLabel = 'postern.internal/resource-type'
/** Who changes presets at the first start of a new version. */
const upgrade = {user: '@upgrade', user_kind: 3} as const

/** What editors may do, with the kinds that they change as they like. */
function editorRules(editable: readonly string[], more: Rules): Rules {
  return [
    {resources: [...editable], verbs: ['list', 'create', 'read', 'update', 'delete']},
    {resources: ['db_server'], verbs: ['list', 'read', 'delete']},
    ...readsEvents,
    ...more,
  ]
}

const readsEvents: Rules = [{resources: ['event'], verbs: ['list', 'read']}]
const endsSessions: Rules = [{resources: ['session'], verbs: ['list', 'delete']}]
const editable = ['role', 'user', 'token', 'db', 'lock']
const authorities = ['db_certificate', 'cert_authority']

function preset(name: string, description: string, allow: NonNullable<Role['spec']['allow']>): Role {
  return {
    kind: 'role',
    version: 'v7',
    metadata: {name, description, labels: {[resourceTypeLabel]: 'preset'}},
    spec: {options: {max_session_ttl: '30h0m0s'}, allow},
  }
}

/** Roles that every cluster has from its first start (client contract, 3.6). */
const presets: readonly Role[] = [
  preset('access', 'Reach databases, as the database users and names in the traits of the user', {
    db_labels: {'*': ['*']},
    db_service_labels: {'*': ['*']},
    db_users: ['{{internal.db_users}}'],
    db_names: ['{{internal.db_names}}'],
    db_roles: ['{{internal.db_roles}}'],
    rules: [
      ...readsEvents,
      {
        resources: ['session'],
        verbs: ['list', 'read'],
        where: 'contains(session.participants, user.metadata.name)',
      },
    ],
  }),
  preset('editor', 'Change users, roles, tokens, databases and locks', {
    rules: editorRules([...editable, 'health_check_config', ...singletonKinds, ...authorities], endsSessions),
  }),
  preset('auditor', 'Read the audit log', {
    rules: [{resources: ['event', 'session'], verbs: ['list', 'read']}],
  }),
  preset('requester', 'Ask for access; opens nothing by itself', {}),
  preset('reviewer', 'Decide about requests for access; opens nothing by itself', {}),
]

/** The rules that earlier versions gave presets, by their names. Rules that change above are added here as they were. */
const earlierRules: ReadonlyMap<string, readonly Rules[]> = new Map([
  ['access', [readsEvents]],
  [
    'editor',
    [
      editorRules([...editable, ...authorities], []),
      editorRules([...editable, 'health_check_config', ...authorities], []),
      editorRules([...editable, 'health_check_config', ...authorities], endsSessions),
    ],
  ],
])

/** Every database is checked, until an administrator decides otherwise. */
const healthCheckPreset: HealthCheckConfig = {
  kind: 'health_check_config',
  version: 'v1',
  metadata: {
    name: 'default',
    description: 'Every agent checks all of its databases',
    labels: {[resourceTypeLabel]: 'preset'},
  },
  spec: {
    interval: '30s',
    timeout: '5s',
    healthy_threshold: 2,
    unhealthy_threshold: 1,
    match: {db_labels: [{name: '*', values: ['*']}]},
  },
}

/** What a cluster gets at its first start. Later the presets are the administrators' to change or to remove. */
export function createPresets({roles}: Stores): Change[] {
  return presets.map((role) => roles.putting(role.metadata.name, role))
}

/** A preset that is exactly what an earlier version made, and so nobody's decision, becomes what this version makes. */
export async function upgradePresets(stores: Stores, audit: AuditLog): Promise<void> {
  for (const {metadata, spec} of presets) {
    const {name} = metadata
    const stored = await stores.roles.get(name)
    const isEarlier = (rules: Rules): boolean =>
      isDeepStrictEqual(stored?.value.spec, {...spec, allow: {...spec.allow, rules}})
    if (!stored || !earlierRules.get(name)?.some(isEarlier)) continue
    const change = stores.roles.swapping(name, stored.revision, {...stored.value, spec})
    await audit.change([change], 'role.updated', {...upgrade, name, expires: noExpiry, updated_by: upgrade.user})
  }
}

/** Clusters from before there were any get it at their next start. */
export async function createHealthCheckPreset(stores: Stores): Promise<void> {
  await stores.healthChecks.put(healthCheckPreset.metadata.name, healthCheckPreset)
}
