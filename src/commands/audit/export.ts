import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openAdminConnection} from '../../lib/cli/connection.js'
import {exportEvents, writePages} from '../../lib/cli/event-export.js'
import {cursor, eventFlags, eventQuery, parseCursor} from '../../lib/cli/event-flags.js'
import {adminFlags} from '../../lib/cli/flags.js'
import {PosternError} from '../../lib/core/errors.js'
import {readOptionalFile, writePrivateFile} from '../../lib/config/private-file.js'

export default class AuditExport extends BaseCommand {
  static override summary = 'Write audit events as newline-delimited JSON, the oldest first.'
  static override description = `One event is one line, with its \`cursor\`: whoever has read a line goes on behind it with --cursor. With --cursor-file the command keeps that itself, so that after any stop the next one goes on where it was; a line may then come twice, and none is missing.

With --follow it goes on with what happens, and waits for a control plane that is away. An event that cannot be read becomes an event \`audit.unreadable\`, and the others follow.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> --from=24h > events.ndjson',
    '<%= config.bin %> <%= command.id %> --follow --cursor-file=/var/lib/siem/postern.cursor | siem-forwarder',
  ]
  static override flags = {
    ...adminFlags,
    ...eventFlags,
    follow: Flags.boolean({default: false, description: 'go on with what happens from now on'}),
    cursor: cursor({description: 'begin behind the event with this cursor'}),
    'cursor-file': Flags.string({
      description: 'keep the cursor in this file, and begin where it says',
      helpValue: 'FILE',
      exclusive: ['cursor'],
    }),
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(AuditExport)
    const {follow, 'cursor-file': file} = flags
    const cursor = flags.cursor ?? (file === undefined ? undefined : await keptCursor(file))
    const query = eventQuery(flags, this.surroundings.clock.now())
    const connection = await openAdminConnection({...flags, user: undefined}, this.surroundings)
    await connection.ask(async (client) => {
      const pages = exportEvents({
        client,
        query,
        cursor,
        follow,
        onTrouble: (reason) => {
          this.say(`${reason} Trying again.`)
        },
      })
      await writePages(pages, process.stdout, async (cursor) => {
        if (file !== undefined) await writePrivateFile(file, `${cursor}\n`)
      })
    })
  }
}

/** Undefined as long as there is no file. @throws PosternError USAGE or FAILED */
async function keptCursor(file: string): Promise<string | undefined> {
  const text = await readOptionalFile(file)
  try {
    return text === undefined ? undefined : parseCursor(text.trim())
  } catch (error) {
    throw new PosternError('USAGE', `The file ${file} holds no cursor.`, {
      cause: error,
      hint: 'Write the cursor of the last event that was read into it, or remove it to begin with the oldest event.',
    })
  }
}
