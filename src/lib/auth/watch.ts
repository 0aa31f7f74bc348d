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
import type {ReportSessionsRequest} from '../api/requests.js'
import type {WatchEvent} from '../api/watch-event.js'
import type {Clock} from '../core/clock.js'
import {messageOf, PosternError} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import {afterRunning} from '../core/running-time.js'
import {Absences} from './absences.js'
import type {Authorities} from './authorities.js'
import type {CallerVerifier, HostCaller} from './caller.js'
import {LineStream, type LineSink} from './route.js'
import type {Stores} from './stores.js'
import {gatherSessions, type ToldSessions} from './told-sessions.js'
import {watchedBy, type Projection} from './watched-items.js'

/** Items read at once for the first part of a stream. */
const pageSize = 500
/** Changes kept for a host that still reads its first items. */
const maximumKept = 10_000
/** For an agent to tell its sessions. */
const answerMilliseconds = 3000
/** A host pings every few seconds; of one that has done nothing for so long, only the connection is left. */
const goneMilliseconds = 60_000
/** setTimeout takes no more than 31 bits of milliseconds. */
const longestTimer = 2 ** 31 - 1

export interface WatchesOptions {
  readonly stores: Stores
  readonly authorities: Authorities
  readonly verifier: CallerVerifier
  readonly clock: Clock
  readonly logger: Logger
}

/** More than the processes of any host; of those that nobody reads any more some may be left. */
const maximumStreamsOfHost = 100

/** The open watch streams: one for each process of a host, whose newer one ends its older. */
export class Watches {
  readonly #options: WatchesOptions
  readonly #streams = new Map<string, Watch>()
  readonly #absences: Absences

  constructor(options: WatchesOptions) {
    this.#options = options
    this.#absences = new Absences(options.clock)
  }

  get size(): number {
    return this.#streams.size
  }

  /** @param follower which process of the host it is */
  open(caller: HostCaller, follower: string): LineStream {
    return new LineStream((sink) => {
      const own = [...this.#streams.values()].filter(({hostId}) => hostId === caller.hostId)
      const tooMany = own.slice(0, Math.max(0, own.length + 1 - maximumStreamsOfHost))
      for (const older of own) if (older.follower === follower || tooMany.includes(older)) older.end()
      const watch = new Watch(sink, caller, follower, this.#options)
      this.#streams.set(watch.id, watch)
      this.#absences.end(caller.hostId, follower)
      sink.onClose(() => {
        this.#streams.delete(watch.id)
        watch.stop()
        const isBack = [...this.#streams.values()].some(
          (other) => other.hostId === caller.hostId && other.follower === follower,
        )
        if (watch.isAgent && !isBack) this.#absences.begin(caller.hostId, follower)
      })
      watch.run().catch((error: unknown) => {
        const reason = messageOf(error)
        this.#options.logger.warn('A watch stream failed.', {host_id: caller.hostId, reason})
        watch.end()
      })
    })
  }

  /** Answers on the host's own stream. @throws PosternError NOT_FOUND */
  ping(id: string, sequence: number, {hostId}: HostCaller): void {
    const watch = this.#streams.get(id)
    if (watch?.hostId !== hostId) throw new PosternError('NOT_FOUND', 'There is no such watch stream of this host.')
    watch.pong(sequence)
  }

  /** Tells hosts of something that is no item. */
  tell(hostIds: ReadonlySet<string>, event: Extract<WatchEvent, {type: 'cancel'}>): void {
    for (const watch of this.#streams.values()) if (hostIds.has(watch.hostId)) watch.tell(event)
  }

  /** Asks the agents for their sessions, all of them or one host's; waits a moment for those that are about to come back. */
  async sessions(hostId?: string): Promise<ToldSessions> {
    let told = await this.#ask(hostId)
    // Who left in the middle of it may be about to come back as well.
    if (told.some(({report, watch}) => !report && watch.isOver)) told = await this.#ask(hostId)
    for (const {report, watch} of told) if (!report && watch.isGone) watch.end()
    const hostnames = new Map<string, string>()
    for (const {watch} of told)
      hostnames.set(watch.hostId, (await this.#options.stores.hosts.get(watch.hostId))?.value.hostname ?? '')
    return gatherSessions(
      told.map(({report, watch: {hostId: id, follower}}) => ({
        ...{hostId: id, hostname: hostnames.get(id) ?? '', follower},
        told: report,
      })),
    )
  }

  /** An agent's answer. @throws PosternError NOT_FOUND */
  answer(id: string, report: ReportSessionsRequest, {hostId}: HostCaller): void {
    const watch = this.#streams.get(id)
    if (watch?.hostId !== hostId) throw new PosternError('NOT_FOUND', 'There is no such watch stream of this host.')
    watch.answer(report.ask, report)
  }

  close(): void {
    for (const watch of this.#streams.values()) watch.end()
  }

  async #ask(hostId: string | undefined): Promise<{watch: Watch; report: ReportSessionsRequest | undefined}[]> {
    await this.#absences.over(hostId)
    const ask = randomUUID()
    const asked = [...this.#streams.values()].filter(
      (watch) => watch.isAgent && (hostId ?? watch.hostId) === watch.hostId,
    )
    return Promise.all(asked.map(async (watch) => ({watch, report: await watch.ask(ask, answerMilliseconds)})))
  }
}

class Watch {
  readonly id = randomUUID()
  readonly follower: string
  readonly #answers = new Map<string, (report: ReportSessionsRequest | undefined) => void>()
  readonly #sink: LineSink
  readonly #caller: HostCaller
  readonly #options: WatchesOptions
  readonly #projections: readonly Projection[]
  /** Names under which items were sent, by key. */
  readonly #sent = new Map<string, string>()
  readonly #stops: (() => void)[] = []
  /** What to tell once the host has everything; undefined from then on. */
  #kept: (() => void)[] | undefined = []
  #expiry: NodeJS.Timeout | undefined
  #stopped = false
  /** Monotonic milliseconds. */
  #heardAt: number

  constructor(sink: LineSink, caller: HostCaller, follower: string, options: WatchesOptions) {
    this.follower = follower
    this.#sink = sink
    this.#caller = caller
    this.#options = options
    this.#heardAt = options.clock.monotonic()
    this.#projections = watchedBy(caller.identity, options.stores)
  }

  get hostId(): string {
    return this.#caller.hostId
  }

  get isAgent(): boolean {
    return this.#caller.identity.systemRoles.includes('Db')
  }

  get isOver(): boolean {
    return this.#stopped
  }

  /** Whether nobody has been heard of it for so long that nobody will be. */
  get isGone(): boolean {
    return this.#options.clock.monotonic() - this.#heardAt > goneMilliseconds
  }

  /** The sessions of the process; undefined when it does not answer in time. */
  ask(ask: string, milliseconds: number): Promise<ReportSessionsRequest | undefined> {
    return new Promise((resolve) => {
      // A control plane that is held up itself does not take that for the agents' silence.
      const stop = afterRunning(milliseconds, () => {
        this.#settle(ask, undefined)
      })
      this.#answers.set(ask, (report) => {
        stop()
        resolve(report)
      })
      this.#inTurn(() => {
        this.#write({type: 'ask', ask})
      })
    })
  }

  answer(ask: string, report: ReportSessionsRequest): void {
    this.#heardAt = this.#options.clock.monotonic()
    this.#settle(ask, report)
  }

  async run(): Promise<void> {
    const {stores, authorities} = this.#options
    this.#write({type: 'hello', watchId: this.id})
    for (const projection of this.#projections) this.#follow(projection)
    this.#watchRevocation()
    for (const type of authorityTypes) {
      this.#write({type: 'put', kind: 'authority', name: type, item: {type, certificates: authorities.trusted(type)}})
    }
    for (const {prefix, project} of this.#projections) {
      for (let after: string | undefined; ;) {
        const page = await stores.backend.range(prefix, {limit: pageSize, ...(after === undefined ? {} : {after})})
        for (const {key, value} of page) this.#put(key, project(key, value))
        await this.#sink.drained()
        if (this.#stopped) return
        after = page.at(-1)?.key
        if (page.length < pageSize) break
      }
    }
    // Only now: a page may be older than a change that was heard of before it was sent.
    for (const tell of this.#kept ?? []) tell()
    this.#kept = undefined
    this.#write({type: 'ready'})
  }

  pong(sequence: number): void {
    this.#heardAt = this.#options.clock.monotonic()
    this.tell({type: 'pong', sequence})
  }

  tell(event: WatchEvent): void {
    this.#inTurn(() => {
      this.#write(event)
    })
  }

  end(): void {
    this.stop()
    this.#sink.end()
  }

  /** Listens no longer, for a stream that is closed. */
  stop(): void {
    this.#stopped = true
    for (const ask of this.#answers.keys()) this.#settle(ask, undefined)
    for (const stop of this.#stops.splice(0)) stop()
    clearTimeout(this.#expiry)
  }

  #settle(ask: string, report: ReportSessionsRequest | undefined): void {
    const settle = this.#answers.get(ask)
    this.#answers.delete(ask)
    settle?.(report)
  }

  #follow({prefix, kind, project}: Projection): void {
    const stop = this.#options.stores.backend.watch(prefix, (notice) => {
      this.#inTurn(() => {
        if (notice.type === 'put') this.#put(notice.item.key, project(notice.item.key, notice.item.value))
        else this.#gone(notice.key, kind)
      })
    })
    this.#stops.push(stop)
  }

  #put(key: string, event: ReturnType<Projection['project']>): void {
    // An item that the host may no longer see, or not under its old name, is gone for it.
    if (event.type === 'hidden' || this.#sent.get(key) !== event.name) this.#gone(key, event.kind)
    if (event.type === 'hidden') return
    this.#sent.set(key, event.name)
    this.#write(event)
  }

  #gone(key: string, kind: Projection['kind']): void {
    const name = this.#sent.get(key)
    if (name === undefined) return
    this.#sent.delete(key)
    this.#write({type: 'delete', kind, name})
  }

  /** Ends the stream when its host may no longer have one. */
  #watchRevocation(): void {
    const {stores, verifier, clock, logger} = this.#options
    const check = (): void => {
      verifier.verifyHost(this.#caller.certificate).catch((error: unknown) => {
        logger.info('A watch stream was ended.', {host_id: this.hostId, reason: messageOf(error)})
        this.end()
      })
    }
    this.#stops.push(
      stores.backend.watch(stores.locks.prefix, check),
      stores.backend.watch(stores.hosts.prefix + this.hostId, check),
    )
    const end = Date.parse(this.#caller.certificate.validTo)
    const wait = (): void => {
      const left = end - clock.now()
      this.#expiry = setTimeout(left <= longestTimer ? check : wait, Math.min(Math.max(left, 0), longestTimer)).unref()
    }
    wait()
  }

  #inTurn(tell: () => void): void {
    if (!this.#kept) tell()
    else if (this.#kept.length < maximumKept) this.#kept.push(tell)
    else this.end()
  }

  #write(event: WatchEvent): void {
    // A host that reads too slowly is cut off, and begins anew.
    if (!this.#stopped && !this.#sink.write(`${JSON.stringify(event)}\n`)) this.end()
  }
}
