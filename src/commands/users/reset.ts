import * as Args from '@oclif/core/args'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openAdminConnection} from '../../lib/cli/connection.js'
import {adminFlags, formatFlag, seconds} from '../../lib/cli/flags.js'
import {inviteData, renderInvite, type InviteData} from '../../lib/cli/invite-text.js'
import {pinOf} from '../../lib/pki/pin.js'

export default class UsersReset extends BaseCommand {
  static override summary = "Take a user's password away and print the link with which they set a new one."
  static override description = 'Certificates that the user holds are void from this moment.'
  static override examples = ['<%= config.bin %> <%= command.id %> alice']
  static override args = {user: Args.string({ignoreStdin: true, required: true, description: 'name of the user'})}
  static override flags = {
    ...adminFlags,
    ...formatFlag,
    ttl: seconds({description: 'how long the link can be used (default: 8h)'}),
  }

  async run(): Promise<InviteData> {
    const {args, flags} = await this.parse(UsersReset)
    const connection = await openAdminConnection(flags, this.surroundings)
    const invite = await connection.ask((client) => client.resetUser(args.user, {ttlSeconds: flags.ttl}))
    return this.show(flags.format, inviteData(invite), (data) =>
      renderInvite(data, {done: 'reset', caPins: connection.hostAuthorities.map(pinOf)}),
    )
  }
}
