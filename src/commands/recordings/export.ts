import {pipeline} from 'node:stream/promises'
import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openAdminConnection} from '../../lib/cli/connection.js'
import {adminFlags, formatFlag} from '../../lib/cli/flags.js'
import {requireSession, withRecording} from '../../lib/cli/recording-source.js'
import {requireAbsent, writePrivateFile} from '../../lib/config/private-file.js'

const standardOutput = '-'

export default class RecordingsExport extends BaseCommand {
  static override summary = 'Write the recording of a session to a file, as it is stored.'
  static override description =
    'The file can be played, and with the keys in --keys it can be checked anywhere: `postern audit verify --key=KEYS FILE`.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> 307b49d6-56c7-4d20-8cf0-5bc5348a7101',
    '<%= config.bin %> <%= command.id %> --out=incident.ndjson --keys=seal-keys.pem 307b49d6-56c7-4d20-8cf0-5bc5348a7101',
  ]
  static override args = {
    session: Args.string({
      ignoreStdin: true,
      required: true,
      description: 'id of the session, or the URL in its session.upload event',
    }),
  }
  static override flags = {
    ...adminFlags,
    ...formatFlag,
    out: Flags.string({
      char: 'o',
      description: 'the file, - for standard output (default: <session id>.ndjson)',
      helpValue: 'FILE',
    }),
    keys: Flags.string({
      description: 'also write the public keys of the control plane to this file',
      helpValue: 'FILE',
    }),
    overwrite: Flags.boolean({default: false, description: 'replace files that are there'}),
  }

  async run(): Promise<{sid: string; file: string}> {
    const {args, flags} = await this.parse(RecordingsExport)
    const {sid} = requireSession(args.session)
    const out = flags.out ?? `${sid}.ndjson`
    const files = [...(out === standardOutput ? [] : [out]), ...(flags.keys === undefined ? [] : [flags.keys])]
    if (!flags.overwrite) for (const file of files) await requireAbsent(file)
    const connect = () => openAdminConnection(flags, this.surroundings)
    await withRecording(args.session, connect, (chunks) => writeTo(out, chunks))
    if (flags.keys !== undefined) {
      const connection = await connect()
      const {keys} = await connection.ask((client) => client.sealKeys())
      await writePrivateFile(flags.keys, keys.join('\n'))
    }
    const answer = {sid, file: out}
    if (out === standardOutput) return answer
    return this.show(flags.format, answer, () => `The recording has been written to ${out}.`)
  }
}

/** Writes all of a recording: a file that is there is whole. @throws PosternError FAILED */
async function writeTo(out: string, chunks: AsyncIterable<Buffer>): Promise<void> {
  if (out === standardOutput) {
    await pipeline(chunks, process.stdout, {end: false})
    return
  }
  await writePrivateFile(out, chunks)
}
