import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openAdminConnection} from '../../lib/cli/connection.js'
import {adminFlags, formatFlag, list} from '../../lib/cli/flags.js'
import {changeUser, renderUserChange} from '../../lib/cli/user-change.js'
import type {User} from '../../lib/resources/user.js'

export default class UsersUpdate extends BaseCommand {
  static override summary = 'Give a user other roles or traits.'
  static override description = `Each list replaces the one that the user has; an empty one (--set-db-users=) takes everything away. What a user loses is lost at once, in running sessions too; what they gain comes with their next login.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> alice --set-roles=access,db',
    {
      command: '<%= config.bin %> <%= command.id %> alice --set-db-users=reader,alice --set-db-names="*"',
      description:
        'Whom alice may be in databases, where her roles say {{internal.db_users}} and {{internal.db_names}}',
    },
  ]
  static override args = {user: Args.string({ignoreStdin: true, required: true, description: 'name of the user'})}
  static override flags = {
    ...adminFlags,
    ...formatFlag,
    'set-roles': Flags.string({...list, description: 'all roles of the user', helpValue: 'ROLE,'}),
    'set-db-users': Flags.string({...list, description: 'all database users they may be', helpValue: 'NAME,'}),
    'set-db-names': Flags.string({...list, description: 'all database names they may use', helpValue: 'NAME,'}),
    'set-db-roles': Flags.string({...list, description: 'all database roles they may have', helpValue: 'NAME,'}),
    'set-logins': Flags.string({
      ...list,
      description: 'all logins on hosts, kept for roles that use them',
      helpValue: 'NAME,',
    }),
  }

  async run(): Promise<User> {
    const {args, flags} = await this.parse(UsersUpdate)
    const change = {
      roles: flags['set-roles'],
      traits: {
        db_users: flags['set-db-users'],
        db_names: flags['set-db-names'],
        db_roles: flags['set-db-roles'],
        logins: flags['set-logins'],
      },
    }
    const connection = await openAdminConnection(flags, this.surroundings)
    const user = await connection.ask((client) => changeUser(client, args.user, change))
    return this.show(flags.format, user, () => renderUserChange(args.user, change))
  }
}
