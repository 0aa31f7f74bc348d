import {randomUUID} from 'node:crypto'
import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import Database from 'libsql'
import type {VerificationLine} from '../../../src/lib/api/verification.js'
import type {Vouched} from '../../../src/lib/audit/seal.js'
import {AuditLog} from '../../../src/lib/auth/audit-log.js'
import {AuditVerification} from '../../../src/lib/auth/audit-verification.js'
import type {HostCaller} from '../../../src/lib/auth/caller.js'
import {HostEvents} from '../../../src/lib/auth/host-events.js'
import {Recordings} from '../../../src/lib/auth/recordings.js'
import {Retention, type RetentionPeriods} from '../../../src/lib/auth/retention.js'
import {Sealing} from '../../../src/lib/auth/sealing.js'
import {SessionChain} from '../../../src/lib/auth/session-chain.js'
import {Stores} from '../../../src/lib/auth/stores.js'
import {UnrecordedSessions} from '../../../src/lib/auth/unrecorded-sessions.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {silentLogger} from '../../../src/lib/core/log.js'
import type {Backend} from '../../../src/lib/storage/backend.js'
import {RecordingFiles} from '../../../src/lib/storage/recording-files.js'
import {openSqlite} from '../../../src/lib/storage/sqlite.js'
import {formatEvents} from '../../helpers/event-lines.js'

export const cluster = 'postern.example.com'
const agent = {kind: 'host', hostId: 'e5e6a1b7-2c3d-4f50-8a9b-0c1d2e3f4a5b'} as HostCaller

export interface Question {
  readonly sid?: string
  readonly head?: string
  readonly meanwhile?: () => Promise<void>
}

/** The same backend, where something happens before events are read for the first time. */
function interrupted(backend: Backend, happen: () => Promise<void>): Backend {
  let happened: Promise<void> | undefined
  const storedEvents: Backend['storedEvents'] = async (page) => {
    await (happened ??= happen())
    return backend.storedEvents(page)
  }
  return new Proxy(backend, {
    get: (target, name): unknown => {
      if (name === 'storedEvents') return storedEvents
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

/** What the control plane keeps of sessions, without the network before it, and a clock that can be set. */
export class StoredAudit {
  readonly directory: string
  /** Milliseconds that its clock is ahead. */
  late = 0
  backend!: Backend
  log!: AuditLog
  files!: RecordingFiles<Vouched>
  #sealing!: Sealing
  #chain!: SessionChain
  #hostEvents!: HostEvents
  #sessions = 0
  readonly #stream = randomUUID()
  readonly #clock = {...systemClock, now: () => Date.now() + this.late}

  private constructor(directory: string) {
    this.directory = directory
  }

  static async create(): Promise<StoredAudit> {
    const stored = new StoredAudit(await mkdtemp(join(tmpdir(), 'postern-retention-')))
    await stored.#open()
    return stored
  }

  async remove(): Promise<void> {
    await this.backend.close()
    await rm(this.directory, {recursive: true})
  }

  /** A session of alice's as its agent tells it; without its end when it has not ended. */
  async session({ended = true, now = this.#clock.now()} = {}): Promise<string> {
    this.#sessions += 1
    const sid = randomUUID()
    const names = ['start', 'query', 'query', ...(ended ? ['end'] : [])].map((name) => `db.session.${name}`)
    const place = {agent_stream: this.#stream, agent_session: this.#sessions}
    const events = names.map((event, ei) => ({
      ...{ei, event, code: 'TDB00I', uid: randomUUID(), time: new Date(now).toISOString()},
      ...{cluster_name: cluster, user: 'alice', sid, ...(ei === 0 && place)},
    }))
    for (const some of [events.slice(0, 2), events.slice(2)]) {
      await this.#hostEvents.store(Buffer.from(formatEvents(...some)), agent)
    }
    return sid
  }

  retention(periods: RetentionPeriods): Retention {
    const {backend, files, log: audit} = this
    const parts = {chain: this.#chain, sealing: this.#sealing, clock: this.#clock, logger: silentLogger}
    return new Retention({...parts, backend, files, audit, periods})
  }

  /** Everything, or one session. @param meanwhile happens when the seals are read, and their events are not */
  async verify({sid, head, meanwhile}: Question = {}): Promise<VerificationLine[]> {
    const {files} = this
    const backend = meanwhile ? interrupted(this.backend, meanwhile) : this.backend
    const verification = new AuditVerification({
      ...{backend, files, sealing: this.#sealing, clock: this.#clock},
      settled: (sid) => this.#hostEvents.settled(sid),
    })
    const lines: VerificationLine[] = []
    const walk = sid === undefined ? verification.everything(head) : verification.session(sid)
    for await (const line of walk) lines.push(line)
    return lines
  }

  /** Somebody writes into the file of the control plane while that is down. */
  async tamper(...statements: string[]): Promise<void> {
    await this.backend.close()
    const database = new Database(join(this.directory, 'backend.sqlite'))
    for (const statement of statements) database.exec(statement)
    database.close()
    await this.#open()
  }

  async #open(): Promise<void> {
    this.backend = await openSqlite({path: join(this.directory, 'backend.sqlite'), clock: this.#clock})
    this.#sealing = await Sealing.load(this.backend, this.#clock)
    this.log = new AuditLog(this.backend, cluster, this.#clock, this.#sealing.key)
    this.files = await RecordingFiles.open(join(this.directory, 'recordings'), this.#sealing)
    const {backend, log: audit, files} = this
    const shared = {cluster, audit, clock: this.#clock, logger: silentLogger}
    const chain = new SessionChain({...shared, backend, sealing: this.#sealing})
    this.#chain = chain
    const nobody = (): never => {
      throw new Error('nobody reads here')
    }
    const verifier = {verifyUserCertificate: nobody, checkUser: nobody, verifyHost: nobody}
    const recordings = new Recordings({...shared, files, chain, stores: new Stores(backend), verifier})
    const unrecorded = new UnrecordedSessions({chain, recordings, mode: () => Promise.resolve('node')})
    this.#hostEvents = new HostEvents({...shared, chain, recordings, unrecorded})
  }
}
