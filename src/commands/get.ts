import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../lib/cli/base-command.js'
import {openAdminConnection} from '../lib/cli/connection.js'
import {adminFlags, formats} from '../lib/cli/flags.js'
import {hideSecrets, renderResources, renderYaml} from '../lib/cli/resource-text.js'
import {parseReference} from '../lib/resources/kinds.js'
import type {Resource} from '../lib/resources/resource.js'

export default class Get extends BaseCommand {
  static override summary = 'Print resources as they are stored.'
  static override description = `YAML documents can be edited and given to \`<%= config.bin %> create -f\`. JSON is always a list.

db_server/NAME gives one entry for each agent that serves the database.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> role/access',
    '<%= config.bin %> <%= command.id %> users --format=text',
    '<%= config.bin %> <%= command.id %> db_server/aurora --format=json',
  ]
  static override args = {
    resource: Args.string({
      ignoreStdin: true,
      required: true,
      description: 'KIND or KIND/NAME: role, user, token, db, db_server or lock',
    }),
  }
  static override flags = {
    ...adminFlags,
    format: Flags.option({char: 'f', options: formats, default: 'yaml', description: 'how to print the answer'})(),
    'with-secrets': Flags.boolean({description: 'show join tokens whole'}),
  }

  async run(): Promise<Resource[]> {
    const {args, flags} = await this.parse(Get)
    const {kind, name} = parseReference(args.resource)
    const connection = await openAdminConnection(flags, this.surroundings)
    const {items} = await connection.ask((client) =>
      name === undefined ? client.listResources(kind) : client.getResource(kind, name),
    )
    const resources = flags['with-secrets'] ? items : items.map(hideSecrets)
    if (flags.format === 'yaml') {
      this.print(await renderYaml(resources))
      return resources
    }
    return this.show(flags.format, resources, () => renderResources(kind, resources, this.surroundings.clock.now()))
  }
}
