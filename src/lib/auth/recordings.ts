import {Readable} from 'node:stream'
import {denies} from '../access/rules.js'
import {isRecordingOnly, startRefused} from '../audit/event.js'
import {formatHead, parseHead} from '../audit/recording.js'
import type {Vouched} from '../audit/seal.js'
import {PosternError} from '../core/errors.js'
import type {RecordingFiles, RecordLine, StoredRecording} from '../storage/recording-files.js'
import type {AuditLog} from './audit-log.js'
import {
  actorFields,
  askerOf,
  mayCall,
  missingPermission,
  type Caller,
  type CallerVerifier,
  type HostCaller,
} from './caller.js'
import {Answer} from './route.js'
import type {SessionChain} from './session-chain.js'
import type {Stores} from './stores.js'

/** The kind of resource that roles name. */
const resource = 'session'
/** Whoever follows a recording is checked again so often, and before each new part. */
const recheckMilliseconds = 2000
/** Files that one request writes side by side. */
const filesAtOnce = 16

export interface RecordingsOptions {
  readonly files: RecordingFiles<Vouched>
  readonly cluster: string
  readonly audit: AuditLog
  readonly chain: Pick<SessionChain, 'startOf' | 'isPruned'>
  readonly stores: Stores
  readonly verifier: Pick<CallerVerifier, 'verifyUserCertificate' | 'checkUser' | 'verifyHost'>
}

/** An agent's event of a session. */
export interface SessionRecord extends RecordLine {
  readonly sid: string
}

/** The recordings of sessions: written by the host that has the session, read by whom the roles allow. */
export class Recordings {
  readonly #options: RecordingsOptions

  constructor(options: RecordingsOptions) {
    this.#options = options
  }

  /** Whether a host may tell of a session: nobody else has told of it. */
  accepts(sid: string, {hostId}: HostCaller): Promise<boolean> {
    return this.#options.files.accepts(sid, this.#head(sid, hostId))
  }

  /** What the newest seal of a recording that was just appended to vouches for. */
  sealed(sid: string): Vouched | undefined {
    return this.#options.files.sealed(sid)
  }

  /**
   * Appends events to the recordings of their sessions; those that are there already are left out.
   * @returns those in whose place there is another one
   */
  async append(records: readonly SessionRecord[], {hostId}: HostCaller): Promise<SessionRecord[]> {
    const {files} = this.#options
    const sessions = new Map<string, SessionRecord[]>()
    for (const record of records) {
      const own = sessions.get(record.sid)
      if (own) own.push(record)
      else sessions.set(record.sid, [record])
    }
    const conflicts: SessionRecord[] = []
    const waiting = [...sessions]
    while (waiting.length > 0) {
      const appending = waiting.splice(0, filesAtOnce).map(async ([sid, own]) => {
        const indexes = await files.append(sid, this.#head(sid, hostId), own)
        conflicts.push(...own.filter(({ei}) => indexes.includes(ei)))
      })
      await Promise.all(appending)
    }
    return conflicts
  }

  /**
   * A recording as it is stored (audit/recording.ts), for whoever may read it: those whose roles say so, and the user
   * whose session it was.
   * @throws PosternError NOT_FOUND, ACCESS_DENIED, CONFLICT while the session lives
   */
  async read(sid: string, caller: Caller, {follow}: {readonly follow: boolean}): Promise<Answer> {
    const stored = await this.#options.files.get(sid)
    const start = stored && readStart(stored)
    if (!stored || !start) {
      await stored?.close()
      if ((await this.#options.chain.startOf(sid))?.records === 0) throw notRecorded(sid)
      if (await this.#options.chain.isPruned(sid)) throw recordingPruned(sid)
      throw new PosternError('NOT_FOUND', `Recording for session ${sid} not found.`, {
        hint: '`postern recordings ls` lists the recordings.',
      })
    }
    try {
      if (!mayRead(caller, sid, start.user)) throw missingPermission(resource, 'read')
      if (!follow && !start.ended && (await this.#isConnected(parseHead(stored.head).serverId))) {
        throw new PosternError('CONFLICT', `Session ${sid} has not ended yet.`, {
          hint: 'Play it with --follow, or when it has.',
        })
      }
      await this.#options.audit.append('session.recording.access', {...actorFields(caller), sid, session_type: 'db'})
    } catch (error) {
      await stored.close()
      throw error
    }
    const type = {'content-type': 'application/x-ndjson'}
    if (!follow) return new Answer(200, {...type, 'content-length': String(stored.size)}, stored.read())
    await stored.close()
    return new Answer(200, type, Readable.from(this.#follow(sid, caller, start.user)))
  }

  /** A recording as it grows, up to its end. Whoever may not read it any more gets no more of it. */
  async *#follow(sid: string, caller: Caller, owner: string): AsyncGenerator<Buffer> {
    for (let offset = 0; ;) {
      const stored = await this.#options.files.get(sid)
      const start = stored && readStart(stored)
      if (!stored || !start) return
      if (stored.size > offset) yield* stored.read(offset) as AsyncIterable<Buffer>
      else await stored.close()
      offset = stored.size
      if (start.ended || !(await this.#isConnected(parseHead(stored.head).serverId))) return
      await this.#options.files.appended(sid, recheckMilliseconds)
      if (!mayRead(await this.#asOfNow(caller), sid, owner)) throw missingPermission(resource, 'read')
    }
  }

  /** @throws PosternError when a certificate has expired, or was revoked or locked out */
  async #asOfNow(caller: Caller): Promise<Caller> {
    const {verifier} = this.#options
    if (caller.kind === 'host') return verifier.verifyHost(caller.certificate)
    return verifier.checkUser(verifier.verifyUserCertificate(caller.certificate).identity, caller.certificate)
  }

  #head(sid: string, hostId: string): string {
    return formatHead({sid, serverId: hostId, cluster: this.#options.cluster})
  }

  /** Whether a host is there to end its sessions. */
  async #isConnected(hostId: string): Promise<boolean> {
    const {hosts, databaseServers} = this.#options.stores
    const serving = (await hosts.get(hostId))?.value.serving ?? []
    const heartbeats = await Promise.all(serving.map((database) => databaseServers.get(`${database}/${hostId}`)))
    return heartbeats.some((heartbeat) => heartbeat !== undefined)
  }
}

function notRecorded(sid: string): PosternError {
  return new PosternError('NOT_FOUND', `Session ${sid} was not recorded: session recording was off when it began.`, {
    hint: `The audit log has its statements: postern audit ls --session=${sid}`,
  })
}

/** The configuration keeps recordings for a time. */
export function recordingPruned(sid: string): PosternError {
  return new PosternError(
    'NOT_FOUND',
    `The recording of session ${sid} was removed: it was older than recordings are kept.`,
    {
      hint: `The audit log may still have its statements: postern audit ls --session=${sid}`,
    },
  )
}

/** Whether an event of an agent belongs into a recording. */
export function isRecorded(event: string, code: string): boolean {
  // A session that did not come about has nothing to play.
  return (event.startsWith('db.session.') && code !== startRefused) || event === 'client.disconnect'
}

/** Whether an event of an agent belongs into the audit log. */
export function isAudited(event: string): boolean {
  return !isRecordingOnly(event)
}

function readStart({first, last}: StoredRecording): {readonly user: string; readonly ended: boolean} | undefined {
  if (first === undefined || last === undefined) return undefined
  const {user} = parseRecord(first) ?? {}
  const end = parseRecord(last)
  // For a last record that is damaged no other one comes, and whoever reads it is told where it is.
  return {user: typeof user === 'string' ? user : '', ended: !end || end.event === 'db.session.end'}
}

/** Undefined when it is damaged. */
function parseRecord(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function mayRead(caller: Caller, sid: string, owner: string): boolean {
  const about = {session: {sid, participants: [owner]}}
  if (mayCall(caller, resource, 'read', about)) return true
  if (caller.kind !== 'user' || caller.name !== owner) return false
  return denies(askerOf(caller), resource, 'read', about) === false
}
