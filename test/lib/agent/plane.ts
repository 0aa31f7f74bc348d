import {randomUUID, X509Certificate} from 'node:crypto'
import {setTimeout as sleep} from 'node:timers/promises'
import type {ApiClient} from '../../../src/lib/api/client.js'
import type {ForwardCancelRequest, HeartbeatRequest, ReportSessionsRequest} from '../../../src/lib/api/requests.js'
import type {WatchEvent, WatchedItems, WatchedKind} from '../../../src/lib/api/watch-event.js'
import {PosternError} from '../../../src/lib/core/errors.js'
import {decodeIdentity} from '../../../src/lib/pki/identity.js'
import {createAuthority, issueCertificate, type Authority} from '../../../src/lib/pki/issuing.js'
import type {HealthCheckConfig} from '../../../src/lib/resources/health-check-config.js'
import {databaseServerName} from '../../../src/lib/resources/route.js'
import {parseEvents} from '../../helpers/event-lines.js'

export const cluster = 'example.com'
export const minute = 60_000

/** As an administrator would write it; intervals may be shorter than the control plane allows. */
export function healthCheckConfig(name: string, spec: Partial<HealthCheckConfig['spec']> = {}): HealthCheckConfig {
  const match = {db_labels: [{name: '*', values: ['*']}]}
  const usual = {interval: '30s', timeout: '60s', healthy_threshold: 2, unhealthy_threshold: 1, match}
  return {kind: 'health_check_config', version: 'v1', metadata: {name}, spec: {...usual, ...spec}}
}

type Put = {[K in WatchedKind]: {kind: K; name: string; item: WatchedItems[K]}}[WatchedKind]

/**
 * A control plane that does as it is told: it streams what the test puts into it, answers pings unless it is muted, keeps
 * what agents send, and issues real certificates.
 */
export class Plane {
  readonly heartbeats: HeartbeatRequest[] = []
  readonly events: Readonly<Record<string, unknown>>[] = []
  /** Answers no more pings, but goes on sending lines. */
  muted = false
  /** Whether users may have one more session somewhere. */
  admits: boolean | 'away' | 'later' = true
  /** Sessions that are about to begin, as an agent told it last; `ask` has it tell. */
  opening: readonly string[] | undefined
  /** Takes no events. */
  deaf = false
  /** Wants no events, for good. */
  refusesEvents = false
  /** Requests with events that were not taken. */
  turnedAway = 0
  /** Databases refused in heartbeats. */
  refused: {name: string; reason: string}[] = []
  clientCertificates = 0
  /** Cancel requests that agents had no session for. */
  readonly forwardedCancels: ForwardCancelRequest[] = []
  readonly #items = new Map<string, Put>()
  readonly #streams = new Map<string, LineQueue>()

  readonly user: Authority
  readonly host: Authority
  readonly db: Authority
  readonly dbClient: Authority

  private constructor(user: Authority, host: Authority, db: Authority, dbClient: Authority) {
    this.user = user
    this.host = host
    this.db = db
    this.dbClient = dbClient
    this.put({kind: 'authority', name: 'user', item: {type: 'user', certificates: [user.certificate]}})
    this.put({kind: 'health_check_config', name: 'default', item: healthCheckConfig('default')})
  }

  static async create(): Promise<Plane> {
    const now = Date.now()
    const types = ['user', 'host', 'db', 'db_client']
    const [user, host, db, dbClient] = await Promise.all(types.map((type) => createAuthority({cluster, type, now})))
    if (!user || !host || !db || !dbClient) throw new Error('authorities are missing')
    return new Plane(user, host, db, dbClient)
  }

  put(item: Put): void {
    this.#items.set(`${item.kind}/${item.name}`, item)
    this.#send({type: 'put', ...item})
  }

  delete(kind: WatchedKind, name: string): void {
    this.#items.delete(`${kind}/${name}`)
    this.#send({type: 'delete', kind, name})
  }

  /** Tells the agents of a cancel request that another one has passed on. */
  cancel({user, pid, secret}: Omit<ForwardCancelRequest, 'database'>): void {
    this.#send({type: 'cancel', user, pid, secret})
  }

  /** Has the agents tell of their sessions. */
  ask(): void {
    this.#send({type: 'ask', ask: randomUUID()})
  }

  /** Watch streams that are open. */
  get streams(): number {
    return this.#streams.size
  }

  /** Whether agents follow, and have dealt with everything so far. */
  heard(): boolean {
    const streams = [...this.#streams.values()]
    return streams.length > 0 && streams.every((stream) => stream.drained)
  }

  /** Breaks the watch streams; agents come back by themselves. */
  breakStreams(): void {
    for (const stream of this.#streams.values()) stream.end()
    this.#streams.clear()
  }

  /** The events of one session, or all, in order. */
  eventsOf(sid?: unknown): Readonly<Record<string, unknown>>[] {
    return this.events.filter((event) => sid === undefined || event.sid === sid)
  }

  /** What an agent uses of the API. */
  get api(): ApiClient {
    const api: Partial<Record<keyof ApiClient, unknown>> = {
      transport: {stream: (_path: string, signal: AbortSignal) => Promise.resolve(this.#watch(signal))},
      ping: (id: string, {sequence}: {sequence: number}) => {
        this.#streams.get(id)?.push(this.muted ? this.#anything() : {type: 'pong', sequence})
        return Promise.resolve()
      },
      heartbeat: (body: HeartbeatRequest) => {
        this.heartbeats.push(body)
        return Promise.resolve({refused: this.refused})
      },
      emitEvents: (lines: Buffer) => {
        if (this.deaf || this.refusesEvents) {
          this.turnedAway += 1
          const code = this.deaf ? 'UNREACHABLE' : 'CONFLICT'
          return Promise.reject(new PosternError(code, 'The control plane takes no events.'))
        }
        this.events.push(...parseEvents(lines))
        return Promise.resolve()
      },
      admitSession: async () => {
        while (this.admits === 'later') await sleep(20)
        if (this.admits === 'away') throw new PosternError('UNREACHABLE', 'The control plane is away.')
        return {admitted: this.admits}
      },
      reportSessions: (_watch: string, {opening}: ReportSessionsRequest) => {
        this.opening = opening
        return Promise.resolve()
      },
      forwardCancel: (body: ForwardCancelRequest) => {
        this.forwardedCancels.push(body)
        return Promise.resolve()
      },
      databaseClientCertificate: async (body: {publicKey: string; userCertificate: string}) => {
        this.clientCertificates += 1
        const identity = decodeIdentity(new X509Certificate(body.userCertificate).raw)
        const certificate = await issueCertificate({
          authority: this.dbClient,
          publicKey: body.publicKey,
          commonName: identity.kind === 'user' ? (identity.route?.dbUser ?? '') : '',
          purposes: ['client'],
          notBefore: Date.now() - minute,
          notAfter: Date.now() + 5 * minute,
        })
        return {certificate, databaseAuthorities: [this.db.certificate]}
      },
      directServerCertificate: async (body: {publicKey: string; database: string}) => {
        const certificate = await issueCertificate({
          authority: this.host,
          publicKey: body.publicKey,
          commonName: 'direct',
          purposes: ['server'],
          hosts: [databaseServerName(body.database, cluster)],
          notBefore: Date.now() - minute,
          notAfter: Date.now() + 60 * minute,
        })
        return {certificate, hostAuthorities: [this.host.certificate]}
      },
    }
    return api as ApiClient
  }

  #watch(signal: AbortSignal): AsyncIterable<Buffer> {
    const watchId = randomUUID()
    const lines = new LineQueue()
    this.#streams.set(watchId, lines)
    signal.addEventListener('abort', () => {
      this.#streams.delete(watchId)
      lines.end()
    })
    lines.push({type: 'hello', watchId})
    for (const item of this.#items.values()) lines.push({type: 'put', ...item})
    lines.push({type: 'ready'})
    return lines.read()
  }

  /** A line that says nothing new: bytes keep coming, but no ping is answered. */
  #anything(): WatchEvent {
    return {type: 'delete', kind: 'role', name: 'nothing'}
  }

  #send(event: WatchEvent): void {
    for (const stream of this.#streams.values()) stream.push(event)
  }
}

class LineQueue {
  #lines: Buffer[] = []
  #ended = false
  #wake: () => void = () => undefined
  /** The reader asks for more than there is. */
  drained = false

  push(event: WatchEvent): void {
    this.#lines.push(Buffer.from(`${JSON.stringify(event)}\n`))
    this.drained = false
    this.#wake()
  }

  end(): void {
    this.#ended = true
    this.#wake()
  }

  async *read(): AsyncGenerator<Buffer> {
    for (;;) {
      yield* this.#lines.splice(0)
      if (this.#ended) return
      this.drained = this.#lines.length === 0
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        if (this.#lines.length > 0 || this.#ended) resolve()
      })
    }
  }
}
