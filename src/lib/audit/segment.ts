import {closeSync, constants, fdatasync, ftruncateSync, openSync, rmSync, writeSync} from 'node:fs'
import {open, rm, type FileHandle} from 'node:fs/promises'
import {promisify} from 'node:util'

const syncData = promisify(fdatasync)
const newFile = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_APPEND

/** One file of the spool: whole lines, some of them acknowledged. */
export class Segment {
  readonly path: string
  /** Bytes of whole lines. */
  size: number
  /** Leading bytes that need not be sent any more. */
  acknowledged = 0
  #descriptor: number | undefined
  #reader: Promise<FileHandle> | undefined
  #unsynced = false
  #syncing: Promise<void> = Promise.resolve()

  private constructor(path: string, size: number, descriptor?: number) {
    this.path = path
    this.size = size
    this.#descriptor = descriptor
  }

  /** A new file that only its owner can read, with these lines in it; none when they do not fit. */
  static create(path: string, lines: Buffer): Segment {
    const segment = new Segment(path, 0, openSync(path, newFile, 0o600))
    try {
      segment.append(lines)
      return segment
    } catch (error) {
      segment.seal()
      rmSync(path, {force: true})
      throw error
    }
  }

  /** A file that an earlier process left; what follows its last whole line is not counted. */
  static leftover(path: string, size: number): Segment {
    return new Segment(path, size)
  }

  /** Writes whole lines with write(2). A write that fails half-way is taken back. */
  append(lines: Buffer): void {
    if (this.#descriptor === undefined) throw new Error('the segment is sealed')
    this.#unsynced = true
    let written = 0
    try {
      while (written < lines.length) written += writeSync(this.#descriptor, lines, written)
    } catch (error) {
      ftruncateSync(this.#descriptor, this.size)
      throw error
    }
    this.size += lines.length
  }

  /** Whether all of it is on the disk. */
  get isSynced(): boolean {
    return !this.#unsynced
  }

  /** Resolves when what was appended before is on the disk. */
  async sync(): Promise<void> {
    if (!this.#unsynced || this.#descriptor === undefined) return
    this.#unsynced = false
    this.#syncing = syncData(this.#descriptor)
    try {
      await this.#syncing
    } catch (error) {
      this.#unsynced = true
      throw error
    }
  }

  /** Nothing can be appended or synced afterwards. */
  seal(): void {
    if (this.#descriptor === undefined) return
    closeSync(this.#descriptor)
    this.#descriptor = undefined
  }

  /** Whole lines after the acknowledged ones, about `limit` bytes of them and at least one; empty when there are none. */
  async read(limit: number): Promise<Buffer> {
    const reader = await this.#open()
    for (let room = limit; ; room *= 2) {
      const length = Math.min(room, this.size - this.acknowledged)
      const bytes = Buffer.alloc(length)
      const {bytesRead} = await reader.read(bytes, 0, length, this.acknowledged)
      const end = bytes.lastIndexOf('\n', bytesRead - 1) + 1
      if (end > 0 || bytesRead < room) return bytes.subarray(0, end)
    }
  }

  /** A file that cannot be opened now is tried again: the process may only have too many open. */
  async #open(): Promise<FileHandle> {
    this.#reader ??= open(this.path, 'r')
    try {
      return await this.#reader
    } catch (error) {
      this.#reader = undefined
      throw error
    }
  }

  async close(): Promise<void> {
    await this.#syncing.catch(() => undefined)
    this.seal()
    const reader = this.#reader
    this.#reader = undefined
    await (await reader)?.close()
  }

  async remove(): Promise<void> {
    await this.close()
    await rm(this.path, {force: true})
  }
}
