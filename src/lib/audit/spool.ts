/**
 * What an agent has to tell the control plane, on disk before it happens:
 *
 *   session ──append──► segment 1 │ segment 2 │ segment 3 (current) ──read──► shipper ──► control plane
 *                       one write(2) before the bytes are forwarded            acknowledged segments are deleted
 *
 * What a client asks for is there before the database hears of it. What came of it follows within milliseconds, with whatever
 * is written next: of an agent that is killed in between, the spool says what was asked and that nobody knows the outcome.
 * A write(2) survives the death of the process, fsync each second and at the end of a session that of the machine. A segment
 * holds one event per line, and lines of our own that name the sessions which are open and how many there were: whoever
 * finds the segments of a killed agent can end them, and goes on counting.
 */
import {randomUUID} from 'node:crypto'
import {mkdir} from 'node:fs/promises'
import {join} from 'node:path'
import type {Clock} from '../core/clock.js'
import {messageOf, PosternError} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import {SharedRuns} from '../core/shared-runs.js'
import type {AuditEvent} from './event.js'
import {beginningOf, nameOf, readLeftovers} from './leftovers.js'
import {
  endUnfinished,
  eventLines,
  formatOpenSessions,
  UnfinishedSessions,
  type Numbering,
  type OpenSession,
} from './open-sessions.js'
import {Segment} from './segment.js'

export interface SpoolOptions {
  readonly directory: string
  readonly clock: Clock
  readonly logger: Logger
  /** Size at which the next segment begins; 8 MiB unless told. */
  readonly segmentBytes?: number | undefined
}

export interface Batch {
  /** One event each, as they were written. */
  readonly lines: Buffer
  /** They need not be read again. */
  acknowledge(): Promise<void>
}

const defaultSegmentBytes = 8 * 1024 * 1024
const syncMilliseconds = 1000
/** Lines that may wait are written after this time, when nothing else was: a write(2) costs as much as reading a statement. */
const holdMilliseconds = 5
/** So much does not wait. */
const mostHeldCharacters = 64 * 1024
/** One batch, sent as one. */
const batchBytes = 1024 * 1024

export class Spool {
  /** Called after events were appended. */
  onAppend: () => void = () => undefined
  readonly #options: SpoolOptions
  /** Oldest first; the last one is written to. */
  readonly #segments: Segment[]
  readonly #open = new Map<string, OpenSession>()
  /** Those whose last lines are written next. */
  #ended: OpenSession[] = []
  readonly #timer: NodeJS.Timeout
  #current: Segment
  /** Bytes that the current segment began with. */
  #headBytes = 0
  #numbering: Numbering
  #created = 0
  /** When the newest segment began, by its name. */
  #began: number
  /** Lines that are not written yet, and who hears when they cannot be. */
  #held = ''
  readonly #holders = new Set<(reason: string) => void>()
  #holding = false
  /** The newest lines could not be written. */
  #failing = false
  readonly #syncs = new SharedRuns(() => this.#syncSegments())
  #closed = false

  private constructor(options: SpoolOptions, leftovers: readonly Segment[], numbering: Numbering) {
    this.#options = options
    this.#numbering = numbering
    const newest = leftovers.at(-1)
    this.#began = newest ? beginningOf(newest) + 1 : 0
    this.#current = this.#create()
    this.#headBytes = this.#current.size
    this.#segments = [...leftovers, this.#current]
    this.#timer = setInterval(() => {
      this.#writeHeld()
      this.sync().catch((error: unknown) => {
        options.logger.error('The audit spool cannot be synced to disk.', {reason: messageOf(error)})
      })
    }, syncMilliseconds)
    this.#timer.unref()
  }

  /**
   * Opens the spool of a data directory that no other process uses, with what earlier processes left in it: their events
   * are sent as if nothing had happened, and sessions that they could not end are ended.
   * @throws PosternError FAILED when the directory cannot be used
   */
  static async open(options: SpoolOptions): Promise<Spool> {
    const {directory, clock, logger} = options
    try {
      await mkdir(directory, {recursive: true, mode: 0o700})
      const unfinished = new UnfinishedSessions()
      const leftovers = await readLeftovers(directory, unfinished, logger)
      const spool = new Spool(options, leftovers, unfinished.numbering ?? {stream: randomUUID(), sessions: 0})
      const ends = endUnfinished(unfinished, clock.now())
      if (ends !== '') spool.append(ends)
      await spool.sync()
      return spool
    } catch (error) {
      throw new PosternError('FAILED', `The audit spool ${directory} cannot be opened: ${messageOf(error)}.`, {
        cause: error,
        hint: 'Check that the data directory belongs to the user who runs the agent, and that the disk is not full.',
      })
    }
  }

  /** Bytes that the control plane has not acknowledged. */
  get backlogBytes(): number {
    return this.#segments.reduce((total, {size, acknowledged}) => total + size - acknowledged, 0)
  }

  /** Writes lines with write(2). @throws PosternError FAILED when they cannot be kept */
  append(lines: string): void {
    const bytes = Buffer.from(this.#held + lines)
    try {
      if (this.#isFull(bytes.length)) this.#rotate()
      this.#current.append(bytes)
    } catch (error) {
      const reason = messageOf(error)
      if (!this.#failing)
        this.#options.logger.error('The audit spool cannot be written: sessions that need it end.', {reason})
      this.#failing = true
      throw new PosternError('FAILED', `The audit spool cannot be written: ${reason}.`, {
        cause: error,
        hint: 'Make room on the disk of the agent.',
      })
    }
    if (this.#failing) this.#options.logger.info('The audit spool can be written again, and nothing is missing in it.')
    this.#failing = false
    this.#held = ''
    this.#holders.clear()
    for (const {sid} of this.#ended.splice(0)) this.#open.delete(sid)
    this.onAppend()
  }

  /** Writes lines within milliseconds, before all that come later. `onFailure` hears why they cannot be kept. */
  appendSoon(lines: string, onFailure: (reason: string) => void): void {
    this.#held += lines
    this.#holders.add(onFailure)
    if (this.#held.length > mostHeldCharacters) this.#writeHeld()
    else if (!this.#holding) {
      this.#holding = true
      setTimeout(() => {
        this.#holding = false
        this.#writeHeld()
      }, holdMilliseconds).unref()
    }
  }

  /** The name and the number of a session that begins, as its first event carries them. */
  nextSession(): AuditEvent {
    const {stream, sessions} = this.#numbering
    this.#numbering = {stream, sessions: sessions + 1}
    return {agent_stream: stream, agent_session: sessions + 1}
  }

  /** Writes the first lines of the session that was numbered last, and that it is open from here on. @throws as append */
  begin(session: OpenSession, lines: string): void {
    try {
      this.append(formatOpenSessions([session]) + lines)
    } catch (error) {
      // Nobody will hear of it: a number that is missing would be a session that is.
      const {stream, sessions} = this.#numbering
      this.#numbering = {stream, sessions: sessions - 1}
      throw error
    }
    this.#open.set(session.sid, session)
  }

  /** Writes the last lines of a session, as soon as there is room for them. @throws as append when that is not now */
  end(session: OpenSession, lines: string): void {
    this.#ended.push(session)
    try {
      this.append(lines)
    } catch (error) {
      this.#held += lines
      throw error
    }
  }

  /** Resolves when everything appended so far is on the disk; callers that come together share one fsync. */
  sync(): Promise<void> {
    return this.#syncs.run()
  }

  /** The oldest events that are not acknowledged; undefined when there are none. One reader at a time. */
  async read(): Promise<Batch | undefined> {
    for (const segment of [...this.#segments]) {
      while (segment.acknowledged < segment.size) {
        const read = await segment.read(batchBytes)
        const bytes = read.length > 0 ? read.length : this.#giveUp(segment)
        const lines = eventLines(read)
        if (lines.length > 0) return {lines, acknowledge: () => this.#acknowledge(segment, bytes)}
        await this.#acknowledge(segment, bytes)
      }
      // Here also those of which all was acknowledged while lines could still be added.
      await this.#removeSent(segment)
    }
    return undefined
  }

  /** Everything is on disk afterwards; what is not acknowledged stays for the next process, and the count of sessions. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#timer)
    this.#writeHeld()
    await this.sync()
    const isSent = ({acknowledged, size}: Segment): boolean => acknowledged >= size && this.#open.size === 0
    if (isSent(this.#current)) this.#keepCount()
    for (const segment of this.#segments) {
      if (segment !== this.#current && isSent(segment)) await segment.remove()
      else await segment.close()
    }
  }

  /** An empty segment tells the next process how many sessions there were; without one, what is sent already tells it. */
  #keepCount(): void {
    try {
      this.#rotate()
    } catch (error) {
      this.#options.logger.warn('The audit spool could not be emptied.', {reason: messageOf(error)})
    }
  }

  /** What cannot be written stays, and goes before what is written next. */
  #writeHeld(): void {
    if (this.#held === '') return
    try {
      this.append('')
    } catch (error) {
      const holders = [...this.#holders]
      this.#holders.clear()
      for (const onFailure of holders) onFailure(messageOf(error))
    }
  }

  /** Where very many sessions are open, naming them takes more than a segment: then it holds as much again. */
  #isFull(more: number): boolean {
    const {segmentBytes = defaultSegmentBytes} = this.#options
    return this.#current.size + more > Math.max(segmentBytes, 2 * this.#headBytes)
  }

  #create(): Segment {
    const {directory, clock} = this.#options
    this.#created += 1
    // Behind those that are there, also when the clock was set back: the next process reads them in the order of their names.
    this.#began = Math.max(this.#began, clock.now())
    const path = join(directory, nameOf(this.#began, this.#created))
    return Segment.create(path, Buffer.from(formatOpenSessions([...this.#open.values()], this.#numbering)))
  }

  /** Begins a segment that by itself tells which sessions are open. */
  #rotate(): void {
    const next = this.#create()
    this.#segments.push(next)
    this.#current = next
    this.#headBytes = next.size
  }

  async #syncSegments(): Promise<void> {
    for (const segment of [...this.#segments]) {
      await segment.sync()
      // Lines that came during the sync, before the next segment, are still to be synced.
      if (segment !== this.#current && segment.isSynced) segment.seal()
    }
  }

  async #acknowledge(segment: Segment, bytes: number): Promise<void> {
    segment.acknowledged += bytes
    await this.#removeSent(segment)
  }

  async #removeSent(segment: Segment): Promise<void> {
    const index = this.#segments.indexOf(segment)
    if (index < 0 || segment === this.#current || segment.acknowledged < segment.size) return
    this.#segments.splice(index, 1)
    await segment.remove()
  }

  /** For a file that somebody cut. @returns the bytes that are missing */
  #giveUp({path, size, acknowledged}: Segment): number {
    this.#options.logger.error('A segment of the audit spool is shorter than it was.', {path})
    return size - acknowledged
  }
}
