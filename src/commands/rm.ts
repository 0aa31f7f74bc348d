import * as Args from '@oclif/core/args'
import {BaseCommand} from '../lib/cli/base-command.js'
import {openAdminConnection} from '../lib/cli/connection.js'
import {adminFlags} from '../lib/cli/flags.js'
import {describeResource} from '../lib/cli/resource-text.js'
import {PosternError} from '../lib/core/errors.js'
import {parseReference} from '../lib/resources/kinds.js'

export default class Rm extends BaseCommand {
  static override summary = 'Delete a resource.'
  static override description =
    'A database that stands in the configuration file of an agent comes back with the next heartbeat.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> role/db',
    '<%= config.bin %> <%= command.id %> db/aurora',
  ]
  static override args = {
    resource: Args.string({
      ignoreStdin: true,
      required: true,
      description: 'KIND/NAME: a role, user, token, db, db_server or lock',
    }),
  }
  static override flags = {...adminFlags}

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Rm)
    const {kind, name} = parseReference(args.resource)
    if (name === undefined) {
      throw new PosternError('USAGE', 'The name of the resource is missing.', {
        hint: `Write it as ${kind}/NAME; \`postern get ${kind}\` lists them.`,
      })
    }
    const connection = await openAdminConnection(flags, this.surroundings)
    await connection.ask((client) => client.deleteResource(kind, name))
    this.print(`${describeResource(kind, name)} has been deleted`)
  }
}
