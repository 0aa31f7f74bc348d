import * as Args from '@oclif/core/args'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {requireProfile} from '../../lib/cli/connection.js'
import {formatFlag, loginFlags} from '../../lib/cli/flags.js'
import {ProfileStore} from '../../lib/config/profile.js'
import {PosternError} from '../../lib/core/errors.js'

interface DatabaseLogout {
  readonly databases: readonly string[]
}

export default class DbLogout extends BaseCommand {
  static override summary = 'Remove the certificate and key for a database, or for all.'
  static override examples = ['<%= config.bin %> <%= command.id %> my-redshift', '<%= config.bin %> <%= command.id %>']
  static override args = {
    database: Args.string({ignoreStdin: true, description: 'name of the database (default: all)'}),
  }
  static override flags = {...formatFlag, proxy: loginFlags.proxy, user: loginFlags.user}

  async run(): Promise<DatabaseLogout> {
    const {args, flags} = await this.parse(DbLogout)
    const store = new ProfileStore(this.surroundings.environment.home)
    const certificates = store.databases(await requireProfile(store, flags))
    const stored = (await certificates.list()).map(({route}) => route.database)
    const wanted = args.database?.toLowerCase()
    const databases = stored.filter((name) => wanted === undefined || name.toLowerCase() === wanted)
    if (databases.length === 0) {
      throw new PosternError(
        'NOT_LOGGED_IN',
        args.database === undefined
          ? 'You are not logged in to any database.'
          : `You are not logged in to database "${args.database}".`,
      )
    }
    for (const database of databases) await certificates.remove(database)
    const text = wanted === undefined ? 'Logged out of all databases' : `Logged out of database ${databases.join()}`
    return this.show(flags.format, {databases}, () => text)
  }
}
