import {execFile} from 'node:child_process'
import {promisify} from 'node:util'
import {PosternError} from '../core/errors.js'
import {notInstalled} from './program.js'

/** The major version of psql on the PATH. @throws PosternError FAILED when there is none, or it does not say */
export async function psqlVersion(): Promise<number> {
  const {stdout} = await promisify(execFile)('psql', ['--version']).catch((error: unknown) => {
    throw notInstalled('psql', error as Error)
  })
  const major = /\(PostgreSQL\) (\d+)/.exec(stdout)?.[1]
  if (major === undefined) throw new PosternError('FAILED', `psql does not say its version: ${stdout.trim()}.`)
  return Number(major)
}
