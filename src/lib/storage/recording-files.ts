/**
 * Recordings of sessions as files, one each, appended to while the session lives:
 *
 *   <directory>/<session id>.ndjson    a head that says whose it is
 *                                      one record per line, in the order of their `ei`
 *
 * Records that were appended are on the disk. What a crash left of a line is cut off before the next one is written, and
 * readers never see it.
 */
import {constants} from 'node:fs'
import {mkdir, open, type FileHandle} from 'node:fs/promises'
import {join} from 'node:path'
import type {Readable} from 'node:stream'
import {PosternError} from '../core/errors.js'

/** A line of JSON without its end, whose `ei` is this one. */
export interface RecordLine {
  readonly ei: number
  readonly line: string
}

export interface StoredRecording {
  /** The first line. */
  readonly head: string
  /** The oldest record, and the newest; absent when there is none yet. */
  readonly first?: string
  readonly last?: string
  /** Bytes of whole lines. */
  readonly size: number
  /** All of it. To be called once, or `close`. */
  read(): Readable
  close(): Promise<void>
}

/** Where the next record goes. */
interface Tail {
  readonly head: string
  size: number
  /** Records below this `ei` are there. */
  next: number
}

/** Tails kept in memory; of other recordings the file says it. */
const rememberedTails = 10_000
const windowBytes = 65_536
const appendable = constants.O_RDWR | constants.O_CREAT | constants.O_APPEND
const newline = 0x0a

export class RecordingFiles {
  readonly #directory: string
  readonly #tails = new Map<string, Tail>()
  /** The last append to each file: each waits for the one before. */
  readonly #appending = new Map<string, Promise<unknown>>()

  private constructor(directory: string) {
    this.#directory = directory
  }

  /** The recordings in a directory, which is made if it is not there. */
  static async open(directory: string): Promise<RecordingFiles> {
    await mkdir(directory, {recursive: true, mode: 0o700})
    return new RecordingFiles(directory)
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
      const last = first === undefined ? undefined : await lastLine(file, size)
      return {
        head,
        ...(first !== undefined && {first}),
        ...(last !== undefined && {last}),
        size,
        read: () => file.createReadStream({start: 0, end: size - 1}),
        close: () => file.close(),
      }
    } catch (error) {
      await file.close()
      throw error
    }
  }

  #path(session: string): string {
    // It becomes a file's name: nothing else than an id may.
    if (!/^[0-9a-f-]{36}$/.test(session)) throw new PosternError('INVALID', 'The id of a session is a UUID.')
    return join(this.#directory, `${session}.ndjson`)
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
          lines.push(`${line}\n`)
          next = ei + 1
        }
      }
      const conflicts = repeated.size > 0 ? await differing(file, tail.size, repeated) : []
      // What failed half-way is not known to be there.
      this.#tails.delete(session)
      const bytes = Buffer.from(lines.join(''))
      if (bytes.length > 0) await file.appendFile(bytes)
      // Also for what was there: the append before this one may have failed here.
      await file.datasync()
      this.#remember(session, {head, size: tail.size + bytes.length, next})
      return conflicts
    } finally {
      await file.close()
    }
  }

  /** Makes a file ready to be appended to: a head if it is new, no torn line if it is not. */
  async #begin(file: FileHandle, head: string): Promise<Tail> {
    const size = await endOfLines(file)
    if ((await file.stat()).size > size) await file.truncate(size)
    const found = await lineAt(file, 0, size)
    const headSize = Buffer.byteLength(found ?? head) + 1
    if (found !== undefined && size > headSize) {
      const newest = indexOf(await lastLine(file, size))
      if (newest !== undefined) return {head: found, size, next: newest + 1}
      throw new PosternError('CONFLICT', 'The recording of the session is damaged.')
    }
    if (found === undefined) await file.appendFile(`${head}\n`)
    await syncDirectory(this.#directory)
    return {head: found ?? head, size: headSize, next: 0}
  }

  #remember(session: string, tail: Tail): void {
    if (this.#tails.size >= rememberedTails) {
      const [oldest] = this.#tails.keys()
      if (oldest !== undefined) this.#tails.delete(oldest)
    }
    this.#tails.set(session, tail)
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

/** Bytes up to the end of the last whole line. */
async function endOfLines(file: FileHandle): Promise<number> {
  const {size} = await file.stat()
  return newlineBefore(file, size)
}

/** The offset behind the last newline before this one; 0 when there is none. */
async function newlineBefore(file: FileHandle, offset: number): Promise<number> {
  const window = Buffer.alloc(windowBytes)
  for (let end = offset; end > 0;) {
    const start = Math.max(0, end - windowBytes)
    const {bytesRead} = await file.read(window, 0, end - start, start)
    const found = window.subarray(0, bytesRead).lastIndexOf(newline)
    if (found >= 0) return start + found + 1
    end = start
  }
  return 0
}

/** The whole line that begins here; undefined at the end. */
async function lineAt(file: FileHandle, start: number, end: number): Promise<string | undefined> {
  for (let room = windowBytes; start < end; room *= 2) {
    const bytes = Buffer.alloc(Math.min(room, end - start))
    const {bytesRead} = await file.read(bytes, 0, bytes.length, start)
    const found = bytes.indexOf(newline)
    if (found >= 0) return bytes.toString('utf8', 0, found)
    if (bytesRead < room) break
  }
  return undefined
}

async function lastLine(file: FileHandle, end: number): Promise<string | undefined> {
  return lineAt(file, await newlineBefore(file, end - 1), end)
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
  for (let end = size; end > 0 && missing.size > 0;) {
    const start = await newlineBefore(file, end - 1)
    const line = (await lineAt(file, start, end)) ?? ''
    const ei = indexOf(line)
    if (ei !== undefined && missing.get(ei) === line) missing.delete(ei)
    if (ei !== undefined && ei < oldest) break
    end = start
  }
  return [...missing.keys()]
}
