import {PosternError} from '../core/errors.js'
import type {Backend, Change, Item} from '../storage/backend.js'

/** A stored value with what compare-and-swap needs. */
export interface Stored<T> {
  readonly value: T
  readonly revision: number
  readonly expires?: number
}

/** Values of one kind, as JSON under a common prefix. What is read was written by us, so it is not checked again. */
export class Records<T> {
  readonly prefix: string
  readonly #backend: Backend

  constructor(backend: Backend, prefix: string) {
    this.#backend = backend
    this.prefix = prefix
  }

  async get(name: string): Promise<Stored<T> | undefined> {
    const item = await this.#backend.get(this.prefix + name)
    return item && this.read(item)
  }

  /** In the order of their names; only names with this beginning when one is given. */
  async list(beginning = ''): Promise<Stored<T>[]> {
    return (await this.#backend.range(this.prefix + beginning)).map((item) => this.read(item))
  }

  /** @throws PosternError ALREADY_EXISTS */
  create(name: string, value: T, expires?: number): Promise<number> {
    return this.#backend.create(this.prefix + name, JSON.stringify(value), expires)
  }

  put(name: string, value: T, expires?: number): Promise<number> {
    return this.#backend.put(this.prefix + name, JSON.stringify(value), expires)
  }

  delete(name: string): Promise<boolean> {
    return this.#backend.delete(this.prefix + name)
  }

  creating(name: string, value: T, expires?: number): Change {
    return {...this.putting(name, value, expires), expect: 'absent'}
  }

  swapping(name: string, revision: number, value: T, expires?: number): Change {
    return {...this.putting(name, value, expires), expect: revision}
  }

  putting(name: string, value: T, expires?: number): Change & {type: 'put'} {
    return {type: 'put', key: this.prefix + name, value: JSON.stringify(value), expires}
  }

  deleting(name: string): Change & {type: 'delete'} {
    return {type: 'delete', key: this.prefix + name}
  }

  /** Of what is there. */
  removing(name: string): Change {
    return {...this.deleting(name), expect: 'present'}
  }

  read({value, revision, expires}: Item): Stored<T> {
    return {value: JSON.parse(value) as T, revision, ...(expires === undefined ? {} : {expires})}
  }
}

/** The removal of what is there. @throws PosternError this one if it is not */
export function orNotFound(removal: Promise<void>, missing: PosternError): Promise<void> {
  return removal.catch((error: unknown) => {
    throw error instanceof PosternError && error.code === 'NOT_FOUND' ? missing : error
  })
}
