import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {PosternError} from '../core/errors.js'

/** Longest path of a UNIX socket on Linux, without its NUL (unix(7)); macOS takes 103. */
const longestPath = process.platform === 'darwin' ? 103 : 107
/** libpq builds the socket's name from the port; any number serves. */
const port = 5432

export interface PrivateSocket {
  /** For PGHOST. */
  readonly directory: string
  /** For PGPORT. */
  readonly port: number
  readonly path: string
  remove(): Promise<void>
}

/** A place for a UNIX socket that only this user can reach: a new directory with mode 0700. */
export async function makePrivateSocket(): Promise<PrivateSocket> {
  for (const parent of [process.env.XDG_RUNTIME_DIR, tmpdir(), '/tmp']) {
    if (!parent) continue
    const directory = await mkdtemp(join(parent, 'postern-')).catch(() => undefined)
    if (directory === undefined) continue
    const path = join(directory, `.s.PGSQL.${port}`)
    const remove = (): Promise<void> => rm(directory, {recursive: true, force: true})
    if (Buffer.byteLength(path) <= longestPath) return {directory, port, path, remove}
    await remove()
  }
  throw new PosternError('FAILED', 'There is no directory where a UNIX socket could be made.', {
    hint: 'Set TMPDIR to a directory that you may write to, with a short path.',
  })
}
