import {BaseCommand} from '../../lib/cli/base-command.js'
import {openAdminConnection} from '../../lib/cli/connection.js'
import {adminFlags, formatFlag} from '../../lib/cli/flags.js'
import {renderUsers} from '../../lib/cli/resource-text.js'
import type {User} from '../../lib/resources/user.js'

export default class UsersLs extends BaseCommand {
  static override summary = 'List the users.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --format=json',
  ]
  static override flags = {...adminFlags, ...formatFlag}

  async run(): Promise<User[]> {
    const {flags} = await this.parse(UsersLs)
    const connection = await openAdminConnection(flags, this.surroundings)
    const {items} = await connection.ask((client) => client.listResources('user'))
    return this.show(flags.format, items, renderUsers)
  }
}
