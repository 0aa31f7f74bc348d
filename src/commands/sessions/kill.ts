import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openAdminConnection} from '../../lib/cli/connection.js'
import {adminFlags, formatFlag} from '../../lib/cli/flags.js'
import {requireSession} from '../../lib/cli/recording-source.js'
import {killSessions, type Killed} from '../../lib/cli/session-kill.js'

export default class SessionsKill extends BaseCommand {
  static override summary = 'End database sessions, with the queries that they run.'
  static override description =
    'The client gets an error with the reason, the server gives up the query, and the audit log says who ended it. Sessions of others need a role that allows you to delete `session` resources, as editor does. The user can connect again: a lock keeps them out.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> 307b49d6-56c7-4d20-8cf0-5bc5348a7101',
    '<%= config.bin %> <%= command.id %> --reason="blocks the migration" 307b49d6-56c7-4d20-8cf0-5bc5348a7101',
  ]
  static override strict = false
  static override args = {
    session: Args.string({
      ignoreStdin: true,
      required: true,
      description: 'ids of the sessions, as `sessions ls` lists them',
    }),
  }
  static override flags = {
    ...adminFlags,
    ...formatFlag,
    reason: Flags.string({description: 'what to tell the user, and the audit log', helpValue: 'TEXT'}),
  }

  async run(): Promise<Killed[]> {
    const {argv, flags} = await this.parse(SessionsKill)
    const sids = (argv as string[]).map((session) => requireSession(session).sid)
    const connection = await openAdminConnection(flags, this.surroundings)
    const {killed, failures} = await connection.ask((client) => killSessions(client, sids, flags.reason))
    const last = failures.pop()
    if (killed.length > 0) await this.show(flags.format, killed, renderKilled)
    for (const {message} of failures) this.say(message)
    if (last) throw last
    return killed
  }
}

function renderKilled(killed: readonly Killed[]): string {
  return killed
    .map(({sid, ended}) =>
      ended
        ? `Session ${sid} has ended.`
        : `Session ${sid} will end as soon as its agent hears of it; it has not confirmed.`,
    )
    .join('\n')
}
