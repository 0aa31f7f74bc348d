import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import type {VisibleDatabase} from '../../lib/api/responses.js'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {nameCommands} from '../../lib/cli/calling-name.js'
import {openUserLogin} from '../../lib/cli/connection.js'
import {hasLabels} from '../../lib/cli/database-selection.js'
import {databaseData, renderDatabases, searchDatabases} from '../../lib/cli/database-text.js'
import {formatFlag, list, loginFlags, mergeLabels, queryFlag} from '../../lib/cli/flags.js'
import {serverListing} from '../../lib/cli/server-listing.js'
import {renderServers, serverStatuses, type ServedDatabase} from '../../lib/cli/server-text.js'

/** Compiled before anything is asked: a mistake in a query is a mistake of usage. */
async function wanted(query: string | undefined): Promise<(database: VisibleDatabase) => boolean> {
  if (query === undefined) return () => true
  const {compileQuery} = await import('../../lib/cli/database-query.js')
  return compileQuery(query)
}

/** From this many rows on it is worth saying how to see fewer. */
const manyRows = 20

export default class DbLs extends BaseCommand {
  static override summary = 'List the databases you may connect to.'
  static override description =
    'Databases you are logged in to are marked, with the command that connects to them. With -v it also shows type, address, the database users you may be, and health.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> env=dev,team=shop',
    '<%= config.bin %> <%= command.id %> --search=orders,us-west-1 -v',
    `<%= config.bin %> <%= command.id %> --query='labels["env"] == "dev" || health.status == "unhealthy"'`,
    '<%= config.bin %> <%= command.id %> --all-agents --status=unhealthy',
  ]
  static override args = {
    labels: Args.string({ignoreStdin: true, description: 'show only databases with these labels: KEY=VALUE,...'}),
  }
  static override flags = {
    search: Flags.string({
      ...list,
      description: 'show only databases in which all these words occur',
      helpValue: 'WORD,',
    }),
    ...queryFlag,
    'all-agents': Flags.boolean({
      description: 'list every database with each agent that serves it, for administrators, as "db servers" does',
    }),
    status: Flags.option({
      options: serverStatuses,
      dependsOn: ['all-agents'],
      description: 'show only databases in this state, with --all-agents',
    })(),
    verbose: Flags.boolean({default: false, char: 'v', description: 'show all columns and labels'}),
    ...formatFlag,
    ...loginFlags,
  }

  async run(): Promise<VisibleDatabase[] | ServedDatabase[]> {
    const {args, flags} = await this.parse(DbLs)
    const labels = mergeLabels(args.labels === undefined ? undefined : [args.labels]) ?? {}
    if (flags['all-agents']) {
      const {search, query, status} = flags
      const listing = await serverListing({labels, search, query, status})
      const shown = await (await openUserLogin(flags, this.surroundings)).ask(listing)
      return this.show(flags.format, shown, () => renderServers(shown, flags.verbose))
    }
    const isWanted = await wanted(flags.query)
    const login = await openUserLogin(flags, this.surroundings)
    const {databases: all} = await login.ask((client) => client.visibleDatabases())
    const databases = searchDatabases(all, flags.search ?? [])
      .filter((each) => hasLabels(each.database.metadata.labels ?? {}, labels) && isWanted(each))
      .sort((a, b) => (a.database.metadata.name < b.database.metadata.name ? -1 : 1))
    const active = (await login.databases.list()).map(({route}) => route)
    await this.show(flags.format, databases.map(databaseData), () =>
      renderDatabases(databases, {
        verbose: flags.verbose,
        active,
        width: process.stdout.isTTY ? process.stdout.columns : undefined,
      }),
    )
    const isFiltered = args.labels !== undefined || flags.search !== undefined || flags.query !== undefined
    if (flags.format === 'text' && databases.length >= manyRows && !isFiltered) {
      this.say(
        nameCommands(
          "hint: use 'postern db ls --search foo,bar' to search keywords\n      use 'postern db ls key1=value1,key2=value2' to filter databases by labels",
        ),
      )
    }
    return databases
  }
}
