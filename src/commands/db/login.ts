import * as Args from '@oclif/core/args'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {nameCommands} from '../../lib/cli/calling-name.js'
import {openUserLogin} from '../../lib/cli/connection.js'
import {openDatabaseSession} from '../../lib/cli/database-session.js'
import {accountFlags, formatFlag, labelsFlag, loginFlags, mergeLabels} from '../../lib/cli/flags.js'

interface DatabaseLogin {
  readonly database: string
  readonly db_user: string
  readonly db_name: string
  /** RFC 3339 */
  readonly valid_until: string
}

export default class DbLogin extends BaseCommand {
  static override summary = 'Get a certificate for a database and keep it.'
  static override description =
    'Later commands need neither the name of the database nor its user again, and other clients can use the certificate.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --db-user=alice --db-name=dev my-redshift',
    '<%= config.bin %> <%= command.id %> --labels=env=dev --db-user=alice',
  ]
  static override args = {database: Args.string({ignoreStdin: true, description: 'name of the database'})}
  static override flags = {...accountFlags, ...labelsFlag, ...formatFlag, ...loginFlags}

  async run(): Promise<DatabaseLogin> {
    const {args, flags} = await this.parse(DbLogin)
    const session = await openDatabaseSession({
      login: await openUserLogin(flags, this.surroundings),
      selector: {name: args.database, labels: mergeLabels(flags.labels)},
      dbUser: flags['db-user'],
      dbName: flags['db-name'],
    })
    for (const notice of session.notices) this.say(notice)
    if (flags.identity !== undefined) {
      this.say('With an identity file nothing is kept: each command gets a certificate of its own.')
    }
    const {database, dbUser, dbName} = session.route
    const login = {database, db_user: dbUser, db_name: dbName, valid_until: new Date(session.expires).toISOString()}
    return this.show(flags.format, login, (data) => nameCommands(renderLogin(data)))
  }
}

function renderLogin({database, db_user, db_name}: DatabaseLogin): string {
  return `You are logged in to database "${database}", as user "${db_user}", with database name "${db_name}".

Connect to it with psql:

  postern db connect ${database}

Open a local port for GUI clients and programs:

  postern proxy db --tunnel ${database}

See what a client needs that goes to the proxy by itself:

  postern db config ${database}`
}
