import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openUserLogin} from '../../lib/cli/connection.js'
import {openDatabaseSession} from '../../lib/cli/database-session.js'
import {accountFlags, labelsFlag, loginFlags, mergeLabels} from '../../lib/cli/flags.js'
import {runClient, runDirectClient} from '../../lib/cli/client-run.js'
import {describeDirect} from '../../lib/cli/direct-mode.js'
import {Stopwatch, timingsText} from '../../lib/cli/timings.js'

export default class DbConnect extends BaseCommand {
  static override readonly takesProgramWords = true
  static override summary = 'Connect to a database with psql.'
  static override description = `Opens psql on the database, through the proxy, as yourself: no password is asked, and the certificate that proves
who you are lives only as long as your login. What follows -- is given to psql. The exit code is psql's own.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> orders',
    '<%= config.bin %> <%= command.id %> --db-user=alice --db-name=postgres orders',
    "<%= config.bin %> <%= command.id %> orders -- -c 'select 1'",
    "<%= config.bin %> <%= command.id %> orders -- -At -c 'table products' | head",
    "<%= config.bin %> <%= command.id %> --timings orders -- -c 'select 1'",
    "<%= config.bin %> <%= command.id %> --no-tunnel orders -- -c 'select 1'",
  ]
  static override args = {
    database: Args.string({
      ignoreStdin: true,
      description: 'database to connect to (default: the one you are logged in to)',
    }),
  }
  static override flags = {
    timings: Flags.boolean({
      default: false,
      description: 'print on standard error how many milliseconds each step of connecting took',
    }),
    'no-tunnel': Flags.boolean({
      default: false,
      exclusive: ['timings'],
      description: 'let psql (14 or newer) go to the proxy by itself, with its certificate, instead of a local proxy',
    }),
    ...accountFlags,
    ...labelsFlag,
    ...loginFlags,
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(DbConnect)
    const startUpMilliseconds = performance.now()
    const session = await openDatabaseSession({
      login: await openUserLogin(flags, this.surroundings),
      selector: {name: args.database, labels: mergeLabels(flags.labels)},
      dbUser: flags['db-user'],
      dbName: flags['db-name'],
    })
    for (const notice of session.notices) this.say(notice)
    if (flags['no-tunnel']) {
      const direct = await describeDirect(flags, {...this.surroundings, database: session.route.database})
      process.exitCode = await runDirectClient(direct, this.programWords, (notice) => {
        if (process.stdin.isTTY) this.say(notice)
      })
      return
    }
    const watch = new Stopwatch(startUpMilliseconds)
    process.exitCode = await runClient(session, ['psql', ...this.programWords], (times) => {
      const timings = flags.timings ? watch.read(times) : undefined
      if (timings) this.say(timingsText(timings))
    })
  }
}
