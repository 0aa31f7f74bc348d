import {Readable} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import {setTimeout as sleep} from 'node:timers/promises'
import * as Args from '@oclif/core/args'
import type {ApiClient} from '../../lib/api/client.js'
import {readRecording} from '../../lib/audit/recording.js'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openAdminConnection, type AdminChoice} from '../../lib/cli/connection.js'
import {adminFlags, formatFlag, type Format} from '../../lib/cli/flags.js'
import {formatData} from '../../lib/cli/output.js'
import {requireSession, withRecording} from '../../lib/cli/recording-source.js'
import {renderRecording} from '../../lib/cli/recording-text.js'
import {fitRows, renderSessions, sessionsData, silentAgents} from '../../lib/cli/session-text.js'
import {decodeAs} from '../../lib/pgwire/client-encoding.js'

const refreshMilliseconds = 2000
/** Clears the terminal, and goes to its first line. */
const clear = '\u001b[2J\u001b[H'

export default class SessionsWatch extends BaseCommand {
  static override summary = 'Watch a database session as it goes on, or the list of all.'
  static override description =
    'With the id of a session it shows each statement and what came of it, from the first one on, until the session ends. Without one it shows the list again every two seconds. Ctrl-C stops it.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> 307b49d6-56c7-4d20-8cf0-5bc5348a7101',
    '<%= config.bin %> <%= command.id %>',
  ]
  static override args = {
    session: Args.string({ignoreStdin: true, description: 'id of a session, as `sessions ls` lists it'}),
  }
  static override flags = {...adminFlags, ...formatFlag}

  async run(): Promise<void> {
    const {args, flags} = await this.parse(SessionsWatch)
    if (args.session === undefined) await this.#list(flags.format, flags)
    else await this.#session(requireSession(args.session).sid, flags.format, flags)
  }

  async #session(sid: string, format: Format, choice: AdminChoice): Promise<void> {
    let first: string | undefined
    await withRecording(
      sid,
      () => openAdminConnection(choice, this.surroundings),
      async (chunks) => {
        const events = readRecording(chunks, {decodeSql: decodeAs, onFlaw: (flaw) => (first ??= flaw)})
        const pieces = Readable.from(renderRecording(format, events, {atOnce: true}), {highWaterMark: 1})
        await pipeline(pieces, process.stdout, {end: false})
      },
      {follow: true},
    )
    if (first !== undefined) this.say(first)
  }

  async #list(format: Format, choice: AdminChoice): Promise<void> {
    const connection = await openAdminConnection(choice, this.surroundings)
    await connection.ask(async (client) => {
      // Written as a stream it ends with whoever reads it.
      await pipeline(Readable.from(this.#lists(client, format), {highWaterMark: 1}), process.stdout, {end: false})
    })
  }

  async *#lists(client: Pick<ApiClient, 'liveSessions'>, format: Format): AsyncGenerator<string> {
    for (;;) {
      const answer = await client.liveSessions()
      const sessions = sessionsData(answer)
      const text = await formatData(format, sessions, () => renderSessions(sessions, process.stdout.columns))
      yield process.stdout.isTTY && format === 'text' ? `${clear}${fitRows(text, process.stdout.rows)}\n` : `${text}\n`
      const silent = silentAgents(answer)
      if (silent !== undefined) this.say(silent)
      await sleep(refreshMilliseconds)
    }
  }
}
