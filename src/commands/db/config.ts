import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {describeDirect, psqlCommand, type DirectConnection} from '../../lib/cli/direct-mode.js'
import {formats, loginFlags} from '../../lib/cli/flags.js'

export default class DbConfig extends BaseCommand {
  static override summary = 'Print what a client needs that goes to the proxy by itself.'
  static override description =
    'Needs `<%= config.bin %> db login` before. The host is a route, no DNS name: the client must dial the address, and send the host in its TLS ClientHello.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> my-redshift',
    {command: '<%= config.bin %> <%= command.id %> --format=cmd my-redshift', description: 'Print the psql command'},
  ]
  static override args = {
    database: Args.string({ignoreStdin: true, description: 'name of the database (default: the one in use)'}),
  }
  static override flags = {
    format: Flags.option({
      char: 'f',
      options: [...formats, 'cmd'] as const,
      default: 'text',
      description: 'how to print it; cmd prints the command of psql',
    })(),
    ...loginFlags,
  }

  async run(): Promise<DirectConnection> {
    const {args, flags} = await this.parse(DbConfig)
    const direct = await describeDirect(flags, {...this.surroundings, database: args.database})
    if (flags.format === 'cmd') return this.show('text', direct, psqlCommand)
    return this.show(flags.format, direct, renderConfig)
  }
}

const labelWidth = 'Database:  '.length

function renderConfig(direct: DirectConnection): string {
  const rows: [string, string | undefined][] = [
    ['Name', direct.name],
    ['Host', direct.host],
    ['Address', direct.hostaddr],
    ['Port', String(direct.port)],
    ['User', direct.user],
    ['Database', direct.database],
    ['CA', direct.ca],
    ['Cert', direct.cert],
    ['Key', direct.key],
  ]
  return rows
    .flatMap(([label, value]) => (value === undefined ? [] : [`${`${label}:`.padEnd(labelWidth)}${value}`]))
    .join('\n')
}
