import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openAdminConnection} from '../../lib/cli/connection.js'
import {adminFlags, formatFlag, list, seconds} from '../../lib/cli/flags.js'
import {inviteData, renderInvite, type InviteData} from '../../lib/cli/invite-text.js'
import {pinOf} from '../../lib/pki/pin.js'

export default class UsersAdd extends BaseCommand {
  static override summary = 'Create a user and print the link with which they set their password.'
  static override description =
    'What the other lists hold becomes traits of the user; roles use them as {{internal.db_users}} and so on.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --roles=access,db alice',
    {
      command: '<%= config.bin %> <%= command.id %> --roles=access,requester --db-users="*" --db-names="*" alice',
      description: 'Let alice be every database user, on databases that her roles allow',
    },
  ]
  static override args = {user: Args.string({ignoreStdin: true, required: true, description: 'name of the new user'})}
  static override flags = {
    ...adminFlags,
    ...formatFlag,
    roles: Flags.string({...list, required: true, description: 'roles of the user', helpValue: 'ROLE,'}),
    'db-users': Flags.string({...list, description: 'database users they may be', helpValue: 'NAME,'}),
    'db-names': Flags.string({...list, description: 'database names they may use', helpValue: 'NAME,'}),
    'db-roles': Flags.string({...list, description: 'database roles they may have', helpValue: 'NAME,'}),
    logins: Flags.string({
      ...list,
      description: 'logins on hosts, kept for roles that use them',
      helpValue: 'NAME,',
    }),
    ttl: seconds({description: 'how long the link can be used (default: 1h)'}),
  }

  async run(): Promise<InviteData> {
    const {args, flags} = await this.parse(UsersAdd)
    const wanted = {
      logins: flags.logins,
      db_users: flags['db-users'],
      db_names: flags['db-names'],
      db_roles: flags['db-roles'],
    }
    const traits = Object.fromEntries(
      Object.entries(wanted).flatMap(([name, values]) => (values ? [[name, values]] : [])),
    ) as Record<string, string[]>
    const connection = await openAdminConnection(flags, this.surroundings)
    const invite = await connection.ask((client) =>
      client.addUser({name: args.user, roles: flags.roles, traits, ttlSeconds: flags.ttl}),
    )
    return this.show(flags.format, inviteData(invite), (data) =>
      renderInvite(data, {done: 'created', caPins: connection.hostAuthorities.map(pinOf)}),
    )
  }
}
