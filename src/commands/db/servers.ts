import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openAdminConnection} from '../../lib/cli/connection.js'
import {adminFlags, formatFlag, list, mergeLabels, queryFlag} from '../../lib/cli/flags.js'
import {serverListing} from '../../lib/cli/server-listing.js'
import {renderServers, serverStatuses, type ServedDatabase} from '../../lib/cli/server-text.js'

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
      helpValue: 'WORD,',
    }),
    ...queryFlag,
    status: Flags.option({options: serverStatuses, description: 'show only databases in this state'})(),
    verbose: Flags.boolean({default: false, char: 'v', description: 'show all labels'}),
    ...formatFlag,
  }

  async run(): Promise<ServedDatabase[]> {
    const {args, flags} = await this.parse(DbServers)
    const labels = mergeLabels(args.labels === undefined ? undefined : [args.labels]) ?? {}
    const {search, query, status} = flags
    const listing = await serverListing({labels, search, query, status})
    const connection = await openAdminConnection(flags, this.surroundings)
    const shown = await connection.ask(listing)
    return this.show(flags.format, shown, () => renderServers(shown, flags.verbose))
  }
}
