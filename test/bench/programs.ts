import {spawn, type ChildProcess} from 'node:child_process'
import {once} from 'node:events'
import {closeSync, openSync} from 'node:fs'
import {access, constants} from 'node:fs/promises'
import {connect} from 'node:net'
import {delimiter, join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {cleanEnvironment} from '../helpers/cli.js'
import {residentKilobytes} from './accounting.js'
import type {Account} from '../../src/lib/cluster/postgres-account.js'

/** Everything that runs now; each in a process group of its own, so that its children end with it. */
const running = new Set<ChildProcess>()

const readyMilliseconds = 60_000
const stopMilliseconds = 10_000
const keptCharacters = 64 * 1024

/** Ends everything at once, for the way out. */
export function killAll(): void {
  for (const child of running) signalGroup(child, 'SIGKILL')
}

function signalGroup({pid}: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch {
    // It is gone already.
  }
}

function launch(child: ChildProcess): ChildProcess {
  running.add(child)
  child.on('error', () => running.delete(child)).on('exit', () => running.delete(child))
  return child
}

export interface Daemon {
  readonly pid: number
  readonly output: () => string
  /** SIGTERM, and SIGKILL when that takes too long. */
  stop(): Promise<void>
}

export interface DaemonOptions {
  readonly environment?: NodeJS.ProcessEnv
  readonly account?: Account | undefined
  /** It is up when it has written this, or listens on this port of 127.0.0.1. */
  readonly ready: RegExp | number
}

/** Starts a program that stays. @throws Error with its output when it ends or is not ready in a minute */
export async function startDaemon(command: string, args: readonly string[], options: DaemonOptions): Promise<Daemon> {
  const {account, ready, environment} = options
  const child = launch(
    spawn(command, args, {
      env: cleanEnvironment(environment),
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      ...(account && {uid: account.uid, gid: account.gid}),
    }),
  )
  let output = ''
  let ended: string | undefined
  const exited = new Promise<void>((resolve) => {
    const end = (what: string): void => {
      ended ??= what
      resolve()
    }
    child.on('error', (error) => {
      end(error.message)
    })
    child.on('exit', (code, signal) => {
      end(`ended with ${String(code ?? signal)}`)
    })
  })
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-keptCharacters)
    })
  }
  const stop = async (): Promise<void> => {
    signalGroup(child, 'SIGTERM')
    if (await Promise.race([exited.then(() => true), sleep(stopMilliseconds, false, {ref: false})])) return
    signalGroup(child, 'SIGKILL')
    await exited
  }
  const deadline = Date.now() + readyMilliseconds
  while (!(typeof ready === 'number' ? await listens(ready) : ready.test(output))) {
    if (ended === undefined && Date.now() < deadline) await sleep(20)
    else {
      await stop()
      throw new Error(`${command} ${args.join(' ')} ${ended ?? 'did not become ready'}:\n${output.slice(-2000)}`)
    }
  }
  return {pid: child.pid ?? 0, output: () => output, stop}
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

export interface RunOptions {
  readonly environment?: NodeJS.ProcessEnv
  /** Files for its standard input and output; without an output file that is returned. */
  readonly from?: string
  readonly to?: string
  /** Hang guard. */
  readonly milliseconds?: number
}

/** Runs a program to its end; what it wrote. @throws Error with its complaints when it fails */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const {from, to, environment, milliseconds = 120_000} = options
  const files = [from === undefined ? undefined : openSync(from, 'r'), to === undefined ? undefined : openSync(to, 'w')]
  const child = launch(
    spawn(command, args, {
      env: cleanEnvironment(environment),
      stdio: [files[0] ?? 'ignore', files[1] ?? 'pipe', 'pipe'],
      detached: true,
    }),
  )
  for (const file of files) if (file !== undefined) closeSync(file)
  let output = ''
  let complaints = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaints = (complaints + text).slice(-keptCharacters)
  })
  const timer = setTimeout(() => {
    signalGroup(child, 'SIGKILL')
  }, milliseconds)
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
    if (code === 0) return output
    throw new Error(
      `${command} ${args.join(' ')} ended with ${String(code ?? signal)}: ${complaints.trim().slice(-800)}`,
    )
  } finally {
    clearTimeout(timer)
  }
}

interface Output {
  readonly firstMilliseconds: number
  readonly milliseconds: number
  readonly bytes: number
  /** The most that was seen. */
  readonly residentKilobytes: number
}

const lookMilliseconds = 50

/** Runs a program to its end and only counts what it writes. @throws Error when it fails */
export async function countOutput(command: string, args: readonly string[]): Promise<Output> {
  const began = performance.now()
  const child = launch(
    spawn(command, args, {env: cleanEnvironment(), stdio: ['ignore', 'pipe', 'ignore'], detached: true}),
  )
  let first = NaN
  let bytes = 0
  child.stdout?.on('data', (chunk: Buffer) => {
    if (bytes === 0) first = performance.now() - began
    bytes += chunk.length
  })
  let resident = 0
  const timer = setInterval(() => {
    resident = Math.max(resident, child.pid === undefined ? 0 : residentKilobytes(child.pid))
  }, lookMilliseconds)
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
    if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${String(code ?? signal)}`)
    return {firstMilliseconds: first, milliseconds: performance.now() - began, bytes, residentKilobytes: resident}
  } finally {
    clearInterval(timer)
  }
}

/** The full path of a program; servers are in directories that users do not search. */
export async function findProgram(name: string): Promise<string | undefined> {
  const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin', '/sbin']
  for (const directory of directories) {
    const path = join(directory, name)
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path
  }
  return undefined
}
