import {randomBytes} from 'node:crypto'
import {access, link, mkdir, readFile, rename, rm, stat, writeFile} from 'node:fs/promises'
import {dirname} from 'node:path'
import {messageOf, PosternError} from '../core/errors.js'

const privateFile = 0o600
const privateDirectory = 0o700

/**
 * Writes a file that only its owner may read; readers see the old content or the new one, never a part.
 * @throws PosternError FAILED
 */
export async function writePrivateFile(file: string, content: string | AsyncIterable<Buffer>): Promise<void> {
  if (await takesWrites(file)) await describing(file, () => writeFile(file, content))
  else await place(file, content, rename)
}

/** Whether it is a device or a pipe: nothing to put a file in the place of. */
async function takesWrites(file: string): Promise<boolean> {
  const found = await stat(file).catch(() => undefined)
  return found !== undefined && !found.isFile() && !found.isDirectory()
}

/** As writePrivateFile, but an existing file stays. @throws PosternError ALREADY_EXISTS or FAILED */
export async function createPrivateFile(file: string, content: string): Promise<void> {
  // A link, unlike a rename, never replaces anything.
  await place(file, content, link)
}

async function place(
  file: string,
  content: string | AsyncIterable<Buffer>,
  put: (temporary: string, file: string) => Promise<void>,
): Promise<void> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}`
  try {
    await describing(file, async () => {
      await mkdir(dirname(file), {recursive: true, mode: privateDirectory})
      await writeFile(temporary, content, {mode: privateFile, flag: 'wx'})
      await put(temporary, file)
    })
  } finally {
    await rm(temporary, {force: true}).catch(() => undefined)
  }
}

/** @throws PosternError ALREADY_EXISTS or FAILED; what the content fails with stays as it is */
async function describing(file: string, write: () => Promise<void>): Promise<void> {
  try {
    await write()
  } catch (error) {
    if (error instanceof PosternError) throw error
    const {code, syscall} = error as NodeJS.ErrnoException
    // Of a directory it means a file that stands in the way.
    if (code === 'EEXIST' && syscall === 'link') throw alreadyExists(file, error)
    throw new PosternError('FAILED', `${file} cannot be written: ${messageOf(error)}.`, {cause: error})
  }
}

/** Finds out early that `createPrivateFile` would refuse. @throws PosternError ALREADY_EXISTS */
export async function requireAbsent(file: string): Promise<void> {
  const exists = await access(file).then(
    () => true,
    () => false,
  )
  if (exists) throw alreadyExists(file)
}

function alreadyExists(file: string, cause?: unknown): PosternError {
  return new PosternError('ALREADY_EXISTS', `${file} already exists.`, {
    cause,
    hint: 'Choose another file, or replace this one with --overwrite.',
  })
}

/** The text of a file, or undefined when there is none. @throws PosternError FAILED */
export async function readOptionalFile(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    const {code} = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw new PosternError('FAILED', `${file} cannot be read: ${messageOf(error)}.`, {cause: error})
  }
}
