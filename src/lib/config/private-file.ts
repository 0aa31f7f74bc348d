import {randomBytes} from 'node:crypto'
import {access, link, mkdir, readFile, rename, rm, writeFile} from 'node:fs/promises'
import {dirname} from 'node:path'
import {messageOf, PosternError} from '../core/errors.js'

const privateFile = 0o600
const privateDirectory = 0o700

/**
 * Writes a file that only its owner may read; readers see the old content or the new one, never a part.
 * @throws PosternError FAILED
 */
export async function writePrivateFile(file: string, content: string): Promise<void> {
  await place(file, content, rename)
}

/** As writePrivateFile, but an existing file stays. @throws PosternError ALREADY_EXISTS or FAILED */
export async function createPrivateFile(file: string, content: string): Promise<void> {
  // A link, unlike a rename, never replaces anything.
  await place(file, content, link)
}

async function place(
  file: string,
  content: string,
  put: (temporary: string, file: string) => Promise<void>,
): Promise<void> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}`
  try {
    await mkdir(dirname(file), {recursive: true, mode: privateDirectory})
    await writeFile(temporary, content, {mode: privateFile, flag: 'wx'})
    await put(temporary, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw alreadyExists(file, error)
    throw new PosternError('FAILED', `${file} cannot be written: ${messageOf(error)}.`, {cause: error})
  } finally {
    await rm(temporary, {force: true}).catch(() => undefined)
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
