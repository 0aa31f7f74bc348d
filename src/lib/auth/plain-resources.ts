/** The resources that are values and nothing more: roles, databases, locks, rules for health checks and the cluster's settings. */
import {compileMatch} from '../access/health-check-match.js'
import {checkRole} from '../access/role-check.js'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import {isSingleton, kindNouns, singletonNames} from '../resources/kinds.js'
import {expiryOf} from '../resources/metadata.js'
import type {Resource, ResourceOf} from '../resources/resource.js'
import {noExpiry, type AuditLog, type OwnEventName} from './audit-log.js'
import {actorFields, type Caller} from './caller.js'
import {defaultSettings, originLabel, settingsEvents, type ClusterSettings, type Settings} from './cluster-settings.js'
import type {Records} from './records.js'
import {replaceResource} from './replacement.js'
import {withoutRevision, withRevision} from './revision.js'
import {databaseKey, type Stores} from './stores.js'

export interface PlainResourcesOptions {
  readonly stores: Stores
  readonly settings: ClusterSettings
  readonly audit: AuditLog
  readonly clock: Clock
}

const byName = (name: string): string => name
const settings = (event: OwnEventName) => ({key: byName, created: event, updated: event, deleted: event})

/** Their keys, and the events of their life. */
const plain = {
  role: {key: byName, created: 'role.created', updated: 'role.updated', deleted: 'role.deleted'},
  db: {key: databaseKey, created: 'db.create', updated: 'db.update', deleted: 'db.delete'},
  lock: {key: byName, created: 'lock.created', updated: 'lock.created', deleted: 'lock.deleted'},
  health_check_config: {
    key: byName,
    created: 'health_check_config.create',
    updated: 'health_check_config.update',
    deleted: 'health_check_config.delete',
  },
  session_recording_config: settings(settingsEvents.session_recording_config),
  cluster_networking_config: settings(settingsEvents.cluster_networking_config),
  cluster_auth_preference: settings(settingsEvents.cluster_auth_preference),
} as const satisfies Readonly<
  Record<string, {key: (name: string) => string; created: OwnEventName; updated: OwnEventName; deleted: OwnEventName}>
>

type PlainKind = keyof typeof plain

export class PlainResources {
  readonly #options: PlainResourcesOptions

  constructor(options: PlainResourcesOptions) {
    this.#options = options
  }

  async list(kind: PlainKind): Promise<Resource[]> {
    if (isSingleton(kind)) return [await this.#options.settings.get(kind)]
    return (await this.#records(kind).list()).map(withRevision)
  }

  /** One or none. */
  async find(kind: PlainKind, name: string): Promise<Resource[]> {
    if (isSingleton(kind)) return name === singletonNames[kind] ? [await this.#options.settings.get(kind)] : []
    const stored = await this.#records(kind).get(plain[kind].key(name))
    return stored ? [withRevision(stored)] : []
  }

  /** @throws PosternError ALREADY_EXISTS, INVALID */
  async create(resource: ResourceOf[PlainKind], caller: Caller): Promise<void> {
    const {kind, metadata} = resource
    if (isSetting(resource) && !(await this.#options.settings.isChange(resource.kind, resource))) return
    const {clock} = this.#options
    const author = {created_at: new Date(clock.now()).toISOString(), created_by: actorFields(caller).user}
    try {
      const made = signedBy(author, prepare(resource))
      const change = this.#records(kind).creating(plain[kind].key(metadata.name), made, endOf(resource))
      await this.#options.audit.change([change], plain[kind].created, changeFields(resource, caller))
    } catch (error) {
      if (!(error instanceof PosternError && error.code === 'ALREADY_EXISTS')) throw error
      throw new PosternError('ALREADY_EXISTS', `There is a ${kindNouns[kind]} "${metadata.name}" already.`, {
        cause: error,
        hint: 'To replace it, use -f (--force).',
      })
    }
  }

  /** Creates or replaces; whether it was created. @throws PosternError CONFLICT, NOT_FOUND (replacement.ts) */
  async put(resource: ResourceOf[PlainKind], caller: Caller): Promise<boolean> {
    const {kind, metadata} = resource
    if (isSetting(resource) && !(await this.#options.settings.isChange(resource.kind, resource))) return false
    const records = this.#records(kind)
    const key = plain[kind].key(metadata.name)
    return replaceResource(resource, {
      read: () => records.get(key),
      create: () => this.create(resource, caller),
      swap: async ({revision, value}) => {
        const author = value.kind === 'lock' ? value.spec : {}
        const change = records.swapping(key, revision, signedBy(author, prepare(resource)), endOf(resource))
        await this.#options.audit.change([change], plain[kind].updated, changeFields(resource, caller))
      },
      caller,
    })
  }

  /** @throws PosternError NOT_FOUND, or CONFLICT for a role that users hold */
  async delete(kind: PlainKind, name: string, caller: Caller): Promise<void> {
    if (kind === 'role') await this.#checkUnused(name)
    if (isSingleton(kind)) await this.#options.settings.isChange(kind)
    const {key, deleted} = plain[kind]
    const actor = actorFields(caller)
    await this.#options.audit.change([this.#records(kind).removing(key(name))], deleted, {
      ...actor,
      name,
      updated_by: actor.user,
      ...(isSingleton(kind) && {settings: defaultSettings(kind).spec}),
    })
  }

  #records(kind: PlainKind): Records<ResourceOf[PlainKind]> {
    const {roles, databases, locks, healthChecks, settings} = this.#options.stores
    // Each is used for resources of its own kind only, which its caller has in hand.
    return {role: roles, db: databases, lock: locks, health_check_config: healthChecks, ...settings}[kind]
  }

  async #checkUnused(role: string): Promise<void> {
    const holders = (await this.#options.stores.users.list()).filter(({value}) => value.user.spec.roles.includes(role))
    if (holders.length === 0) return
    const names = holders.map(({value}) => value.user.metadata.name)
    throw new PosternError(
      'CONFLICT',
      `Role "${role}" is held by ${names.slice(0, 5).join(', ')}${names.length > 5 ? ' and others' : ''}.`,
      {
        hint: 'Take it from these users first: `postern users update NAME --set-roles=...`.',
      },
    )
  }
}

/** As it is stored: a role whose patterns were checked; a database and a setting that say where they come from. */
function prepare<T extends ResourceOf[PlainKind]>(resource: T): T {
  if (resource.kind === 'role') checkRole(resource)
  if (resource.kind === 'health_check_config') compileMatch(resource)
  const metadata = withoutRevision(resource.metadata)
  const hasOrigin = resource.kind === 'db' || isSetting(resource)
  const labels = hasOrigin ? {labels: {...metadata.labels, [originLabel]: 'dynamic'}} : {}
  return {...resource, metadata: {...metadata, ...labels}}
}

/** Milliseconds since 1970; undefined for one that does not expire. */
function endOf(resource: ResourceOf[PlainKind]): number | undefined {
  return expiryOf(resource.kind === 'lock' ? resource.spec : resource.metadata)
}

function isSetting(resource: Resource): resource is Settings {
  return isSingleton(resource.kind)
}

/** Who made a lock, and when, whatever its text says of that. */
function signedBy(
  {created_at: at, created_by: by}: Pick<ResourceOf['lock']['spec'], 'created_at' | 'created_by'>,
  resource: ResourceOf[PlainKind],
): ResourceOf[PlainKind] {
  return resource.kind === 'lock' ? {...resource, spec: {...resource.spec, created_at: at, created_by: by}} : resource
}

function changeFields(resource: ResourceOf[PlainKind], caller: Caller): Readonly<Record<string, unknown>> {
  const {kind, metadata} = resource
  const actor = actorFields(caller)
  return {
    ...actor,
    name: metadata.name,
    expires: metadata.expires ?? noExpiry,
    updated_by: actor.user,
    ...(kind === 'lock' ? {target: resource.spec.target} : {}),
    ...(isSetting(resource) ? {settings: resource.spec} : {}),
    ...(kind === 'db'
      ? {db_protocol: resource.spec.protocol, db_uri: resource.spec.uri, db_labels: metadata.labels ?? {}}
      : {}),
  }
}
