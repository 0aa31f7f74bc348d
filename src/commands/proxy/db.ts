import {once} from 'node:events'
import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {runClient} from '../../lib/cli/client-run.js'
import {openUserLogin} from '../../lib/cli/connection.js'
import {openDatabaseSession, type DatabaseSession} from '../../lib/cli/database-session.js'
import {accountFlags, formatFlag, labelsFlag, loginFlags, mergeLabels} from '../../lib/cli/flags.js'
import {postgresEnvironment, runProgram} from '../../lib/cli/program.js'
import {askedToEnd} from '../../lib/cli/terminal.js'
import {startTunnel, type Tunnel} from '../../lib/cli/tunnel.js'
import {PosternError} from '../../lib/core/errors.js'

interface TunnelData {
  readonly database: string
  readonly cluster: string
  readonly host: string
  readonly port: number
  readonly db_user: string
  readonly db_name: string
  readonly password?: string
}

export default class ProxyDb extends BaseCommand {
  static override readonly takesProgramWords = true
  static override summary = 'Open a local port to a database, for GUI clients, drivers and CI jobs.'
  static override description = `Listens on 127.0.0.1 and ::1 and carries every connection to the database, authenticated as you. The port is the same each time,
and only your own user may connect to it. Certificates are renewed while it runs. With --exec the words after -- are run with
PGHOST, PGPORT, PGUSER and PGDATABASE set, to a private UNIX socket or to --port, and their exit code is returned.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> --tunnel orders',
    '<%= config.bin %> <%= command.id %> --tunnel --port 25432 --db-user=alice --db-name=postgres orders',
    '<%= config.bin %> <%= command.id %> --tunnel orders --exec -- pgbench -S -c 8 -T 10',
  ]
  static override args = {
    database: Args.string({
      ignoreStdin: true,
      description: 'database to reach (default: the one you are logged in to)',
    }),
  }
  static override flags = {
    tunnel: Flags.boolean({
      default: true,
      description:
        'authenticate for the clients; this is the only mode, and the flag is there for scripts that name it',
    }),
    port: Flags.integer({
      char: 'p',
      min: 0,
      max: 65_535,
      description: "port to listen on; 0 takes any free one (default: the database's own)",
      helpValue: 'PORT',
    }),
    exec: Flags.boolean({default: false, description: 'run the program after -- and end with it'}),
    ...accountFlags,
    ...labelsFlag,
    ...loginFlags,
    ...formatFlag,
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(ProxyDb)
    if (flags.exec !== this.programWords.length > 0) {
      throw new PosternError(
        'USAGE',
        flags.exec ? '--exec needs a program to run.' : 'A program after -- needs --exec.',
        {
          hint: 'For example: postern proxy db orders --exec -- psql -c "select 1"',
        },
      )
    }
    const session = await openDatabaseSession({
      login: await openUserLogin(flags, this.surroundings),
      selector: {name: args.database, labels: mergeLabels(flags.labels)},
      dbUser: flags['db-user'],
      dbName: flags['db-name'],
    })
    for (const notice of session.notices) this.say(notice)
    // Programs that read PG* can use a UNIX socket, which needs no look at who connects; a port is for the others.
    if (flags.exec && flags.port === undefined) {
      process.exitCode = await runClient(session, this.programWords)
      return
    }
    const tunnel = await startTunnel(session, flags.port)
    try {
      if (flags.exec) {
        process.exitCode = await this.runWords(session, tunnel)
      } else {
        await this.show(flags.format, describe(session, tunnel), describeText)
        await once(askedToEnd(), 'abort')
      }
    } finally {
      await tunnel.proxy.close()
    }
  }

  private runWords({route}: DatabaseSession, {proxy, password}: Tunnel): Promise<number> {
    const [command = '', ...words] = this.programWords
    const place = {host: '127.0.0.1', port: proxy.port, user: route.dbUser, database: route.dbName}
    const environment = postgresEnvironment(process.env, place)
    return runProgram(command, words, password ? {...environment, PGPASSWORD: password.reveal()} : environment)
  }
}

function describe({route, upstream}: DatabaseSession, {proxy, password}: Tunnel): TunnelData {
  return {
    database: route.database,
    cluster: upstream.cluster,
    host: '127.0.0.1',
    port: proxy.port,
    db_user: route.dbUser,
    db_name: route.dbName,
    ...(password ? {password: password.reveal()} : {}),
  }
}

function describeText(tunnel: TunnelData): string {
  const url = `postgres://${encodeURIComponent(tunnel.db_user)}@localhost:${tunnel.port}/${encodeURIComponent(tunnel.db_name)}`
  return `Tunnel to the PostgreSQL database "${tunnel.database}" in cluster "${tunnel.cluster}" is open on ${tunnel.host}:${tunnel.port}.
It ends with Ctrl-C. Connect with any client, without TLS and ${tunnel.password === undefined ? 'without a password' : `with the password ${tunnel.password}`}:
  $ psql ${url}`
}
