import * as Args from '@oclif/core/args'
import {BaseCommand} from '../lib/cli/base-command.js'
import {openAdminConnection} from '../lib/cli/connection.js'
import {adminFlags} from '../lib/cli/flags.js'
import {describeResource} from '../lib/cli/resource-text.js'
import {isSingleton, kinds, parseNamed} from '../lib/resources/kinds.js'

export default class Rm extends BaseCommand {
  static override summary = 'Delete a resource.'
  static override description =
    'A database that stands in the configuration file of an agent comes back with the next heartbeat. Settings of the whole cluster, such as session_recording_config, are reset to their defaults.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> role/db',
    '<%= config.bin %> <%= command.id %> db/aurora',
    '<%= config.bin %> <%= command.id %> lock/8f1c9bd8-9e0f-4f1d-a5a7-6a1c1c6b2a77',
  ]
  static override args = {
    resource: Args.string({
      ignoreStdin: true,
      required: true,
      description: `KIND/NAME, or the KIND of which there is only one; kinds: ${kinds.join(', ')}`,
    }),
  }
  static override flags = {...adminFlags}

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Rm)
    const {kind, name} = parseNamed(args.resource)
    const connection = await openAdminConnection(flags, this.surroundings)
    await connection.ask((client) => client.deleteResource(kind, name))
    const done = isSingleton(kind) ? 'been reset to its defaults' : 'been deleted'
    this.print(`${describeResource(kind, name)} has ${done}`)
  }
}
