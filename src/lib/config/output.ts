import {mkdir, unlink, writeFile} from 'node:fs/promises'
import {dirname, isAbsolute} from 'node:path'
import {fileURLToPath} from 'node:url'
import {PosternError} from '../core/errors.js'
import {shellWord} from '../core/shell-word.js'
import {defaultConfigPath} from './settings.js'

const fileMode = 0o600
const directoryMode = 0o755

/**
 * The absolute path that an `--output` value names; undefined for `stdout`.
 * @throws PosternError USAGE when it names neither.
 */
export function parseOutput(output: string, defaultPath = defaultConfigPath): string | undefined {
  if (output === 'stdout' || output === 'stdout://') return undefined
  if (output === '' || output === 'file') return defaultPath
  const wrong = (what: string): PosternError =>
    new PosternError('USAGE', `${what} in --output "${output}".`, {
      hint: `Use stdout, file, or an absolute path like ${defaultPath}.`,
    })
  if (output.startsWith('file://')) {
    if (!output.startsWith('file:///') || output === 'file:///') throw wrong('The path is missing')
    try {
      return fileURLToPath(output)
    } catch {
      throw wrong('The path is not valid')
    }
  }
  if (/^[a-z][a-z0-9+.-]*:/i.test(output)) throw wrong('Only stdout and files can be written to, not the scheme')
  if (!isAbsolute(output)) throw wrong('The path is not absolute')
  return output
}

/**
 * Writes a new file that only its owner may read, and nothing over an existing one.
 * Returns its path; undefined when the output is stdout, and the text is the caller's to print.
 * @throws PosternError USAGE, ALREADY_EXISTS, or FAILED when the file cannot be written.
 */
export async function writeNewFile(
  output: string,
  text: string,
  defaultPath = defaultConfigPath,
): Promise<string | undefined> {
  const path = parseOutput(output, defaultPath)
  if (path === undefined) return undefined
  const directory = dirname(path)
  await mkdir(directory, {recursive: true, mode: directoryMode}).catch((error: unknown) => {
    throw explain(directory, error)
  })
  await writeFile(path, '', {flag: 'wx', mode: fileMode}).catch((error: unknown) => {
    throw codeOf(error) === 'EEXIST' ? alreadyExists(path, error) : explain(path, error)
  })
  await writeFile(path, text).catch(async (error: unknown) => {
    await unlink(path)
    throw explain(path, error)
  })
  return path
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'unknown'

function alreadyExists(path: string, cause: unknown): PosternError {
  return new PosternError('ALREADY_EXISTS', `${path} already exists; it was left as it is.`, {
    hint: `To replace it, remove it first: rm -f ${shellWord(path)}`,
    cause,
  })
}

function explain(path: string, cause: unknown): PosternError {
  const code = codeOf(cause)
  return ['EACCES', 'EPERM'].includes(code)
    ? new PosternError('FAILED', `This user may not write ${path}.`, {
        hint: 'Run the command with sudo, or write somewhere else with --output.',
        cause,
      })
    : new PosternError('FAILED', `${path} cannot be written (${code}).`, {cause})
}
