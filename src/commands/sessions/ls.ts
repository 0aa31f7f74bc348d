import {BaseCommand} from '../../lib/cli/base-command.js'
import {openAdminConnection} from '../../lib/cli/connection.js'
import {adminFlags, formatFlag} from '../../lib/cli/flags.js'
import {renderSessions, sessionsData, silentAgents, type SessionData} from '../../lib/cli/session-text.js'

export default class SessionsLs extends BaseCommand {
  static override summary = 'List the database sessions that are under way.'
  static override description =
    'Each with its user, its database, since when, what it does and its newest statement, as the agents tell it at this moment. A terminal that is too narrow for all columns shows the most important of them and the beginning of the statement. Without a role that allows you to list `session` resources you see your own.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --format=json',
  ]
  static override flags = {...adminFlags, ...formatFlag}

  async run(): Promise<SessionData[]> {
    const {flags} = await this.parse(SessionsLs)
    const connection = await openAdminConnection(flags, this.surroundings)
    const answer = await connection.ask((client) => client.liveSessions())
    const silent = silentAgents(answer)
    if (silent !== undefined) this.say(silent)
    return this.show(flags.format, sessionsData(answer), (sessions) => renderSessions(sessions, process.stdout.columns))
  }
}
