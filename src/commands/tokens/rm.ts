import * as Args from '@oclif/core/args'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openAdminConnection} from '../../lib/cli/connection.js'
import {adminFlags} from '../../lib/cli/flags.js'
import {maskToken} from '../../lib/resources/token-name.js'

export default class TokensRm extends BaseCommand {
  static override summary = 'Remove a join token.'
  static override description = 'Hosts that joined with it stay in the cluster.'
  static override examples = ['<%= config.bin %> <%= command.id %> 3c2f0f6a5d1e4b7c9a8d7e6f5a4b3c2d']
  static override args = {token: Args.string({ignoreStdin: true, required: true, description: 'the whole token'})}
  static override flags = {...adminFlags}

  async run(): Promise<void> {
    const {args, flags} = await this.parse(TokensRm)
    const connection = await openAdminConnection(flags, this.surroundings)
    await connection.ask((client) => client.deleteResource('token', args.token))
    this.print(`token "${maskToken(args.token)}" has been deleted`)
  }
}
