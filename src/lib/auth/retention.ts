/**
 * What is older than the configuration wants to keep is removed, a little at a time, so that nobody waits for it:
 *
 *   recordings ── of sessions that have ended, as far as they are as they were sealed
 *                 event audit.recordings.prune, then for each: a link `pruned` in the chain of its agent, then the file goes
 *   events ────── from the oldest on, whole seals, as far as they are as they were sealed
 *                 event audit.events.prune, then for each few: the new head and the removal in one transaction
 *
 * What does not fit its seals stays, and removes nothing behind it: retention is no way to get rid of evidence.
 */
import {setTimeout as sleep} from 'node:timers/promises'
import {isSigned, parseSeal} from '../audit/seal.js'
import type {SealingKey, SealKeys, Vouched} from '../audit/seal.js'
import {verifyRecording} from '../audit/verification.js'
import type {Clock} from '../core/clock.js'
import {messageOf} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import type {Backend, SessionLink} from '../storage/backend.js'
import type {RecordingFiles} from '../storage/recording-files.js'
import type {AuditLog} from './audit-log.js'
import {formatHead, sealsBefore} from './event-chain.js'
import {writePrunedHead, type PrunedHead} from './pruned-head.js'
import type {SessionChain} from './session-chain.js'

/** How long something is kept, in milliseconds; for ever where nothing is said. */
export interface RetentionPeriods {
  readonly events?: number | undefined
  readonly recordings?: number | undefined
}

export interface RetentionOptions {
  readonly periods: RetentionPeriods
  readonly backend: Backend
  readonly files: RecordingFiles<Vouched>
  readonly audit: Pick<AuditLog, 'append'>
  readonly chain: Pick<SessionChain, 'append'>
  readonly sealing: {readonly key: SealingKey; readonly keys: SealKeys}
  readonly clock: Clock
  readonly logger: Logger
}

const sweepInterval = 3_600_000
/** One event tells of so many at most. */
const recordingsTogether = 1000
const eventsTogether = 20_000
/** Removed in one transaction, for which other writes wait. */
const eventsAtOnce = 1000
/** Between two of them others have their turn. */
const breath = 20
/** Who removes what is too old. */
const actor = {user: '@retention', user_kind: 3} as const

export class Retention {
  readonly #options: RetentionOptions
  readonly #closing = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #sweeping: Promise<void> = Promise.resolve()

  constructor(options: RetentionOptions) {
    this.#options = options
  }

  /** Sweeps now and every hour. */
  start(): void {
    const {periods, logger} = this.#options
    if (periods.events === undefined && periods.recordings === undefined) return
    const sweep = (): void => {
      this.#sweeping = this.#sweeping
        .then(() => this.sweep())
        .catch((error: unknown) => {
          logger.error('What is too old could not be removed.', {reason: messageOf(error)})
        })
    }
    this.#timer = setInterval(sweep, sweepInterval).unref()
    sweep()
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#closing.abort()
    await this.#sweeping
  }

  /** Removes all that is too old now. */
  async sweep(): Promise<void> {
    const {periods, clock} = this.#options
    const now = clock.now()
    if (periods.recordings !== undefined) await this.#pruneRecordings(now - periods.recordings)
    if (periods.events !== undefined) await this.#pruneEvents(now - periods.events)
  }

  async #pruneRecordings(olderThan: number): Promise<void> {
    const {files, audit, chain, logger} = this.#options
    let old: SessionLink[] = []
    const prune = async (): Promise<void> => {
      if (old.length === 0) return
      await audit.append('audit.recordings.prune', {...actor, ...told(olderThan), recordings: old.length})
      for (const end of old) {
        await chain.append([{...end, kind: 'pruned'}])
        await files.remove(end.sid)
      }
      old = []
    }
    for (const sid of await files.list()) {
      if (this.#closing.signal.aborted) return
      const end = await this.#oldRecording(sid, olderThan).catch((error: unknown) => {
        logger.error('A recording cannot be read, and is kept.', {sid, reason: messageOf(error)})
        return undefined
      })
      if (end) old.push(end)
      if (old.length === recordingsTogether) await prune()
    }
    await prune()
  }

  /** The end of a session whose recording is older and whole; undefined for one that is to be kept. */
  async #oldRecording(sid: string, olderThan: number): Promise<SessionLink | undefined> {
    const {files, backend, sealing, logger} = this.#options
    if ((await files.changed(sid)) >= olderThan) return undefined
    // The time of a file is anybody's to set who can write it; that of a seal is not.
    const seal = parseSeal((await files.newestSeal(sid)) ?? '')
    const links = await backend.listLinks({sid, limit: 3})
    const end = links.find(({kind}) => kind === 'end')
    if (!seal || !end || Date.parse(seal.time) >= olderThan) return undefined
    const stored = await files.get(sid)
    if (!stored) return undefined
    const {keys} = sealing
    const verdict = await verifyRecording(stored.read() as AsyncIterable<Buffer>, {keys})
    if (isSigned(seal, keys) && !verdict.broken && verdict.sealed.link === end.head) return end
    logger.error('A recording that is too old is kept: it is not as it was sealed.', {sid})
    return undefined
  }

  async #pruneEvents(olderThan: number): Promise<void> {
    for (;;) {
      const heads = await this.#oldEvents(olderThan)
      const newest = heads.at(-1)
      if (!newest) return
      const {backend, audit, sealing} = this.#options
      const fields = {...told(olderThan), position: newest.position, head: formatHead(newest)}
      await audit.append('audit.events.prune', {...actor, ...fields})
      for (const head of heads) {
        if (this.#closing.signal.aborted) return
        await backend.pruneEvents(head, writePrunedHead(head, sealing.key))
        await sleep(breath)
      }
    }
  }

  /** Seals of old events, each some events behind the one before; not all, where there are many. */
  async #oldEvents(olderThan: number): Promise<PrunedHead[]> {
    const {backend, sealing, logger} = this.#options
    const walk = sealsBefore({backend, keys: sealing.keys}, olderThan)
    const heads: PrunedHead[] = []
    let first: number | undefined
    let last: PrunedHead | undefined
    for (;;) {
      const {done, value} = await walk.next()
      if (done) {
        if (value) logger.error('Events that are too old are kept: one is not as it was sealed.', {...value})
        break
      }
      first ??= value.events
      if (last && value.events - (heads.at(-1)?.events ?? first) > eventsAtOnce) heads.push(last)
      last = value
      if (value.events - first > eventsTogether) break
    }
    if (last && last !== heads.at(-1)) heads.push(last)
    return heads
  }
}

function told(olderThan: number): {readonly older_than: string} {
  return {older_than: new Date(olderThan).toISOString()}
}
