import {readFile, rename, rm} from 'node:fs/promises'
import {join} from 'node:path'
import {createPrivateFile} from '../config/private-file.js'
import {PosternError} from '../core/errors.js'

/** What a lock says of the process that has it. */
interface Owner {
  readonly pid: number
  /** When it began, in the kernel's own unit since boot; empty where the system does not tell. */
  readonly began: string
}

/**
 * Makes sure that one process alone runs a service on a data directory: two with the same host certificate would throw
 * each other out of the proxy. A lock whose process is gone, or whose process id belongs to another one now, is taken over.
 * @returns what gives the lock back
 * @throws PosternError CONFLICT naming the process that has it, FAILED when the directory cannot be written
 */
export async function lockDataDirectory(dataDir: string, service: string): Promise<() => Promise<void>> {
  const file = join(dataDir, `${service}.lock`)
  const mine: Owner = {pid: process.pid, began: (await statusOf(process.pid))?.began ?? ''}
  const text = JSON.stringify(mine)
  for (;;) {
    try {
      await createPrivateFile(file, text)
      break
    } catch (error) {
      if (!(error instanceof PosternError && error.code === 'ALREADY_EXISTS')) throw error
    }
    const owner = await removeStale(file)
    if (!owner) continue
    throw new PosternError('CONFLICT', `Process ${owner.pid} runs the service "${service}" on ${dataDir} already.`, {
      hint: `Stop that process (\`kill ${owner.pid}\`), or give this one a data_dir of its own.`,
    })
  }
  return async () => {
    if ((await read(file)) === text) await rm(file, {force: true})
  }
}

/** Who has the lock; undefined when nobody has it any more. */
async function removeStale(file: string): Promise<Owner | undefined> {
  const text = await read(file)
  if (text === undefined) return undefined
  const owner = parse(text)
  if (owner && (await isRunning(owner))) return owner
  const aside = `${file}.${process.pid}`
  await rename(file, aside).catch(ignoreMissing)
  const moved = await read(aside)
  await rm(aside, {force: true})
  // Another process that starts at the same time was faster, and this was its new lock.
  if (moved !== undefined && moved !== text) await createPrivateFile(file, moved).catch(() => undefined)
  return undefined
}

async function isRunning({pid, began}: Owner): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  const now = await statusOf(pid)
  return now === undefined || (now.began === began && !hasEnded.test(now.state))
}

/** Such a process is only waiting for its parent to ask how it ended: some containers never do. */
const hasEnded = /^[ZX]/

/** Fields 3 and 22 of `stat` (proc(5)); undefined where there is none. The name before them may hold spaces and brackets. */
async function statusOf(
  pid: number,
): Promise<{readonly state: string; readonly began: string | undefined} | undefined> {
  const text = await read(`/proc/${pid}/stat`)
  if (text === undefined) return undefined
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return {state: fields[0] ?? '', began: fields[19]}
}

function parse(text: string): Owner | undefined {
  try {
    const {pid, began} = JSON.parse(text) as Partial<Owner>
    return Number.isSafeInteger(pid) && Number(pid) > 0 && typeof began === 'string'
      ? {pid: Number(pid), began}
      : undefined
  } catch {
    return undefined
  }
}

async function read(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch(ignoreMissing)
}

function ignoreMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
}
