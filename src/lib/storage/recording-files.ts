/**
 * Recordings of sessions as files, one each, appended to while the session lives:
 *
 *   <directory>/<session id>.ndjson    a head that says whose it is
 *                                      one record per line, in the order of their `ei`
 *                                      behind the records of each append a seal, which vouches for all before it
 *
 * Records that were appended are on the disk. What a crash left of a line is cut off before the next one is written, and
 * readers never see it.
 */
import {constants} from 'node:fs'
import {mkdir, open, readdir, rm, stat, type FileHandle} from 'node:fs/promises'
import {join} from 'node:path'
import type {Readable} from 'node:stream'
import {PosternError} from '../core/errors.js'
import {endOfLines, lineAt, linesBackwards} from './file-lines.js'

/** A line of JSON without its end, whose `ei` is this one. */
export interface RecordLine {
  readonly ei: number
  readonly line: string
}

/** What vouches for the records of a recording, with lines of its own between them. */
export interface Sealer<State> {
  isSeal(line: string): boolean
  /** Before the first seal. */
  begin(head: string): State
  /** The state that a seal's line tells. @throws PosternError CONFLICT when it is damaged */
  resume(seal: string): State
  /** The line behind these records, which follow what the state says. */
  seal(state: State, records: readonly string[]): {readonly line: string; readonly state: State}
}

export interface StoredRecording {
  /** The first line. */
  readonly head: string
  /** The oldest record, and the newest; absent when there is none yet. */
  readonly first?: string
  readonly last?: string
  /** Bytes of whole lines. */
  readonly size: number
  /** All of it, or what is behind an offset. To be called once, or `close`. */
  read(start?: number): Readable
  close(): Promise<void>
}

/** Where the next record goes. */
interface Tail<State> {
  readonly head: string
  readonly size: number
  /** Records below this `ei` are there. */
  readonly next: number
  readonly state: State
  /** Records that a crash kept from being sealed. */
  readonly unsealed: readonly string[]
}

/** Tails kept in memory; of other recordings the file says it. */
const rememberedTails = 10_000
const appendable = constants.O_RDWR | constants.O_CREAT | constants.O_APPEND
const extension = '.ndjson'

export class RecordingFiles<State = unknown> {
  readonly #directory: string
  readonly #sealer: Sealer<State>
  readonly #tails = new Map<string, Tail<State>>()
  /** The last append to each file: each waits for the one before. */
  readonly #appending = new Map<string, Promise<unknown>>()
  /** Who waits for more of a recording. */
  readonly #waiting = new Map<string, Set<() => void>>()

  private constructor(directory: string, sealer: Sealer<State>) {
    this.#directory = directory
    this.#sealer = sealer
  }

  /** The recordings in a directory, which is made if it is not there. */
  static async open<State>(directory: string, sealer: Sealer<State>): Promise<RecordingFiles<State>> {
    await mkdir(directory, {recursive: true, mode: 0o700})
    return new RecordingFiles(directory, sealer)
  }

  /** The sessions that have a recording. */
  async list(): Promise<string[]> {
    const names = await readdir(this.#directory)
    return names.flatMap((name) => (name.endsWith(extension) ? [name.slice(0, -extension.length)] : []))
  }

  /** What the newest seal of a recording vouches for, as far as it is remembered: it is behind an append. */
  sealed(session: string): State | undefined {
    return this.#tails.get(session)?.state
  }

  /** Whether records of this session would go below this head: it has no recording yet, or one that begins so. */
  async accepts(session: string, head: string): Promise<boolean> {
    const known = this.#tails.get(session)
    if (known) return known.head === head
    const stored = await this.get(session)
    await stored?.close()
    return !stored || stored.head === head
  }

  /**
   * Appends records in the order of their `ei`; those that are there already are left out.
   * @returns the `ei` of records in whose place there is another one
   * @throws PosternError CONFLICT when the recording has another head, or is damaged
   */
  async append(session: string, head: string, records: readonly RecordLine[]): Promise<number[]> {
    const before = this.#appending.get(session)
    const appended = (before ?? Promise.resolve())
      .catch(() => undefined)
      .then(() => this.#append(session, head, records))
    this.#appending.set(session, appended)
    try {
      return await appended
    } finally {
      if (this.#appending.get(session) === appended) this.#appending.delete(session)
    }
  }

  /** The recording of a session as far as it goes; undefined when there is none. */
  async get(session: string): Promise<StoredRecording | undefined> {
    const file = await open(this.#path(session), 'r').catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    })
    if (!file) return undefined
    try {
      const size = await endOfLines(file)
      const head = await lineAt(file, 0, size)
      if (head === undefined) {
        await file.close()
        return undefined
      }
      const start = Buffer.byteLength(head) + 1
      const first = await lineAt(file, start, size)
      const last = first === undefined ? undefined : await this.#lastRecord(file, size)
      return {
        head,
        ...(first !== undefined && {first}),
        ...(last !== undefined && {last}),
        size,
        read: (start = 0) => file.createReadStream({start, end: size - 1}),
        close: () => file.close(),
      }
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** When something was last written to a recording, milliseconds since 1970; endlessly late when there is none. */
  async changed(session: string): Promise<number> {
    return stat(this.#path(session)).then(
      ({mtimeMs}) => mtimeMs,
      () => Infinity,
    )
  }

  /** The line of the newest seal; undefined when there is none. */
  async newestSeal(session: string): Promise<string | undefined> {
    const file = await open(this.#path(session), 'r')
    try {
      for await (const line of linesBackwards(file, await endOfLines(file))) if (this.#sealer.isSeal(line)) return line
      return undefined
    } finally {
      await file.close()
    }
  }

  /** Removes the recording of a session that has ended. */
  async remove(session: string): Promise<void> {
    this.#tails.delete(session)
    await rm(this.#path(session), {force: true})
    await syncDirectory(this.#directory)
  }

  /** Resolves when something was appended to a recording, or after so many milliseconds. */
  async appended(session: string, milliseconds: number): Promise<void> {
    const waiting = this.#waiting.get(session) ?? new Set()
    this.#waiting.set(session, waiting)
    await new Promise<void>((resolve) => {
      const timer = setTimeout(wake, milliseconds)
      function wake(): void {
        clearTimeout(timer)
        waiting.delete(wake)
        resolve()
      }
      waiting.add(wake)
    })
    if (waiting.size === 0 && this.#waiting.get(session) === waiting) this.#waiting.delete(session)
  }

  #path(session: string): string {
    // It becomes a file's name: nothing else than an id may.
    if (!/^[0-9a-f-]{36}$/.test(session)) throw new PosternError('INVALID', 'The id of a session is a UUID.')
    return join(this.#directory, session + extension)
  }

  async #append(session: string, head: string, records: readonly RecordLine[]): Promise<number[]> {
    const file = await open(this.#path(session), appendable, 0o600)
    try {
      const tail = this.#tails.get(session) ?? (await this.#begin(file, head))
      if (tail.head !== head) throw new PosternError('CONFLICT', 'The session was recorded by another host.')
      const repeated = new Map<number, string>()
      const lines: string[] = []
      let {next} = tail
      for (const {ei, line} of records) {
        if (ei < next) repeated.set(ei, line)
        else {
          lines.push(line)
          next = ei + 1
        }
      }
      const conflicts = repeated.size > 0 ? await differing(file, tail.size, repeated) : []
      // What failed half-way is not known to be there.
      this.#tails.delete(session)
      const unsealed = [...tail.unsealed, ...lines]
      const sealed = unsealed.length > 0 ? this.#sealer.seal(tail.state, unsealed) : undefined
      const bytes = Buffer.from([...lines, ...(sealed ? [sealed.line] : [])].map((line) => `${line}\n`).join(''))
      if (bytes.length > 0) await file.appendFile(bytes)
      await syncOrCut(file, tail.next === 0 ? 0 : tail.size)
      const state = sealed?.state ?? tail.state
      for (const wake of this.#waiting.get(session) ?? []) wake()
      this.#remember(session, {head, size: tail.size + bytes.length, next, state, unsealed: []})
      return conflicts
    } finally {
      await file.close()
    }
  }

  /** Makes a file ready to be appended to: a head if it is new, no torn line if it is not. */
  async #begin(file: FileHandle, head: string): Promise<Tail<State>> {
    const size = await endOfLines(file)
    if ((await file.stat()).size > size) await file.truncate(size)
    const found = await lineAt(file, 0, size)
    const headSize = Buffer.byteLength(found ?? head) + 1
    if (found !== undefined && size > headSize) return {head: found, size, ...(await this.#resume(file, found, size))}
    if (found === undefined) await file.appendFile(`${head}\n`)
    await syncDirectory(this.#directory)
    return {head: found ?? head, size: headSize, next: 0, state: this.#sealer.begin(found ?? head), unsealed: []}
  }

  /** What a file says of itself: its newest seal, and the records behind that. */
  async #resume(file: FileHandle, head: string, size: number): Promise<Omit<Tail<State>, 'head' | 'size'>> {
    const unsealed: string[] = []
    let state: State | undefined
    let newest: number | undefined
    for await (const line of linesBackwards(file, size)) {
      if (line === head) break
      if (this.#sealer.isSeal(line)) state ??= this.#sealer.resume(line)
      else {
        newest ??= indexOf(line)
        if (newest === undefined) throw new PosternError('CONFLICT', 'The recording of the session is damaged.')
        if (state === undefined) unsealed.unshift(line)
      }
      if (state !== undefined && newest !== undefined) break
    }
    return {next: (newest ?? -1) + 1, state: state ?? this.#sealer.begin(head), unsealed}
  }

  async #lastRecord(file: FileHandle, size: number): Promise<string | undefined> {
    for await (const line of linesBackwards(file, size)) if (!this.#sealer.isSeal(line)) return line
    return undefined
  }

  #remember(session: string, tail: Tail<State>): void {
    if (this.#tails.size >= rememberedTails) {
      const [oldest] = this.#tails.keys()
      if (oldest !== undefined) this.#tails.delete(oldest)
    }
    this.#tails.set(session, tail)
  }
}

/**
 * Also syncs what was there: the append before this one may have failed before it came here. Linux tells of a failed sync once
 * and forgets the data: what is sent again would be taken for what is there already, so it must not be there.
 */
async function syncOrCut(file: FileHandle, known: number): Promise<void> {
  try {
    await file.datasync()
  } catch (error) {
    await file.truncate(known)
    throw error
  }
}

/** A new file's name is on the disk with its directory. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

/** The `ei` of a record; undefined when it is none. */
function indexOf(line: string | undefined): number | undefined {
  try {
    const {ei} = JSON.parse(line ?? '') as {ei?: unknown}
    return typeof ei === 'number' ? ei : undefined
  } catch {
    return undefined
  }
}

/** The `ei` of those records that are not, byte for byte, in the file. */
async function differing(file: FileHandle, size: number, wanted: ReadonlyMap<number, string>): Promise<number[]> {
  const missing = new Map(wanted)
  const oldest = Math.min(...wanted.keys())
  // From the end: what is sent again was sent last.
  for await (const line of linesBackwards(file, size)) {
    const ei = indexOf(line)
    if (ei === undefined) continue
    if (missing.get(ei) === line) missing.delete(ei)
    if (ei < oldest || missing.size === 0) break
  }
  return [...missing.keys()]
}
