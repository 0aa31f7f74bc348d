import * as Args from '@oclif/core/args'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {describeDirect, libpqVariables, quoteWord} from '../../lib/cli/direct-mode.js'
import {formatFlag, loginFlags} from '../../lib/cli/flags.js'

export default class DbEnv extends BaseCommand {
  static override summary = 'Print the environment variables with which libpq connects by itself.'
  static override description =
    'For psql, pg_dump and drivers on libpq 14 or newer: they go to the proxy with the certificate of `<%= config.bin %> db login`, without a local proxy. A certificate that has expired is renewed as long as your login lasts.'
  static override examples = [
    {command: 'eval "$(<%= config.bin %> <%= command.id %> my-redshift)"', description: 'Set them in this shell'},
    '<%= config.bin %> <%= command.id %> --format=json',
  ]
  static override args = {
    database: Args.string({ignoreStdin: true, description: 'name of the database (default: the one in use)'}),
  }
  static override flags = {...formatFlag, ...loginFlags}

  async run(): Promise<Record<string, string>> {
    const {args, flags} = await this.parse(DbEnv)
    const direct = await describeDirect(flags, {...this.surroundings, database: args.database})
    return this.show(flags.format, libpqVariables(direct), (variables) =>
      Object.entries(variables)
        .map(([name, value]) => `export ${name}=${quoteWord(value)}`)
        .join('\n'),
    )
  }
}
