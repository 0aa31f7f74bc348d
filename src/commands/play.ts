import {Readable} from 'node:stream'
import {pipeline} from 'node:stream/promises'
import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import type {AuditEvent} from '../lib/audit/event.js'
import {readRecording} from '../lib/audit/recording.js'
import {BaseCommand} from '../lib/cli/base-command.js'
import {openAdminConnection} from '../lib/cli/connection.js'
import {adminFlags, formats} from '../lib/cli/flags.js'
import {listenToKeys} from '../lib/cli/keyboard.js'
import {keysHelp, Player, speeds, type Speed} from '../lib/cli/player.js'
import {withRecording} from '../lib/cli/recording-source.js'
import {renderRecording} from '../lib/cli/recording-text.js'
import {decodeAs} from '../lib/pgwire/client-encoding.js'

/** What is wrong with a recording is told this far. */
const mostFlaws = 5

export default class Play extends BaseCommand {
  static override summary = 'Play the recording of a database session.'
  static override description = `As text it shows the statements of the session and what came of them, at once; with pty the same in the session's own time, or at the --speed given; with json and yaml, every event of it. On a terminal, keys hold, step and speed up what is played with pty.

Your own sessions are yours to play; those of others need a role that allows you to read \`session\` resources, as auditor does. A session that has not ended is played as it goes on with --follow.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> 307b49d6-56c7-4d20-8cf0-5bc5348a7101',
    '<%= config.bin %> <%= command.id %> --speed=4x --skip-idle-time 307b49d6-56c7-4d20-8cf0-5bc5348a7101',
    '<%= config.bin %> <%= command.id %> --format=json 307b49d6-56c7-4d20-8cf0-5bc5348a7101',
    '<%= config.bin %> <%= command.id %> ./307b49d6-56c7-4d20-8cf0-5bc5348a7101.ndjson',
  ]
  static override args = {
    recording: Args.string({
      ignoreStdin: true,
      required: true,
      description: 'id of the session, the URL in its session.upload event, or a file with its recording',
    }),
  }
  static override flags = {
    ...adminFlags,
    format: Flags.option({
      char: 'f',
      options: ['pty', ...formats] as const,
      description:
        'how to play it (default: text, or pty with --speed or --skip-idle-time); with json, errors are JSON too',
    })(),
    speed: Flags.option({options: speeds, description: 'how fast to play it with pty (default: 1x)'})(),
    'skip-idle-time': Flags.boolean({default: false, description: 'let no pause be longer than half a second'}),
    follow: Flags.boolean({default: false, description: 'go on with a session that has not ended'}),
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Play)
    const {speed, 'skip-idle-time': skipIdle, follow} = flags
    const isPaced = speed !== undefined || skipIdle
    const format = flags.format ?? (isPaced ? 'pty' : 'text')
    if (format !== 'pty' && isPaced)
      this.say(`--speed and --skip-idle-time are ignored: ${format} is not played in time.`)
    const flaws: string[] = []
    let more = 0
    const onFlaw = (flaw: string): void => {
      if (flaws.length < mostFlaws) flaws.push(flaw)
      else more += 1
    }
    await withRecording(
      args.recording,
      () => openAdminConnection(flags, this.surroundings),
      async (chunks) => {
        const events = readRecording(chunks, {decodeSql: decodeAs, onFlaw})
        if (format === 'pty') await this.#inTime(events, speed ?? '1x', skipIdle)
        else
          await pipeline(
            // Each piece is out before the next is asked for: what comes before damage is not lost with it.
            Readable.from(renderRecording(format, events, {atOnce: follow}), {highWaterMark: 1}),
            process.stdout,
            {end: false},
          )
      },
      {follow},
    )
    for (const flaw of flaws) this.say(flaw)
    if (more > 0) this.say(`And ${more} more.`)
  }

  async #inTime(events: AsyncIterable<AuditEvent>, speed: Speed, skipIdle: boolean): Promise<void> {
    const player = new Player({speed, skipIdle, clock: this.surroundings.clock})
    // Behind a pipe the keys are those of whoever reads it, and a job in the background must not touch the terminal.
    const keys = process.stdin.isTTY && process.stdout.isTTY ? process.stdin : undefined
    if (keys) this.say(keysHelp)
    const stopListening = listenToKeys(keys, (text) => {
      player.press(text)
    })
    try {
      await pipeline(Readable.from(player.play(events), {highWaterMark: 1}), process.stdout, {end: false})
    } finally {
      stopListening()
    }
  }
}
