import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openAdminConnection} from '../../lib/cli/connection.js'
import {hasLabels} from '../../lib/cli/database-selection.js'
import {
  matchesWords,
  renderServers,
  servedDatabases,
  serverStatuses,
  type ServedDatabase,
} from '../../lib/cli/server-text.js'
import {adminFlags, formatFlag, list, mergeLabels, queryFlag} from '../../lib/cli/flags.js'

async function wanted(query: string | undefined): Promise<(served: ServedDatabase) => boolean> {
  if (query === undefined) return () => true
  const [{compileQuery}, {classifyDatabase}] = await Promise.all([
    import('../../lib/cli/database-query.js'),
    import('../../lib/resources/endpoint.js'),
  ])
  const holds = compileQuery(query)
  return ({spec: {database}, status}) =>
    holds({database, type: classifyDatabase(database.spec).type, health: status.target_health.status})
}

export default class DbServers extends BaseCommand {
  static override summary = 'List databases with the agents that serve them, for administrators.'
  static override description =
    'One row for each agent of each database. A db resource that no agent serves is listed as unclaimed, without a host.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> env=dev --status=unhealthy',
    '<%= config.bin %> <%= command.id %> --search=orders --format=json',
    `<%= config.bin %> <%= command.id %> --query='labels["env"] == "prod" && health.status != "healthy"'`,
  ]
  static override args = {
    labels: Args.string({ignoreStdin: true, description: 'show only databases with these labels: KEY=VALUE,...'}),
  }
  static override flags = {
    ...adminFlags,
    search: Flags.string({
      ...list,
      description: 'show only rows in which all these words occur',
      helpValue: 'WORD,...',
    }),
    ...queryFlag,
    status: Flags.option({options: serverStatuses, description: 'show only databases in this state'})(),
    verbose: Flags.boolean({char: 'v', description: 'show all labels'}),
    ...formatFlag,
  }

  async run(): Promise<ServedDatabase[]> {
    const {args, flags} = await this.parse(DbServers)
    const labels = mergeLabels(args.labels === undefined ? undefined : [args.labels]) ?? {}
    const isWanted = await wanted(flags.query)
    const connection = await openAdminConnection(flags, this.surroundings)
    const found = await connection.ask(async (client) => {
      const [servers, databases] = await Promise.all([client.listResources('db_server'), client.listResources('db')])
      return servedDatabases([...servers.items, ...databases.items])
    })
    const shown = found.filter(
      (served) =>
        hasLabels(served.spec.database.metadata.labels ?? {}, labels) &&
        matchesWords(served, flags.search ?? []) &&
        isWanted(served) &&
        (flags.status === undefined || served.status.target_health.status === flags.status),
    )
    return this.show(flags.format, shown, () => renderServers(shown, flags.verbose))
  }
}
