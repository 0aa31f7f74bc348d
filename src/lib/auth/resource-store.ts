import {PosternError} from '../core/errors.js'
import {isSingleton, kindNouns, singletonNames, type Kind} from '../resources/kinds.js'
import type {Resource, ResourceOf} from '../resources/resource.js'
import {maskToken, withoutSecret} from '../resources/token-name.js'
import type {User} from '../resources/user.js'
import {hashOf, type Accounts} from './accounts.js'
import {actorFields, mayCall, type Caller} from './caller.js'
import type {Joining} from './joining.js'
import {PlainResources, type PlainResourcesOptions} from './plain-resources.js'
import {orNotFound, type Stored} from './records.js'
import {replaceResource} from './replacement.js'
import {unrevised, withoutRevision, withRevision} from './revision.js'
import {databaseKey, type UserRecord} from './stores.js'

export interface ResourceStoreOptions extends PlainResourcesOptions {
  readonly accounts: Accounts
  readonly joining: Joining
}

/** Resources of every kind as administrators read and write them, by kind and name. */
export class ResourceStore {
  readonly #options: ResourceStoreOptions
  readonly #plain: PlainResources

  constructor(options: ResourceStoreOptions) {
    this.#options = options
    this.#plain = new PlainResources(options)
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
      default:
        return this.#plain.list(kind)
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
        return this.#plain.create(resource, caller)
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
        return this.#plain.put(resource, caller)
    }
  }

  /** @throws PosternError NOT_FOUND, or CONFLICT for a role that users hold */
  async delete(kind: Kind, name: string, caller: Caller): Promise<void> {
    const {stores, accounts, audit} = this.#options
    switch (kind) {
      case 'user':
        return accounts.remove(name, caller)
      case 'token': {
        const fields = {...actorFields(caller), name: maskToken(name)}
        return orNotFound(
          audit.change([stores.tokens.removing(hashOf(name))], 'join_token.delete', fields),
          notFound(kind, maskToken(name)),
        )
      }
      case 'db_server': {
        const servers = await stores.serversOf(name)
        if (servers.length === 0) throw notFound(kind, name)
        for (const {spec} of servers) await stores.databaseServers.delete(`${databaseKey(name)}/${spec.host_id}`)
        return
      }
      default:
        return orNotFound(this.#plain.delete(kind, name, caller), notFound(kind, name))
    }
  }

  async #find(kind: Kind, name: string, caller: Caller): Promise<Resource[]> {
    const {stores} = this.#options
    switch (kind) {
      case 'user': {
        const record = await stores.users.get(name)
        return record ? [showUser(record)] : []
      }
      case 'token': {
        const token = await stores.tokens.get(hashOf(name))
        return token ? [showToken(withRevision(token), caller)] : []
      }
      case 'db_server':
        return stores.serversOf(name)
      default:
        return this.#plain.find(kind, name)
    }
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
