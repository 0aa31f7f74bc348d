import type {FileHandle} from 'node:fs/promises'

const windowBytes = 65_536
/** Read at once on the way back. */
const blockBytes = 256 * 1024
const newline = 0x0a

/** Bytes up to the end of the last whole line. */
export async function endOfLines(file: FileHandle): Promise<number> {
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
export async function lineAt(file: FileHandle, start: number, end: number): Promise<string | undefined> {
  for (let room = windowBytes; start < end; room *= 2) {
    const bytes = Buffer.alloc(Math.min(room, end - start))
    const {bytesRead} = await file.read(bytes, 0, bytes.length, start)
    const found = bytes.indexOf(newline)
    if (found >= 0) return bytes.toString('utf8', 0, found)
    if (bytesRead < room) break
  }
  return undefined
}

/** Whole lines from the last one to the first. */
export async function* linesBackwards(file: FileHandle, size: number): AsyncGenerator<string> {
  /** Of the line that goes on before what was read. */
  let rest: Buffer[] = []
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - blockBytes)
    const block = Buffer.alloc(end - start)
    await file.read(block, 0, block.length, start)
    let stop = block.length
    for (let at = block.lastIndexOf(newline); at >= 0; at = at > 0 ? block.lastIndexOf(newline, at - 1) : -1) {
      const line = Buffer.concat([block.subarray(at + 1, stop), ...rest])
      // Behind the last newline there is nothing.
      if (start + at + 1 < size) yield line.toString('utf8')
      rest = []
      stop = at
    }
    rest.unshift(block.subarray(0, stop))
    end = start
  }
  if (size > 0) yield Buffer.concat(rest).toString('utf8')
}
