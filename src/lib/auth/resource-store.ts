import {compileMatch} from '../access/health-check-match.js'
import {checkRole} from '../access/role-check.js'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import {isSingleton, kindNouns, singletonNames, type Kind} from '../resources/kinds.js'
import type {Resource, ResourceOf} from '../resources/resource.js'
import {maskToken, withoutSecret} from '../resources/token-name.js'
import type {User} from '../resources/user.js'
import {hashOf, type Accounts} from './accounts.js'
import {noExpiry, type AuditLog, type OwnEventName} from './audit-log.js'
import {actorFields, mayCall, type Caller} from './caller.js'
import {defaultSettings, originLabel, settingsEvents, type ClusterSettings, type Settings} from './cluster-settings.js'
import type {Joining} from './joining.js'
import type {Records, Stored} from './records.js'
import {replaceResource} from './replacement.js'
import {databaseKey, type Stores, type UserRecord} from './stores.js'

export interface ResourceStoreOptions {
  readonly stores: Stores
  readonly accounts: Accounts
  readonly joining: Joining
  readonly settings: ClusterSettings
  readonly audit: AuditLog
  readonly clock: Clock
}

const byName = (name: string): string => name
const settings = (event: OwnEventName) => ({key: byName, created: event, updated: event, deleted: event})

/** Kinds that are plain values here: key and the events of their life. */
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

/** Resources as administrators read and write them, by kind and name. */
export class ResourceStore {
  readonly #options: ResourceStoreOptions

  constructor(options: ResourceStoreOptions) {
    this.#options = options
  }

  async list(kind: Kind, caller: Caller): Promise<Resource[]> {
    const {stores} = this.#options
    switch (kind) {
      case 'user':
        return (await stores.users.list()).map(showUser)
      case 'token':
        return (await stores.tokens.list()).map((token) => showToken(withRevision(token), caller))
      case 'db_server':
        return (await stores.databaseServers.list()).map(withRevision)
      case 'session_recording_config':
      case 'cluster_networking_config':
      case 'cluster_auth_preference':
        return [await this.#options.settings.get(kind)]
      default:
        return (await this.#records(kind).list()).map(withRevision)
    }
  }

  /** Several for `db_server`: one per agent. @throws PosternError NOT_FOUND */
  async get(kind: Kind, name: string, caller: Caller): Promise<Resource[]> {
    const found = await this.#find(kind, name, caller)
    if (found.length > 0) return found
    throw notFound(kind, kind === 'token' ? maskToken(name) : name)
  }

  /** @throws PosternError ALREADY_EXISTS, INVALID */
  async create(resource: Resource, caller: Caller): Promise<void> {
    switch (resource.kind) {
      case 'user':
        return this.#options.accounts.create(withoutStatus(resource), caller)
      case 'token':
        return this.#options.joining.createToken(unrevised(resource), caller)
      case 'db_server':
        throw announcedOnly()
      default:
        return this.#createPlain(resource, caller)
    }
  }

  /**
   * Creates or replaces; whether it was created. With a revision it only replaces, and only that revision.
   * @throws PosternError CONFLICT when it has another revision by now, NOT_FOUND when it is gone
   */
  async put(resource: Resource, caller: Caller): Promise<boolean> {
    switch (resource.kind) {
      case 'user':
        return this.#putUser(resource, caller)
      case 'token':
        return this.#putToken(resource, caller)
      case 'db_server':
        throw announcedOnly()
      default:
        return this.#putPlain(resource, caller)
    }
  }

  /** @throws PosternError NOT_FOUND, or CONFLICT for a role that users hold */
  async delete(kind: Kind, name: string, caller: Caller): Promise<void> {
    const {stores, accounts, audit} = this.#options
    switch (kind) {
      case 'user':
        return accounts.remove(name, caller)
      case 'token': {
        if (!(await stores.tokens.delete(hashOf(name)))) throw notFound(kind, maskToken(name))
        await audit.append('join_token.delete', {...actorFields(caller), name: maskToken(name)})
        return
      }
      case 'db_server': {
        const servers = await stores.serversOf(name)
        if (servers.length === 0) throw notFound(kind, name)
        for (const {spec} of servers) await stores.databaseServers.delete(`${databaseKey(name)}/${spec.host_id}`)
        return
      }
      default: {
        if (kind === 'role') await this.#checkUnused(name)
        if (isSingleton(kind)) await this.#options.settings.isChange(kind)
        const {key, deleted} = plain[kind]
        if (!(await this.#records(kind).delete(key(name)))) throw notFound(kind, name)
        await audit.append(deleted, {
          ...actorFields(caller),
          name,
          updated_by: actorFields(caller).user,
          ...(isSingleton(kind) && {settings: defaultSettings(kind).spec}),
        })
      }
    }
  }

  async #find(kind: Kind, name: string, caller: Caller): Promise<Resource[]> {
    const {stores} = this.#options
    const one = <T extends Resource>(stored: Stored<T> | undefined): T[] => (stored ? [withRevision(stored)] : [])
    switch (kind) {
      case 'user': {
        const record = await stores.users.get(name)
        return record ? [showUser(record)] : []
      }
      case 'token':
        return one(await stores.tokens.get(hashOf(name))).map((token) => showToken(token, caller))
      case 'db_server':
        return stores.serversOf(name)
      case 'session_recording_config':
      case 'cluster_networking_config':
      case 'cluster_auth_preference':
        return name === singletonNames[kind] ? [await this.#options.settings.get(kind)] : []
      default:
        return one(await this.#records(kind).get(plain[kind].key(name)))
    }
  }

  #records(kind: PlainKind): Records<ResourceOf[PlainKind]> {
    const {roles, databases, locks, healthChecks, settings} = this.#options.stores
    // Each is used for resources of its own kind only, which its caller has in hand.
    return {role: roles, db: databases, lock: locks, health_check_config: healthChecks, ...settings}[kind]
  }

  async #createPlain(resource: ResourceOf[PlainKind], caller: Caller): Promise<void> {
    const {kind, metadata} = resource
    if (isSetting(resource) && !(await this.#options.settings.isChange(resource.kind, resource))) return
    const {clock} = this.#options
    const author = {created_at: new Date(clock.now()).toISOString(), created_by: actorFields(caller).user}
    try {
      const made = signedBy(author, prepare(resource))
      await this.#records(kind).create(plain[kind].key(metadata.name), made, expiryOf(resource))
    } catch (error) {
      if (!(error instanceof PosternError && error.code === 'ALREADY_EXISTS')) throw error
      throw new PosternError('ALREADY_EXISTS', `There is a ${kindNouns[kind]} "${metadata.name}" already.`, {
        cause: error,
        hint: 'To replace it, use -f (--force).',
      })
    }
    await this.#options.audit.append(plain[kind].created, changeFields(resource, caller))
  }

  async #putPlain(resource: ResourceOf[PlainKind], caller: Caller): Promise<boolean> {
    const {kind, metadata} = resource
    if (isSetting(resource) && !(await this.#options.settings.isChange(resource.kind, resource))) return false
    const records = this.#records(kind)
    const key = plain[kind].key(metadata.name)
    return replaceResource(resource, {
      read: () => records.get(key),
      create: () => this.#createPlain(resource, caller),
      swap: async ({revision, value}) => {
        const author = value.kind === 'lock' ? value.spec : {}
        await records.swap(key, revision, signedBy(author, prepare(resource)), expiryOf(resource))
        await this.#options.audit.append(plain[kind].updated, changeFields(resource, caller))
      },
      caller,
    })
  }

  #putToken(token: ResourceOf['token'], caller: Caller): Promise<boolean> {
    const {stores, joining} = this.#options
    return replaceResource(token, {
      read: () => stores.tokens.get(hashOf(token.metadata.name)),
      create: () => joining.createToken(unrevised(token), caller),
      swap: ({revision}) => joining.replaceToken(unrevised(token), revision, caller),
      caller,
    })
  }

  #putUser(user: User, caller: Caller): Promise<boolean> {
    const {stores, accounts} = this.#options
    return replaceResource(user, {
      read: () => stores.users.get(user.metadata.name),
      create: () => accounts.create(withoutStatus(user), caller),
      swap: (current) => accounts.update(withoutStatus(user), current, caller),
      caller,
    })
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

function expiryOf(resource: Resource): number | undefined {
  const expires = resource.kind === 'lock' ? resource.spec.expires : resource.metadata.expires
  return expires === undefined ? undefined : Date.parse(expires)
}

function withRevision<T extends Resource>({value, revision}: Stored<T>): T {
  return {...value, metadata: {...value.metadata, revision: String(revision)}}
}

function showUser({value, revision}: Stored<UserRecord>): User {
  const {user, password} = value
  return {
    ...user,
    metadata: {...user.metadata, revision: String(revision)},
    status: {...user.status, password_state: password ? 'set' : 'unset'},
  }
}

/** A token's name is its secret: only who may read tokens sees it. */
function showToken(token: ResourceOf['token'], caller: Caller): ResourceOf['token'] {
  return mayCall(caller, 'token', 'read') ? token : withoutSecret(token)
}

/** The status of a user is the control plane's to write. */
function withoutStatus(user: User): User {
  return {kind: user.kind, version: user.version, metadata: withoutRevision(user.metadata), spec: user.spec}
}

const unrevised = <T extends Resource>(resource: T): T => ({...resource, metadata: withoutRevision(resource.metadata)})

/** A revision belongs to the storage, not to the value. */
function withoutRevision<T extends {revision?: string | undefined}>(metadata: T): Omit<T, 'revision'> {
  return Object.fromEntries(Object.entries(metadata).filter(([key]) => key !== 'revision')) as Omit<T, 'revision'>
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

function notFound(kind: Kind, name: string): PosternError {
  if (isSingleton(kind) && name === singletonNames[kind]) {
    return new PosternError('NOT_FOUND', `The ${kindNouns[kind]} has its defaults already.`)
  }
  return new PosternError('NOT_FOUND', `There is no ${kindNouns[kind]} "${name}".`, {
    hint: `List what there is with \`postern get ${kind}\`.`,
  })
}

function announcedOnly(): PosternError {
  return new PosternError('INVALID', 'A database server is what an agent announces; it cannot be created.', {
    hint: 'Create a db resource, or name the database in the configuration of an agent.',
  })
}
