import {spawn, type ChildProcess} from 'node:child_process'
import {randomInt} from 'node:crypto'
import {createSocket} from 'node:dgram'
import {once} from 'node:events'
import {readFile} from 'node:fs/promises'
import {connect, createServer} from 'node:net'
import {resolve} from 'node:path'
import {text} from 'node:stream/consumers'

const program = resolve('bin/run.js')

export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface CliOptions {
  readonly environment?: NodeJS.ProcessEnv
  readonly input?: string
  readonly cwd?: string
}

/** The environment of a user who has nothing of ours set, and no terminal colours. */
export function cleanEnvironment(extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const mine = Object.entries(process.env).filter(([name]) => !/^(POSTERN_|PG|NODE_|AWS_|JEST_)/.test(name))
  return {...Object.fromEntries(mine), POSTERN_CONFIG_FILE: '', ...extra}
}

/** Runs the built command line to its end, in a process of its own: for how the program starts and what others see of it. */
export async function runProcess(words: readonly string[], options: CliOptions = {}): Promise<Finished> {
  const child = spawn(process.execPath, [program, ...words], {
    env: cleanEnvironment(options.environment),
    ...(options.cwd === undefined ? {} : {cwd: options.cwd}),
  })
  return finish(child, options.input)
}

/** These give their terminal to another program, whose output only a process of their own has. */
const sharesTerminal = /^(db connect|proxy db|quickstart)\b/

/**
 * Runs the built command line to its end, for what commands do: in a process that has run others before, which spares
 * loading the program, a hundred times the work of most of them.
 */
export async function runCli(words: readonly string[], options: CliOptions = {}): Promise<Finished> {
  const path = process.env.POSTERN_TEST_PROGRAMS
  if (path === undefined || sharesTerminal.test(words.join(' '))) return runProcess(words, options)
  const {environment, input = '', cwd: directory = process.cwd()} = options
  const socket = connect(path)
  socket.end(JSON.stringify({words, environment: cleanEnvironment(environment), input, directory}))
  const answer = await text(socket)
  if (answer === '') throw new Error(`postern ${words.join(' ')} took its process down`)
  return JSON.parse(answer) as Finished
}

/** Runs a line in a shell with `postern` on its PATH, as the guides print it. */
export async function runShell(line: string, options: CliOptions = {}): Promise<Finished> {
  const define = `postern() { '${process.execPath}' '${program}' "$@"; }\n`
  const child = spawn('bash', ['-c', `${define}${line}`], {env: cleanEnvironment(options.environment)})
  return finish(child, options.input)
}

/** What a program wrote until its end. */
export async function finish(child: ChildProcess, input = ''): Promise<Finished> {
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  child.stdin?.on('error', () => undefined).end(input)
  const [code] = (await once(child, 'close')) as [number | null]
  return {code, stdout, stderr}
}

/** As `runCli`, for a command that must succeed; its standard output. */
export async function cli(words: readonly string[], options: CliOptions = {}): Promise<string> {
  const {code, stdout, stderr} = await runCli(words, options)
  if (code !== 0) throw new Error(`postern ${words.join(' ')} ended with ${String(code)}:\n${stdout}${stderr}`)
  return stdout
}

export interface Service {
  readonly pid: number
  /** All that it logged. */
  readonly log: () => string
  /** Ends it with a signal and waits; its exit code. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<number | null>
}

/** `postern start` as a process of its own; resolves when it says that it is ready. */
export async function startService(words: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Service> {
  const child = spawn(process.execPath, [program, 'start', ...words], {env: cleanEnvironment(environment)})
  let log = ''
  const exited = once(child, 'exit') as Promise<[number | null]>
  await new Promise<void>((ready, failed) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        log += text
        if (log.includes('Postern is ready')) ready()
      })
    }
    void exited.then(([code]) => {
      failed(new Error(`postern start ${words.join(' ')} ended with ${String(code)}:\n${log}`))
    })
  })
  return {
    pid: child.pid ?? 0,
    log: () => log,
    stop: async (signal = 'SIGTERM') => {
      child.kill(signal)
      const [code] = await exited
      return code
    },
  }
}

/**
 * A port of 127.0.0.1 where nothing listens, and nothing will unless the test has it do so: no outgoing connection takes it
 * by chance, and no other test, be it of another run on this machine.
 */
export async function freePort(): Promise<number> {
  const {first, count} = await quietPorts()
  for (;;) {
    const port = first + randomInt(count)
    if ((await reserve(port)) && (await isFree(port))) return port
  }
}

/** Ports that the system does not give away by itself, as far as there are any; where it is asked, Linux says which those are. */
async function quietPorts(): Promise<{first: number; count: number}> {
  const usual = {first: 10_000, count: 10_000}
  const least = 1000
  const range = await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').catch(() => '32768 60999')
  const [low = 0, high = 0] = range.trim().split(/\s+/).map(Number)
  // The stable ones of local proxies begin behind the usual ones.
  const below = {...usual, count: Math.min(usual.count, low - usual.first)}
  const above = {first: high + 1, count: 65_535 - high}
  return [below, above].find(({count}) => count >= least) ?? usual
}

/** Takes the UDP port of the same number until this process ends: that is how the tests of a machine tell each other. */
function reserve(port: number): Promise<boolean> {
  const mark = createSocket('udp4').unref()
  return new Promise((resolve) => {
    mark.once('error', () => {
      mark.close()
      resolve(false)
    })
    mark.bind({address: '127.0.0.1', port, exclusive: true}, () => {
      resolve(true)
    })
  })
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  const listens = await new Promise<boolean>((resolve) => {
    server.once('error', () => {
      resolve(false)
    })
    server.listen({host: '127.0.0.1', port, exclusive: true}, () => {
      resolve(true)
    })
  })
  if (!listens) return false
  server.close()
  await once(server, 'close')
  return true
}
