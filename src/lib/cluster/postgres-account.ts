import {constants} from 'node:fs'
import {readFile, stat} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {dirname, join} from 'node:path'
import {PosternError} from '../core/errors.js'

/** The account that PostgreSQL runs under. */
export interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

const unprivileged = 'nobody'

/**
 * Another account when this process is root, which PostgreSQL refuses; undefined when it may run as it is.
 * @throws PosternError FAILED when root has no account to drop to.
 */
export async function accountForRoot(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const entry = (await readFile('/etc/passwd', 'utf8')).split('\n').find((line) => line.startsWith(`${unprivileged}:`))
  const [name, , uid, gid] = entry?.split(':') ?? []
  if (name && uid && gid) return {name, uid: Number(uid), gid: Number(gid)}
  throw new PosternError('FAILED', `PostgreSQL does not run as root, and there is no account "${unprivileged}".`, {
    hint: 'Run this as an ordinary user.',
  })
}

/** Whether the account may pass every directory above the path. */
export async function mayGetTo(path: string, account: Account | undefined): Promise<boolean> {
  if (!account) return true
  const parent = dirname(path)
  if (!(await mayUse(parent, account, constants.X_OK))) return false
  return parent === dirname(parent) || mayGetTo(parent, account)
}

/** Whether the account may read the file, or list the directory, at the path. */
export async function mayRead(path: string, account: Account | undefined): Promise<boolean> {
  return !account || ((await mayGetTo(path, account)) && (await mayUse(path, account, constants.R_OK)))
}

async function mayUse(path: string, {uid, gid}: Account, wanted: number): Promise<boolean> {
  const {mode, uid: owner, gid: group} = await stat(path)
  const granted = uid === owner ? mode >> 6 : gid === group ? mode >> 3 : mode
  return (granted & wanted) === wanted
}

/** The temporary directory, or another when the account may not get into that one. */
export async function temporaryDirectoryFor(account: Account | undefined): Promise<string> {
  const usual = tmpdir()
  return (await mayGetTo(join(usual, 'file'), account)) ? usual : '/tmp'
}
