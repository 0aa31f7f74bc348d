import * as Flags from '@oclif/core/flags'
import {once} from 'node:events'
import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import {BaseCommand} from '../lib/cli/base-command.js'
import {runOwnCommand} from '../lib/cli/own-command.js'
import {askedToEnd, isInteractive} from '../lib/cli/terminal.js'
import type {Quickstart as Running} from '../lib/cluster/quickstart.js'
import {PosternError} from '../lib/core/errors.js'
import {createLogger} from '../lib/core/log.js'
import {shellWord} from '../lib/core/shell-word.js'

/** What the tour shows without a terminal: answers, and a statement that the database refuses. */
const tour = ['SELECT * FROM products ORDER BY id LIMIT 5', 'SELECT count(*), sum(price) FROM products']
const refused = "INSERT INTO products (name, price) VALUES ('Phone', 150.00)"

export default class Quickstart extends BaseCommand {
  static override summary =
    'Try everything on this machine: a cluster, Aurora in a sandbox AWS, psql through the proxy.'
  static override description = `Starts a sandbox AWS with an Aurora database that is a real PostgreSQL, a control plane, a proxy and a database agent on loopback,
makes the user alice, logs her in and opens psql on the database "aurora", where the agent signs in with an IAM token. Without a terminal it runs a few statements and shows what the audit log says about them.
Nothing is left behind, unless --keep or --dir ask for it.`
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    "<%= config.bin %> <%= command.id %> --exec 'select version()'",
    '<%= config.bin %> <%= command.id %> --keep --dir /tmp/tour',
  ]
  static override flags = {
    exec: Flags.string({description: 'run this SQL instead, and end with its exit code', helpValue: 'SQL'}),
    keep: Flags.boolean({
      default: false,
      description: 'stay until Ctrl-C, and say how to use the cluster from another terminal',
    }),
    dir: Flags.string({
      description: 'work in this directory and leave it there (default: a temporary one)',
      helpValue: 'DIR',
    }),
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(Quickstart)
    const directory =
      flags.dir === undefined ? await mkdtemp(join(tmpdir(), 'postern-quickstart-')) : resolve(flags.dir)
    try {
      await mkdir(directory, {recursive: true, mode: 0o700})
      const {startQuickstart} = await import('../lib/cluster/quickstart.js')
      const running = await startQuickstart({
        directory,
        version: this.config.version,
        logger: await createLogger({level: 'warn', format: 'text', output: process.stderr}),
        clock: this.surroundings.clock,
        onProgress: (step) => {
          this.say(`* ${step}`)
        },
      })
      try {
        await this.use(running, directory, flags)
      } finally {
        await running.stop()
      }
    } finally {
      if (flags.dir === undefined) await rm(directory, {recursive: true, force: true})
    }
  }

  private async use(
    running: Running,
    directory: string,
    flags: {exec: string | undefined; keep: boolean},
  ): Promise<void> {
    const home = join(directory, 'home')
    const environment = {...withoutOurs(process.env), POSTERN_HOME: home}
    const {user, database, proxy, caPin, password} = running
    this.say(`* Logging ${user} in, to the database "${database}" too`)
    const login = ['login', `--proxy=${proxy}`, `--user=${user}`, `--ca-pin=${caPin}`, '--password-stdin']
    await expectSuccess(runOwnCommand(login, {environment, input: `${password.reveal()}\n`}), login)
    const dbLogin = ['db', 'login', `--db-user=${user}`, `--db-name=${running.databaseName}`, database]
    await expectSuccess(runOwnCommand(dbLogin, {environment, input: ''}), dbLogin)

    const connect = ['db', 'connect', database]
    if (flags.keep) {
      await this.keep(running, directory, home)
    } else if (flags.exec !== undefined) {
      process.exitCode = await runOwnCommand([...connect, '--', '-c', flags.exec], {environment})
    } else if (isInteractive()) {
      process.exitCode = await runOwnCommand(connect, {environment})
    } else {
      for (const words of [
        ['db', 'ls'],
        ...tour.map((sql) => [...connect, '--', '-c', sql]),
        [...connect, '--', '-c', refused],
        ['audit', 'ls'],
      ]) {
        this.print(`\n$ postern ${words.map(shellWord).join(' ')}`)
        const code = await runOwnCommand(words, {environment})
        // psql ends with 1 after the refused statement: it is there to be refused.
        if (code !== (words.includes(refused) ? 1 : 0)) throw failed(words, code)
      }
    }
  }

  private async keep({proxy, user, database, configFile}: Running, directory: string, home: string): Promise<void> {
    const asked = askedToEnd()
    const data = {home, proxy, user, databases: [database], pid: process.pid}
    await writeFile(join(directory, 'quickstart.json'), `${JSON.stringify(data, null, 2)}\n`, {mode: 0o600})
    const bin = `node ${process.argv[1] ?? 'bin/run.js'}`
    this.print(`The cluster is up. In another terminal:

  export POSTERN_HOME=${home}
  ${bin} status
  ${bin} db ls
  ${bin} db connect ${database} -- -c 'select count(*) from products'
  ${bin} proxy db --tunnel ${database}
  ${bin} audit ls

As its administrator:

  ${bin} status --config ${configFile}
  ${bin} users ls --config ${configFile}

It ends with Ctrl-C.`)
    if (!asked.aborted) await once(asked, 'abort')
  }
}

/** The caller's own cluster must not get in the way. */
function withoutOurs(variables: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(variables).filter(([name]) => !name.startsWith('POSTERN_')))
}

async function expectSuccess(run: Promise<number>, words: readonly string[]): Promise<void> {
  const code = await run
  if (code !== 0) throw failed(words, code)
}

function failed(words: readonly string[], code: number): PosternError {
  return new PosternError('FAILED', `postern ${words.slice(0, 2).join(' ')} ended with exit code ${code}.`)
}
