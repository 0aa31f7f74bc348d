import {randomUUID} from 'node:crypto'
import {chmod, lstat, mkdir, readFile, rename, rm, writeFile} from 'node:fs/promises'
import {join, resolve} from 'node:path'
import {PosternError} from '../core/errors.js'
import {quoted} from '../core/shell-word.js'
import {aliases, callingNameVariable, type Alias} from './calling-name.js'

/** The second line of a launcher: what makes a file ours to replace. */
const mark = '# A launcher of Postern, made by `postern install aliases`.'
const longestLauncher = 4096
const launcherMode = 0o755

/**
 * Writes one launcher for each name into a directory; their paths. Nothing is written when one of them is not ours.
 * @throws PosternError ALREADY_EXISTS, or FAILED when a file cannot be written
 */
export async function writeLaunchers(directory: string): Promise<string[]> {
  const program = process.argv[1]
  if (program === undefined) throw new PosternError('INTERNAL', 'This program does not know where it is.')
  const paths = aliases.map((alias) => [alias, join(resolve(directory), alias)] as const)
  try {
    await mkdir(directory, {recursive: true})
    for (const [, path] of paths) await checkOurs(path)
    for (const [alias, path] of paths) await replace(path, renderLauncher(alias, resolve(program)))
  } catch (error) {
    throw error instanceof PosternError ? error : unwritable(directory, error)
  }
  return paths.map(([, path]) => path)
}

async function checkOurs(path: string): Promise<void> {
  const found = await lstat(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  })
  if (!found) return
  const isOurs =
    found.isFile() && found.size <= longestLauncher && (await readFile(path, 'utf8')).split('\n')[1] === mark
  if (isOurs) return
  throw new PosternError('ALREADY_EXISTS', `${path} is of another program; nothing was written.`, {
    hint: 'Remove it, or choose another directory with --dir.',
  })
}

/** In one step, so that a launcher is never seen half written. */
async function replace(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomUUID()}`
  try {
    await writeFile(temporary, text, {flag: 'wx'})
    // Whatever the umask: they are for others too.
    await chmod(temporary, launcherMode)
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, {force: true})
    throw error
  }
}

/** Names Node.js itself, because sudo and systemd have other PATHs; `--` keeps it from reading our flags. */
function renderLauncher(alias: Alias, program: string): string {
  return `#!/bin/sh
${mark}
${callingNameVariable}=${alias}
export ${callingNameVariable}
exec ${quoted(process.execPath)} -- ${quoted(program)} "$@"
`
}

function unwritable(directory: string, cause: unknown): PosternError {
  const code = (cause as NodeJS.ErrnoException).code ?? 'unknown'
  const hint = ['EACCES', 'EPERM'].includes(code) ? 'Run the command with sudo, or choose another --dir.' : undefined
  return new PosternError('FAILED', `Launchers cannot be written into ${directory} (${code}).`, {cause, hint})
}
