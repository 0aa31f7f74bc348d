import {Readable} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import * as Args from '@oclif/core/args'
import {readRecording} from '../lib/audit/recording.js'
import {BaseCommand} from '../lib/cli/base-command.js'
import {openAdminConnection} from '../lib/cli/connection.js'
import {adminFlags, formatFlag} from '../lib/cli/flags.js'
import {withRecording} from '../lib/cli/recording-source.js'
import {renderRecording} from '../lib/cli/recording-text.js'
import {decodeText} from '../lib/pgwire/payload.js'

/** What is wrong with a recording is told this far. */
const mostFlaws = 5

export default class Play extends BaseCommand {
  static override summary = 'Play the recording of a database session.'
  static override description = `As text it shows the statements of the session and what came of them; with json and yaml, every event of it.

Your own sessions are yours to play; those of others need a role that allows you to read \`session\` resources, as auditor does. A session can be played when it has ended.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> 307b49d6-56c7-4d20-8cf0-5bc5348a7101',
    '<%= config.bin %> <%= command.id %> --format=json 307b49d6-56c7-4d20-8cf0-5bc5348a7101',
    '<%= config.bin %> <%= command.id %> ./307b49d6-56c7-4d20-8cf0-5bc5348a7101.ndjson',
  ]
  static override args = {
    recording: Args.string({
      ignoreStdin: true,
      required: true,
      description: 'id of the session, or a file with its recording',
    }),
  }
  static override flags = {...adminFlags, ...formatFlag}

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Play)
    const flaws = new Set<string>()
    await withRecording(
      args.recording,
      () => openAdminConnection(flags, this.surroundings),
      async (chunks) => {
        const events = readRecording(chunks, {decodeSql: decodeText, onFlaw: (flaw) => flaws.add(flaw)})
        await pipeline(Readable.from(renderRecording(flags.format, events)), process.stdout, {end: false})
      },
    )
    for (const flaw of [...flaws].slice(0, mostFlaws)) this.say(flaw)
    if (flaws.size > mostFlaws) this.say(`And ${flaws.size - mostFlaws} more.`)
  }
}
