import * as Flags from '@oclif/core/flags'
import {renderEvents, type AuditEvent} from '../../lib/cli/audit-text.js'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openAdminConnection} from '../../lib/cli/connection.js'
import {cursor, eventFlags, eventQuery} from '../../lib/cli/event-flags.js'
import {adminFlags, formatFlag} from '../../lib/cli/flags.js'

const defaultLimit = 100
const maximumLimit = 1000

export default class AuditLs extends BaseCommand {
  static override summary = 'List audit events, the newest last.'
  static override description =
    'Moments are RFC 3339, a day (2026-11-20, in UTC), or a time ago (2h). When there are older events than those shown, it says how to go on with them.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --event=db.session.query --from=2h',
    '<%= config.bin %> <%= command.id %> --failed --db=orders --user=alice',
    '<%= config.bin %> <%= command.id %> --session=307b49d6-56c7-4d20-8cf0-5bc5348a7101 --format=json',
  ]
  static override flags = {
    ...adminFlags,
    ...formatFlag,
    ...eventFlags,
    limit: Flags.integer({
      min: 1,
      max: maximumLimit,
      default: defaultLimit,
      description: 'how many at most, the newest ones',
      helpValue: 'NUMBER',
    }),
    before: cursor({description: 'only events before the one with this cursor'}),
  }

  async run(): Promise<AuditEvent[]> {
    const {flags} = await this.parse(AuditLs)
    const query = {...eventQuery(flags, this.surroundings.clock.now()), limit: flags.limit, before: flags.before}
    const connection = await openAdminConnection({...flags, user: undefined}, this.surroundings)
    const {events, older} = await connection.ask((client) => client.events(query))
    const shown = await this.show(flags.format, [...events], (shown) => renderEvents(shown, process.stdout.columns))
    if (older !== undefined) this.say(`There may be older events: add --before=${older}.`)
    return shown
  }
}
