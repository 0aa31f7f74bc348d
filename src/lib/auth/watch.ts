/**
 * The watch stream (api/watch-event.ts), for one host:
 *
 *   host                              control plane
 *     │ GET /v1/watch ─────────────────►│ listens to changes from here on, and keeps them
 *     │ ◄─────────────── hello {watchId}│
 *     │ ◄──────────── put, for each item│ as fast as the host reads
 *     │ ◄──── the changes kept meanwhile│
 *     │ ◄────────────────────────── ready│
 *     │ ◄──────────────────── put, delete│ as they happen
 *     │ POST /v1/watch/:id/ping ────────►│
 *     │ ◄────────────── pong {sequence}  │ behind every change that was made before it
 */
import {randomUUID} from 'node:crypto'
import {authorityTypes} from '../api/responses.js'
import type {WatchedKind, WatchEvent} from '../api/watch-event.js'
import {PosternError} from '../core/errors.js'
import type {Database} from '../resources/database.js'
import type {DatabaseServer} from '../resources/database-server.js'
import type {Lock} from '../resources/lock.js'
import type {Role} from '../resources/role.js'
import type {Notice} from '../storage/backend.js'
import type {Authorities} from './authorities.js'
import type {HostCaller} from './caller.js'
import {outsideScope} from './heartbeats.js'
import {LineStream, type LineSink} from './route.js'
import type {HostRecord, Stores, UserRecord} from './stores.js'

/** What each kind of host needs to know, by the prefix of its keys in the storage. */
const kindsOfAgents = {'role/': 'role', 'user/': 'user', 'lock/': 'lock', 'db/': 'db', 'host/': 'host'} as const
const kindsOfProxies = {'db_server/': 'db_server', 'lock/': 'lock', 'host/': 'host'} as const

type Kinds = Readonly<Record<string, WatchedKind>>

/** The open watch streams; a host has one, and a newer one ends the older. */
export class Watches {
  readonly #stores: Stores
  readonly #authorities: Authorities
  readonly #open = new Map<string, Watch>()

  constructor(stores: Stores, authorities: Authorities) {
    this.#stores = stores
    this.#authorities = authorities
  }

  get size(): number {
    return this.#open.size
  }

  /** A new stream for a host. */
  open(caller: HostCaller): LineStream {
    return new LineStream((sink) => {
      for (const older of this.#open.values()) if (older.hostId === caller.hostId) older.end()
      const watch = new Watch(caller, sink, this.#stores, this.#authorities)
      this.#open.set(watch.id, watch)
      sink.onClose(() => {
        watch.end()
        this.#open.delete(watch.id)
      })
      void watch.run().catch(() => {
        watch.end()
      })
    })
  }

  /** @throws PosternError NOT_FOUND when the host has no such stream */
  ping(id: string, sequence: number, {hostId}: HostCaller): void {
    const watch = this.#open.get(id)
    if (watch?.hostId !== hostId) throw new PosternError('NOT_FOUND', 'There is no such watch stream.')
    watch.pong(sequence)
  }

  close(): void {
    for (const watch of this.#open.values()) watch.end()
  }
}

class Watch {
  readonly id = randomUUID()
  readonly hostId: string
  readonly #caller: HostCaller
  readonly #sink: LineSink
  readonly #stores: Stores
  readonly #authorities: Authorities
  readonly #kinds: Kinds
  /** Changes made while the first items are sent; undefined from `ready` on. */
  #kept: Notice[] | undefined = []
  readonly #unwatch: (() => void)[] = []
  #ended = false

  constructor(caller: HostCaller, sink: LineSink, stores: Stores, authorities: Authorities) {
    this.hostId = caller.hostId
    this.#caller = caller
    this.#sink = sink
    this.#stores = stores
    this.#authorities = authorities
    this.#kinds = caller.identity.systemRoles.includes('Proxy') ? kindsOfProxies : kindsOfAgents
  }

  async run(): Promise<void> {
    const {backend} = this.#stores
    for (const prefix of Object.keys(this.#kinds)) {
      this.#unwatch.push(
        backend.watch(prefix, (notice) => {
          if (this.#kept) this.#kept.push(notice)
          else this.#tell(notice)
        }),
      )
    }
    this.#write({type: 'hello', watchId: this.id})
    for (const type of authorityTypes) {
      const certificates = this.#authorities.trusted(type)
      this.#write({type: 'put', kind: 'authority', name: type, item: {type, certificates}})
    }
    for (const prefix of Object.keys(this.#kinds)) {
      for (const item of await backend.range(prefix)) {
        this.#tell({type: 'put', item})
        await this.#sink.drained()
        if (this.#ended) return
      }
    }
    const kept = this.#kept ?? []
    this.#kept = undefined
    for (const notice of kept) this.#tell(notice)
    this.#write({type: 'ready'})
  }

  pong(sequence: number): void {
    this.#write({type: 'pong', sequence})
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    for (const unwatch of this.#unwatch) unwatch()
    this.#sink.end()
  }

  #tell(notice: Notice): void {
    const key = notice.type === 'put' ? notice.item.key : notice.key
    const prefix = Object.keys(this.#kinds).find((candidate) => key.startsWith(candidate)) ?? ''
    const kind = this.#kinds[prefix]
    if (!kind) return
    const name = key.slice(prefix.length)
    const event = notice.type === 'put' ? this.#describe(kind, name, JSON.parse(notice.item.value)) : undefined
    this.#write(event ?? {type: 'delete', kind, name})
  }

  /** What the host may see of a stored value; undefined for nothing, as if it were not there. */
  #describe(kind: WatchedKind, name: string, value: unknown): WatchEvent | undefined {
    // What is read was written by us under this prefix (records.ts).
    switch (kind) {
      case 'role':
        return {type: 'put', kind, name, item: value as Role}
      case 'lock':
        return {type: 'put', kind, name, item: value as Lock}
      case 'db_server':
        return {type: 'put', kind, name, item: value as DatabaseServer}
      case 'db': {
        const item = value as Database
        return outsideScope(item, this.#caller.identity) ? undefined : {type: 'put', kind, name, item}
      }
      case 'user': {
        const {user} = value as UserRecord
        const from = user.status?.certs_valid_from
        const item = {name, roles: user.spec.roles, ...(from === undefined ? {} : {certsValidFrom: from})}
        return {type: 'put', kind, name, item}
      }
      case 'host': {
        const {certsValidFrom} = value as HostRecord
        return certsValidFrom === undefined
          ? undefined
          : {type: 'put', kind, name, item: {hostId: name, certsValidFrom}}
      }
      case 'authority':
        return undefined
    }
  }

  #write(event: WatchEvent): void {
    // A host that reads too slowly is cut off, and begins anew.
    if (!this.#ended && !this.#sink.write(`${JSON.stringify(event)}\n`)) this.end()
  }
}
