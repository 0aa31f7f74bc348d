import {spawn, type ChildProcess} from 'node:child_process'
import {once} from 'node:events'
import {chmod, mkdir, mkdtemp, readFile, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import {cleanEnvironment, cli, finish, type Finished} from '../helpers/cli.js'

const password = 'correct horse battery'
const program = resolve('bin/run.js')

/** What `sandbox up` says. */
interface Facts {
  readonly proxy: string
  readonly config: string
  readonly environment_file: string
  readonly operator_environment_file: string
  readonly database: {readonly name: string; readonly uri: string}
}

/** Somebody at one of the three machines of a guide. */
export type Person = 'administrator' | 'alice' | 'database host' | 'operator of AWS'

export interface Typing {
  readonly person?: Person
  /** Standard input. */
  readonly input?: string
  /** What to type on a terminal, and the prompt that it answers. */
  readonly answers?: readonly (readonly [prompt: RegExp, answer: string])[]
}

/** Follows a guide: has the guide's cluster and AWS account, three machines with launchers, and a root for their files. */
export class Reader {
  readonly #started: (() => Promise<unknown>)[] = []
  #service: ChildProcess | undefined

  readonly root: string
  readonly facts: Facts
  /** Authorities that all machines trust: the cluster's certificate is as good there as a public one. */
  readonly #trusted: string

  private constructor(root: string, facts: Facts) {
    this.root = root
    this.facts = facts
    this.#trusted = join(root, 'trusted.pem')
  }

  static async start(guide: string): Promise<Reader> {
    const root = await mkdtemp(join(tmpdir(), 'postern-guide-'))
    const {facts, stop} = await sandboxUp(guide, join(root, 'sandbox'))
    const reader = new Reader(root, facts)
    reader.#started.push(() => rm(root, {recursive: true, force: true}), stop)
    try {
      await writeFile(reader.#trusted, await cli(['auth', 'export', '--type=host', '--config', facts.config]))
      await cli(['install', 'aliases', '--dir', join(root, 'bin')])
      await reader.write('bin/postern', `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`)
      await chmod(join(root, 'bin/postern'), 0o755)
      await reader.freshMachines()
      return reader
    } catch (error) {
      await reader.stop()
      throw error
    }
  }

  /** Machines on which nothing has been done yet; the administrator has an account, as the guides require. */
  async freshMachines(): Promise<void> {
    await this.stopService()
    for (const each of ['etc', 'var', 'tmp', 'homes', 'variables']) {
      await rm(join(this.root, each), {recursive: true, force: true})
    }
    for (const each of ['etc/default', 'run', 'tmp']) await mkdir(join(this.root, each), {recursive: true})
    await this.write('tmp/token', '')
    // "Ensure that /etc/default/teleport has the following content": the keys of the agent.
    const variables = await readFile(this.facts.environment_file, 'utf8')
    for (const name of ['teleport', 'postern']) await this.write(`etc/default/${name}`, variables)
    const config = ['--config', this.facts.config]
    await cli(['users', 'rm', 'email@example.com', ...config]).catch(() => undefined)
    await this.accept(await cli(['users', 'add', '--roles=editor,auditor', 'email@example.com', ...config]))
  }

  async write(path: string, text: string): Promise<void> {
    await writeFile(join(this.root, path), text)
  }

  read(path: string): Promise<string> {
    return readFile(join(this.root, path), 'utf8')
  }

  /** Sets the password, with the link that `users add` printed. */
  async accept(invite: string): Promise<void> {
    const [url = ''] = /https:\/\/\S+\/web\/invite\/[0-9a-f]{32}/.exec(invite) ?? []
    await cli(['invite', 'accept', url, '--password-stdin'], {
      input: `${password}\n`,
      environment: {SSL_CERT_FILE: this.#trusted},
    })
  }

  static readonly password = [/Enter password for \S+ user \S+:/, password] as const
  static readonly newPassword = [
    [/Choose a password:/, password],
    [/The same again:/, password],
  ] as const

  /** Files of the system are below the root. */
  rooted(text: string): string {
    return text.replace(/(?<![\w.-])\/(?=(?:etc|run|var\/lib)\/|tmp\/token\b)/g, `${this.root}/`)
  }

  /** Runs a line in a shell. Variables that it sets are there in the next one, and so is what it did to files. */
  async run(line: string, {person = 'database host', input, answers}: Typing = {}): Promise<Finished> {
    const script = join(this.root, 'line.sh')
    const variables = join(this.root, 'variables')
    await writeFile(
      script,
      `set -a -o pipefail
[ ! -e '${variables}' ] || . '${variables}'
${line}
status=$?
[ -z "\${!TELEPORT_*}" ] || declare -p \${!TELEPORT_@} > '${variables}'
exit $status
`,
    )
    const env = await this.#environmentOf(person)
    const child = answers
      ? spawn('script', ['-qec', `bash '${script}'`, '/dev/null'], {env})
      : spawn('bash', [script], {env})
    return answers ? typeOn(child, answers) : finish(child, input)
  }

  async #environmentOf(person: Person): Promise<NodeJS.ProcessEnv> {
    return cleanEnvironment({
      PATH: `${join(this.root, 'bin')}:${process.env.PATH ?? ''}`,
      TERM: 'dumb',
      POSTERN_HOME: join(this.root, 'homes', person),
      POSTERN_PREFIX: join(this.root, 'prefix'),
      SSL_CERT_FILE: this.#trusted,
      CURL_CA_BUNDLE: this.#trusted,
      CLUSTER_URI: this.facts.database.uri,
      ...(person === 'operator of AWS' && (await variablesIn(this.facts.operator_environment_file))),
    })
  }

  /** What systemd does to start a service by its unit: its ExecStart, in the environment of its EnvironmentFile only. */
  async startService(unit: string): Promise<void> {
    await this.stopService()
    const setting = (name: string): string => new RegExp(`^${name}=-?(.*)$`, 'm').exec(unit)?.[1] ?? ''
    const file = this.rooted(setting('EnvironmentFile'))
    const command = this.rooted(setting('ExecStart'))
    const [config = ''] = /\S+\.yaml/.exec(command) ?? []
    await writeFile(config, this.rooted(await readFile(config, 'utf8')))
    const child = spawn('bash', ['--norc', '-c', `set -a; . '${file}'; exec ${command}`], {
      env: {PATH: process.env.PATH, SSL_CERT_FILE: this.#trusted},
    })
    let log = ''
    await new Promise<void>((ready, failed) => {
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text: string) => {
          log += text
          if (log.includes('Postern is ready')) ready()
        })
      }
      child.once('exit', (code) => {
        failed(new Error(`${command} ended with ${String(code)}:\n${log}`))
      })
    })
    this.#service = child
  }

  async stopService(): Promise<void> {
    const child = this.#service
    this.#service = undefined
    if (child?.exitCode !== null) return
    child.kill('SIGTERM')
    await once(child, 'exit')
  }

  async stop(): Promise<void> {
    await this.stopService()
    for (const end of this.#started.splice(0).reverse()) await end()
  }
}

async function sandboxUp(guide: string, directory: string): Promise<{facts: Facts; stop: () => Promise<unknown>}> {
  const words = ['sandbox', 'up', `--guide=${guide}`, `--dir=${directory}`, '--format=json']
  const child = spawn(process.execPath, [program, ...words], {env: cleanEnvironment()})
  const exited = once(child, 'exit')
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  const facts = await new Promise<Facts>((ready, failed) => {
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (output.endsWith('}\n')) ready(JSON.parse(output) as Facts)
    })
    void exited.then(() => {
      failed(new Error(errors))
    })
  })
  const stop = (): Promise<unknown> => {
    child.kill('SIGINT')
    return exited
  }
  return {facts, stop}
}

/** Lines `NAME='value'`. */
async function variablesIn(file: string): Promise<Record<string, string>> {
  const text = await readFile(file, 'utf8')
  return Object.fromEntries(Array.from(text.matchAll(/^(\w+)='(.*)'$/gm), ([, name = '', value = '']) => [name, value]))
}

/** Types each answer when its prompt is on the screen; what is shown afterwards counts as standard output too. */
async function typeOn(child: ChildProcess, answers: NonNullable<Typing['answers']>): Promise<Finished> {
  let screen = ''
  const left = [...answers]
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    screen += text
    const [next] = left
    if (!next?.[0].test(screen)) return
    left.shift()
    child.stdin?.write(`${next[1]}\r`)
  })
  child.stdin?.on('error', () => undefined)
  const [code] = (await once(child, 'close')) as [number | null]
  return {code, stdout: screen.replaceAll('\r\n', '\n'), stderr: ''}
}
