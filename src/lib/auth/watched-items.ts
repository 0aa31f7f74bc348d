import type {WatchedKind, WatchEvent} from '../api/watch-event.js'
import {singletonKinds} from '../resources/kinds.js'
import type {HostIdentity} from '../pki/identity.js'
import type {Settings} from './cluster-settings.js'
import {outsideScope} from './heartbeats.js'
import type {Records} from './records.js'
import type {Stores} from './stores.js'

type Put = Extract<WatchEvent, {type: 'put'}>

/** How stored items of one kind look to a host; `hidden` for one that it needs not know. */
export interface Projection {
  readonly kind: WatchedKind
  readonly prefix: string
  readonly project: (key: string, value: string) => Put | {readonly type: 'hidden'; readonly kind: WatchedKind}
}

/** What a host is told of, by its system roles: nothing that it does not need. */
export function watchedBy(identity: HostIdentity, stores: Stores): Projection[] {
  const lock = projection('lock', stores.locks, (name, item) => ({type: 'put', kind: 'lock', name, item}))
  const host = projection('host', stores.hosts, (name, {hostId, certsValidFrom}) =>
    certsValidFrom === undefined ? undefined : {type: 'put', kind: 'host', name, item: {hostId, certsValidFrom}},
  )
  const ending = projection('ending', stores.endings, (name, item) =>
    item.hostId === identity.hostId ? {type: 'put', kind: 'ending', name, item} : undefined,
  )
  const role = projection('role', stores.roles, (name, item) => ({type: 'put', kind: 'role', name, item}))
  const user = projection('user', stores.users, (name, {user: {spec, status}}) => {
    const from = status?.certs_valid_from
    const item = {
      name,
      roles: spec.roles,
      ...(Object.keys(spec.traits).length > 0 && {traits: spec.traits}),
      ...(from !== undefined && {certsValidFrom: from}),
    }
    return {type: 'put', kind: 'user', name, item}
  })
  // An agent hears of the databases that its join token lets it serve.
  const db = projection('db', stores.databases, (_name, item) =>
    outsideScope(item, identity) === undefined ? {type: 'put', kind: 'db', name: item.metadata.name, item} : undefined,
  )
  const healthCheck = projection('health_check_config', stores.healthChecks, (name, item) => ({
    type: 'put',
    kind: 'health_check_config',
    name,
    item,
  }))
  const settings = singletonKinds.map((kind) =>
    projection(
      kind,
      stores.settings[kind] as Records<Settings>,
      (name, item) => ({type: 'put', kind, name, item}) as Put,
    ),
  )
  const server = projection('db_server', stores.databaseServers, (_name, item) => {
    const name = `${item.spec.host_id}/${item.metadata.name}`
    return {type: 'put', kind: 'db_server', name, item}
  })
  return identity.systemRoles.includes('Proxy')
    ? [lock, host, server]
    : [lock, host, role, user, db, healthCheck, ...settings, ending]
}

function projection<T>(
  kind: WatchedKind,
  records: Records<T>,
  show: (name: string, value: T) => Put | undefined,
): Projection {
  return {
    kind,
    prefix: records.prefix,
    project: (key, value) => show(key.slice(records.prefix.length), JSON.parse(value) as T) ?? {type: 'hidden', kind},
  }
}
