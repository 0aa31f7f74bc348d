import type {About} from '../access/rules.js'
import {PosternError} from '../core/errors.js'
import type {Kind} from '../resources/kinds.js'
import type {Resource} from '../resources/resource.js'
import type {Verb} from '../resources/role.js'
import {mayCall, missingPermission, type Caller} from './caller.js'
import type {ResourceStore} from './resource-store.js'

/** Resources as the rules of the caller's roles show them: conditions of rules are asked for each resource. */
export class GuardedResources {
  readonly #store: ResourceStore

  constructor(store: ResourceStore) {
    this.#store = store
  }

  /** Those that the caller may list. */
  async list(kind: Kind, caller: Caller): Promise<Resource[]> {
    return (await this.#store.list(kind, caller)).filter((resource) => may(caller, ['list'], resource))
  }

  /** @throws PosternError NOT_FOUND, ACCESS_DENIED */
  async get(kind: Kind, name: string, caller: Caller): Promise<Resource[]> {
    const found = await this.#store.get(kind, name, caller)
    const readable = found.filter((resource) => may(caller, ['read', 'readnosecrets'], resource))
    if (readable.length === 0) throw missingPermission(kind, 'read')
    return readable
  }

  /** @throws PosternError ALREADY_EXISTS, INVALID, ACCESS_DENIED */
  async create(resource: Resource, caller: Caller): Promise<void> {
    check(caller, 'create', resource)
    await this.#store.create(resource, caller)
  }

  /** Creates or replaces; whether it was created. @throws PosternError CONFLICT, ACCESS_DENIED */
  async put(resource: Resource, caller: Caller): Promise<boolean> {
    const {kind, metadata} = resource
    if (mayCall(caller, kind, 'update')) return this.#store.put(resource, caller)
    // Neither what there is nor what there will be may be out of the caller's reach.
    const [current] = await this.#existing(kind, metadata.name, caller)
    if (!current) {
      await this.create(resource, caller)
      return true
    }
    check(caller, 'update', current)
    check(caller, 'update', resource)
    // What was checked is what is replaced.
    const revision = metadata.revision ?? current.metadata.revision
    return this.#store.put({...resource, metadata: {...metadata, revision}}, caller)
  }

  /** @throws PosternError NOT_FOUND, CONFLICT, ACCESS_DENIED */
  async delete(kind: Kind, name: string, caller: Caller): Promise<void> {
    if (!mayCall(caller, kind, 'delete')) {
      for (const resource of await this.#store.get(kind, name, caller)) check(caller, 'delete', resource)
    }
    await this.#store.delete(kind, name, caller)
  }

  async #existing(kind: Kind, name: string, caller: Caller): Promise<Resource[]> {
    try {
      return await this.#store.get(kind, name, caller)
    } catch (error) {
      if (error instanceof PosternError && error.code === 'NOT_FOUND') return []
      throw error
    }
  }
}

function may(caller: Caller, verbs: readonly Verb[], resource: Resource): boolean {
  return verbs.some((verb) => mayCall(caller, resource.kind, verb, aboutOf(resource)))
}

function check(caller: Caller, verb: Verb, resource: Resource): void {
  if (!may(caller, [verb], resource)) throw missingPermission(resource.kind, verb)
}

function aboutOf(resource: Resource): About {
  const {kind, metadata} = resource
  // Servers of databases are known by the labels of their databases.
  const {labels} = kind === 'db_server' ? resource.spec.database.metadata : metadata
  return {resource: {kind, name: metadata.name, labels}}
}
