import {spawn, type ChildProcess} from 'node:child_process'
import {once} from 'node:events'
import {resolve} from 'node:path'
import {cleanEnvironment, type Finished} from './cli.js'

export interface LocalPort {
  readonly port: number
  readonly pid: number
  readonly stop: () => Promise<void>
}

/** `postern proxy db` as alice on "aurora": a local port for many psql. */
export async function openLocalPort(person: NodeJS.ProcessEnv): Promise<LocalPort> {
  const words = ['proxy', 'db', '--tunnel', '--port=0', '--db-user=alice', '--db-name=postgres', '--format=json']
  const child = spawn(process.execPath, [resolve('bin/run.js'), ...words, 'aurora'], {env: cleanEnvironment(person)})
  const exited = once(child, 'exit')
  const [answer] = (await once(child.stdout, 'data')) as [Buffer]
  const {port} = JSON.parse(answer.toString()) as {port: number}
  return {
    port,
    pid: child.pid ?? 0,
    stop: async () => {
      child.kill('SIGTERM')
      await exited
    },
  }
}

export interface Psql {
  readonly child: ChildProcess
  readonly finished: Promise<Finished>
}

/** The real psql, without anybody's settings. */
export function startPsql(words: readonly string[]): Psql {
  const child = spawn('psql', ['-X', '-At', ...words], {env: cleanEnvironment()})
  return {child, finished: collect(child)}
}

/** The real psql on a local port. */
export function psqlOn({port}: {readonly port: number}, words: readonly string[]): Psql {
  return startPsql(['-h', '127.0.0.1', '-p', String(port), '-U', 'alice', '-d', 'postgres', ...words])
}

async function collect(child: ChildProcess): Promise<Finished> {
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  child.stdin?.on('error', () => undefined)
  const [code] = (await once(child, 'close')) as [number | null]
  return {code, stdout, stderr}
}

/** Asks again until there is an answer, after a pause in milliseconds; the test's own limit ends a wait for nothing. */
export async function waitFor<T>(ask: () => Promise<T | undefined> | T | undefined, pause = 50): Promise<T> {
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
}
