import * as Flags from '@oclif/core/flags'
import {parseMoment, type AuditEvent} from '../../lib/cli/audit-text.js'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openAdminConnection} from '../../lib/cli/connection.js'
import {cursor} from '../../lib/cli/event-flags.js'
import {adminFlags, formatFlag} from '../../lib/cli/flags.js'
import {listRecorded, parseDay, renderRecordings} from '../../lib/cli/recordings-text.js'

const defaultLimit = 50
const maximumLimit = 1000

export default class RecordingsLs extends BaseCommand {
  static override summary = 'List the recorded sessions that have ended, the newest last.'
  static override description =
    'With json and yaml it prints the event with which each of them ended. When there are older ones than those shown, it says how to go on with them.'
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
    before: cursor({description: 'only sessions that ended before the one with this cursor'}),
  }

  async run(): Promise<AuditEvent[]> {
    const {flags} = await this.parse(RecordingsLs)
    const {'from-utc': first, 'to-utc': last} = flags
    const now = this.surroundings.clock.now()
    const from = flags.last === undefined ? first && parseDay(first, 'start') : parseMoment(flags.last, now)
    const to = last && parseDay(last, 'end')
    const connection = await openAdminConnection(flags, this.surroundings)
    const {limit, before} = flags
    const {ends, older} = await connection.ask((client) => listRecorded(client, {from, to, limit, before}))
    const shown = await this.show(flags.format, ends, renderRecordings)
    if (older !== undefined) this.say(`There may be older ones: add --before=${older}.`)
    return shown
  }
}
