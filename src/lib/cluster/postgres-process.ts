import {spawn, type ChildProcess} from 'node:child_process'
import {once} from 'node:events'
import {mkdir, open, readFile, stat} from 'node:fs/promises'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {PosternError} from '../core/errors.js'
import {
  dataDirectory,
  giveTo,
  logFile,
  serverArguments,
  superuser,
  type ServerPlace,
  type ServerSetup,
} from './postgres-files.js'

/** A program's exit: its code, or the signal that ended it. */
type Exit = number | NodeJS.Signals

/** Milliseconds. */
const stopPatience = 10_000

/** A started server; it may not answer yet. */
export interface ServerProcess {
  isRunning(): boolean
  /** A fast shutdown, and harder ones when it takes too long. */
  stop(): Promise<void>
}

/** What every PostgreSQL program sees of our environment: nothing, least of all PG* variables. */
const environment = {PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC'}

/**
 * Runs a program as the server's account, its output going to the server's log.
 * A detached program does not see a terminal's Ctrl-C, which is for psql.
 */
async function launch(
  program: string,
  args: readonly string[],
  place: ServerPlace,
  detached: boolean,
): Promise<ChildProcess> {
  const log = await open(logFile(place), 'a', 0o600)
  try {
    await giveTo(place.account, logFile(place))
    const {uid, gid} = place.account ?? {}
    const child = spawn(program, args, {
      cwd: place.home,
      env: environment,
      stdio: ['ignore', log.fd, log.fd],
      detached,
      ...(uid !== undefined && {uid}),
      ...(gid !== undefined && {gid}),
    })
    await once(child, 'spawn')
    return child
  } catch (error) {
    throw new PosternError('FAILED', `The PostgreSQL program ${program} does not run here.`, {cause: error})
  } finally {
    await log.close()
  }
}

async function exitOf(child: ChildProcess): Promise<Exit> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode ?? child.signalCode ?? 0
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
  return code ?? signal ?? 0
}

/** Makes the data directory, unless it is there. @throws PosternError FAILED */
export async function initializeData(bin: string, place: ServerPlace): Promise<void> {
  const data = dataDirectory(place)
  if (await stat(join(data, 'PG_VERSION')).catch(() => undefined)) return
  await mkdir(data, {recursive: true, mode: 0o700})
  await giveTo(place.account, data)
  // Our own pg_hba.conf is used; the one that initdb writes lets nobody in.
  const auth = ['--auth=reject', `--username=${superuser}`]
  const args = ['-D', data, ...auth, '--encoding=UTF8', '--locale=C', '--no-sync', '--no-instructions']
  const child = await launch(join(bin, 'initdb'), args, place, false)
  const exit = await exitOf(child)
  if (exit !== 0) throw await failure(place, 'PostgreSQL could not set up its data directory.')
}

/** Starts the server; `temporary` directories go with it when this process dies before it has stopped. */
export async function startServer(
  bin: string,
  place: ServerPlace,
  port: number,
  {temporary, ...setup}: ServerSetup & {readonly temporary: readonly string[]},
): Promise<ServerProcess> {
  const child = await launch(join(bin, 'postgres'), serverArguments(place, port, setup), place, true)
  const callOff = guard(child.pid ?? 0, temporary)
  const exited = exitOf(child).finally(callOff)
  child.unref()
  return {isRunning: () => child.exitCode === null && child.signalCode === null, stop: () => stopServer(child, exited)}
}

/** Smart shutdown waits for clients; fast (INT) ends them, immediate (QUIT) leaves recovery to the next start. */
async function stopServer(child: ChildProcess, exited: Promise<Exit>): Promise<void> {
  child.ref()
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    child.kill(signal)
    const ended = await Promise.race([exited.then(() => true), sleep(stopPatience, false, {ref: false})])
    if (ended) return
  }
}

const quotedLines = 3

/** An error with what the failed program wrote last; statements, which may hold values, are not among it. */
export async function failure(place: ServerPlace, message: string): Promise<PosternError> {
  const log = await readFile(logFile(place), 'utf8').catch(() => '')
  const lines = log.split('\n').filter((line) => /\b(FATAL|PANIC|HINT|error|could not)\b/.test(line))
  return new PosternError('FAILED', message, {hint: lines.slice(-quotedLines)})
}

/**
 * Watches that the server does not outlive this process, whatever ends it: a shell reads from a pipe that only we hold
 * open, and when that ends it stops the server and removes the directories. Returns the way to call it off.
 */
function guard(pid: number, temporary: readonly string[]): () => void {
  const script = `
while read -r _; do :; done
server=$1; shift
kill -INT "$server" 2>/dev/null
tries=0
while [ "$tries" -lt 100 ] && kill -0 "$server" 2>/dev/null; do sleep 0.1; tries=$((tries + 1)); done
rm -rf -- "$@"`
  const shell = spawn('/bin/sh', ['-c', script, 'postern-guard', String(pid), ...temporary], {
    cwd: '/',
    env: environment,
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  shell.unref()
  shell.on('error', () => undefined)
  shell.stdin.on('error', () => undefined)
  return () => {
    shell.kill('SIGKILL')
  }
}
