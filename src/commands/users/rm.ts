import * as Args from '@oclif/core/args'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openAdminConnection} from '../../lib/cli/connection.js'
import {adminFlags} from '../../lib/cli/flags.js'

export default class UsersRm extends BaseCommand {
  static override summary = 'Delete users.'
  static override description = 'Their sessions end and their certificates are void from this moment.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> alice',
    '<%= config.bin %> <%= command.id %> alice,bob',
  ]
  static override args = {
    users: Args.string({ignoreStdin: true, required: true, description: 'names, separated by commas'}),
  }
  static override flags = {...adminFlags}

  async run(): Promise<void> {
    const {args, flags} = await this.parse(UsersRm)
    const connection = await openAdminConnection(flags, this.surroundings)
    await connection.ask(async (client) => {
      for (const user of args.users.split(',').filter(Boolean)) {
        await client.deleteResource('user', user)
        this.print(`user "${user}" has been deleted`)
      }
    })
  }
}
