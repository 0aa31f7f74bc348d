import {formatLabels} from '../core/labels.js'
import {isSingleton, kindNouns, type Kind} from '../resources/kinds.js'
import type {DatabaseServer} from '../resources/database-server.js'
import type {Database} from '../resources/database.js'
import type {HealthCheckConfig} from '../resources/health-check-config.js'
import type {Lock} from '../resources/lock.js'
import type {Resource} from '../resources/resource.js'
import type {Role} from '../resources/role.js'
import {maskToken, withoutSecret} from '../resources/token-name.js'
import type {User} from '../resources/user.js'
import {renderServers} from './server-text.js'
import {toYaml} from './output.js'
import {renderTable} from './table.js'
import {renderTokens} from './token-text.js'

/** `role "db"`, as sentences name a resource; the name of a token is its secret. */
export function describeResource(kind: Kind, name: string): string {
  if (isSingleton(kind)) return kindNouns[kind]
  return `${kindNouns[kind]} "${kind === 'token' ? maskToken(name) : name}"`
}

/** A resource that may be shown to anybody who may read it. */
export function hideSecrets(resource: Resource): Resource {
  return resource.kind === 'token' ? withoutSecret(resource) : resource
}

/** Documents separated by `---`, ready to be edited and created again. */
export async function renderYaml(resources: readonly Resource[]): Promise<string> {
  const documents = await Promise.all(resources.map(toYaml))
  return documents.map((document) => document.trimEnd()).join('\n---\n')
}

/** A table of resources of one kind. */
export async function renderResources(kind: Kind, resources: readonly Resource[], now: number): Promise<string> {
  const of = <R extends Resource>(wanted: R['kind']): R[] =>
    resources.filter((resource): resource is R => resource.kind === wanted)
  switch (kind) {
    case 'role':
      return renderRoles(of<Role>('role'))
    case 'user':
      return renderUsers(of<User>('user'))
    case 'token':
      return renderTokens(of('token'), now)
    case 'db':
      return renderDatabases(of<Database>('db'))
    case 'db_server':
      return renderServers(of<DatabaseServer>('db_server'), false)
    case 'lock':
      return renderLocks(of<Lock>('lock'))
    case 'health_check_config':
      return renderHealthChecks(of<HealthCheckConfig>('health_check_config'))
    default:
      return renderSettings(resources)
  }
}

function renderRoles(roles: readonly Role[]): Promise<string> {
  const rows = roles.map(({metadata, spec: {allow}}) => [
    metadata.name,
    (allow?.db_users ?? []).join(','),
    (allow?.db_names ?? []).join(','),
    Object.entries(allow?.db_labels ?? {})
      .map(([key, values]) => `${key}=${values.join('|')}`)
      .join(','),
    (allow?.rules ?? []).map(({resources, verbs}) => `${resources.join(',')}:${verbs.join(',')}`).join(' '),
  ])
  return renderTable(['Role', 'Database Users', 'Database Names', 'Database Labels', 'Access to resources'], rows)
}

export function renderUsers(users: readonly User[]): string | Promise<string> {
  if (users.length === 0) return 'There are no users.'
  return renderTable(
    ['User', 'Roles'],
    users.map(({metadata, spec}) => [metadata.name, spec.roles.join(',')]),
  )
}

function renderDatabases(databases: readonly Database[]): Promise<string> {
  const rows = databases.map(({metadata, spec}) => [
    metadata.name,
    spec.protocol,
    spec.uri,
    formatLabels(metadata.labels ?? {}),
  ])
  return renderTable(['Name', 'Protocol', 'URI', 'Labels'], rows)
}

function renderHealthChecks(configurations: readonly HealthCheckConfig[]): Promise<string> {
  const rows = configurations.map(({metadata, spec}) => [
    metadata.name,
    spec.interval,
    spec.timeout,
    `${spec.healthy_threshold}/${spec.unhealthy_threshold}`,
    (spec.match.db_labels ?? []).map(({name, values}) => `${name}=${values.join('|')}`).join(','),
    spec.match.db_labels_expression ?? '',
  ])
  const head = ['Name', 'Interval', 'Timeout', 'Healthy/Unhealthy', 'Database Labels', 'Expression']
  return renderTable(head, rows)
}

/** Of a kind of which there is one. */
function renderSettings(resources: readonly Resource[]): Promise<string> {
  const rows = resources.flatMap(({kind, metadata, spec}) =>
    Object.entries(spec).map(([key, value]) => [
      kind,
      key,
      typeof value === 'object' ? JSON.stringify(value) : String(value),
      metadata.labels?.['postern.dev/origin'] ?? '',
    ]),
  )
  return renderTable(['Kind', 'Setting', 'Value', 'Origin'], rows)
}

function renderLocks(locks: readonly Lock[]): Promise<string> {
  const rows = locks.map(({metadata, spec}) => [
    metadata.name,
    formatLabels(Object.fromEntries(Object.entries(spec.target).map(([key, value]) => [key, value ?? '']))),
    spec.message ?? '',
    spec.expires ?? 'never',
  ])
  return renderTable(['ID', 'Target', 'Message', 'Expires'], rows)
}
