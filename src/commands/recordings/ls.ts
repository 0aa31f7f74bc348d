import * as Flags from '@oclif/core/flags'
import {parseMoment, type AuditEvent} from '../../lib/cli/audit-text.js'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openAdminConnection} from '../../lib/cli/connection.js'
import {adminFlags, formatFlag} from '../../lib/cli/flags.js'
import {keptSince, parseDay, renderRecordings} from '../../lib/cli/recordings-text.js'

const defaultLimit = 50
const maximumLimit = 1000

export default class RecordingsLs extends BaseCommand {
  static override summary = 'List the recorded sessions that have ended, the newest last.'
  static override description = 'With json and yaml it prints the event with which each of them ended.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --last=5h',
    '<%= config.bin %> <%= command.id %> --from-utc=2026-11-20 --to-utc=2026-11-21 --format=json',
  ]
  static override flags = {
    ...adminFlags,
    ...formatFlag,
    'from-utc': Flags.string({description: 'only sessions that ended on or after this day', helpValue: 'YYYY-MM-DD'}),
    'to-utc': Flags.string({description: 'only sessions that ended on or before this day', helpValue: 'YYYY-MM-DD'}),
    last: Flags.string({
      description: 'only sessions that ended in so much time before now',
      helpValue: 'DURATION',
      exclusive: ['from-utc', 'to-utc'],
    }),
    limit: Flags.integer({
      min: 1,
      max: maximumLimit,
      default: defaultLimit,
      description: 'how many at most, the newest ones',
      helpValue: 'NUMBER',
    }),
  }

  async run(): Promise<AuditEvent[]> {
    const {flags} = await this.parse(RecordingsLs)
    const {'from-utc': first, 'to-utc': last} = flags
    const now = this.surroundings.clock.now()
    const from = flags.last === undefined ? first && parseDay(first, 'start') : parseMoment(flags.last, now)
    const to = last && parseDay(last, 'end')
    const connection = await openAdminConnection(flags, this.surroundings)
    const query = {event: 'db.session.end', from, to, limit: flags.limit}
    const [{events}, prunes] = await connection.ask((client) =>
      Promise.all([client.events(query), client.events({event: 'audit.recordings.prune', limit: 1})]),
    )
    const recorded = events.filter(({session_recording: mode}) => mode !== 'off')
    return this.show(flags.format, keptSince(recorded, prunes.events[0]), renderRecordings)
  }
}
