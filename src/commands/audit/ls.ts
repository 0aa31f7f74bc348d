import * as Flags from '@oclif/core/flags'
import {parseMoment, renderEvents, type AuditEvent} from '../../lib/cli/audit-text.js'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openAdminConnection} from '../../lib/cli/connection.js'
import {adminFlags, formatFlag} from '../../lib/cli/flags.js'

const defaultLimit = 100
const maximumLimit = 1000

export default class AuditLs extends BaseCommand {
  static override summary = 'List audit events, the newest last.'
  static override description = 'Moments are RFC 3339, a day (2026-11-20, in UTC), or a time ago (2h).'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --event=db.session.query --from=2h',
    '<%= config.bin %> <%= command.id %> --session=307b49d6-56c7-4d20-8cf0-5bc5348a7101 --format=json',
  ]
  static override flags = {
    ...adminFlags,
    ...formatFlag,
    user: Flags.string({description: 'only events of this user', helpValue: 'NAME'}),
    event: Flags.string({description: 'only events of this type, as db.session.start', helpValue: 'TYPE'}),
    session: Flags.string({description: 'only events of this session', helpValue: 'ID'}),
    from: Flags.string({description: 'only events at or after this moment', helpValue: 'MOMENT'}),
    to: Flags.string({description: 'only events before this moment', helpValue: 'MOMENT'}),
    limit: Flags.integer({
      min: 1,
      max: maximumLimit,
      default: defaultLimit,
      description: 'how many at most, the newest ones',
      helpValue: 'NUMBER',
    }),
  }

  async run(): Promise<AuditEvent[]> {
    const {flags} = await this.parse(AuditLs)
    const now = this.surroundings.clock.now()
    const query = {
      event: flags.event,
      user: flags.user,
      sid: flags.session,
      from: flags.from === undefined ? undefined : parseMoment(flags.from, now),
      to: flags.to === undefined ? undefined : parseMoment(flags.to, now),
      limit: flags.limit,
    }
    const connection = await openAdminConnection({...flags, user: undefined}, this.surroundings)
    const {events} = await connection.ask((client) => client.events(query))
    return this.show(flags.format, [...events], renderEvents)
  }
}
