import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import type {VerificationLine} from '../../lib/api/verification.js'
import {readSealKeys, type SealKeys} from '../../lib/audit/seal.js'
import {verifyRecording} from '../../lib/audit/verification.js'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openAdminConnection, type AdminChoice} from '../../lib/cli/connection.js'
import {adminFlags, formatFlag} from '../../lib/cli/flags.js'
import {readJsonLines} from '../../lib/cli/json-lines.js'
import {checkCluster, namedSession, withRecording, type NamedSession} from '../../lib/cli/recording-source.js'
import {count, problemsOf, renderProblem, renderSummary} from '../../lib/cli/verification-text.js'
import {readOptionalFile} from '../../lib/config/private-file.js'
import {PosternError} from '../../lib/core/errors.js'

type Problem = Extract<VerificationLine, {type: 'problem'}>

const logHead = Flags.custom({
  parse: (text) => {
    if (/^\d{1,15}:[0-9a-f]{64}$/.test(text)) return Promise.resolve(text)
    throw new PosternError('USAGE', `"${text}" is not a head of the audit log, as a verification prints it.`)
  },
  helpValue: 'NUMBER:HASH',
})

export default class AuditVerify extends BaseCommand {
  static override summary = 'Check that nobody changed, removed or added anything in recordings and in the audit log.'
  static override description = `For a session it names the first record that is not what the control plane sealed. Without one it checks the seals of the audit log, every recording and the log beside it, the numbering of each agent's sessions, and what the proxies carried: so it also finds sessions that are missing and recordings that were cut.

It prints the head of the audit log. Whoever keeps that elsewhere can ask with --head later whether the log still holds it: that finds a log whose end was cut, or that was replaced as a whole.

A file is checked with the control plane's keys, or with those in --key and without any connection. The exit code is 1 when something is wrong.`
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> 307b49d6-56c7-4d20-8cf0-5bc5348a7101',
    '<%= config.bin %> <%= command.id %> --head=12:b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c',
    '<%= config.bin %> <%= command.id %> --key=seal-keys.pem ./307b49d6-56c7-4d20-8cf0-5bc5348a7101.ndjson',
  ]
  static override args = {
    recording: Args.string({
      ignoreStdin: true,
      description: 'id of a session, the URL of its recording, or a file with it (default: everything)',
    }),
  }
  static override flags = {
    ...adminFlags,
    ...formatFlag,
    head: logHead({description: 'head of the audit log that it printed earlier'}),
    key: Flags.string({description: 'public keys of the control plane, PEM, for a file', helpValue: 'FILE'}),
  }

  async run(): Promise<VerificationLine[]> {
    const {args, flags} = await this.parse(AuditVerify)
    const lines: VerificationLine[] = []
    const hear = (line: VerificationLine): void => {
      lines.push(line)
      if (flags.format !== 'text') return
      if (line.type === 'summary') this.say(renderSummary(line))
      else this.print(renderProblem(line))
    }
    const {recording} = args
    if (recording !== undefined && flags.head !== undefined) {
      throw new PosternError('USAGE', '--head is about the audit log, and goes without a recording.')
    }
    const session = recording === undefined ? undefined : namedSession(recording)
    if (flags.key !== undefined && (recording === undefined || session)) {
      throw new PosternError('USAGE', '--key is for a recording in a file: all else is checked by the control plane.')
    }
    if (recording !== undefined && !session) await this.#file(recording, flags, hear)
    else await this.#stored(session, flags, hear)
    const problems = lines.filter((line): line is Problem => line.type === 'problem')
    if (flags.format !== 'text') await this.show(flags.format, lines, () => '')
    else if (problems.length === 0) this.print('Everything is as it was sealed.')
    if (problems.length > 0) throw new PosternError('FAILED', `${count(problems.length, 'problem')} found.`)
    return lines
  }

  async #stored(
    session: NamedSession | undefined,
    flags: AdminChoice & {readonly head?: string | undefined},
    hear: (line: VerificationLine) => void,
  ): Promise<void> {
    const connection = await openAdminConnection(flags, this.surroundings)
    if (session) checkCluster(session, connection)
    await connection.ask(async (client) => {
      const end = new AbortController()
      try {
        const chunks = await client.verification({sid: session?.sid, head: flags.head}, end.signal)
        for await (const line of readJsonLines<VerificationLine>(chunks)) hear(line)
      } finally {
        end.abort()
      }
    })
  }

  async #file(
    path: string,
    flags: AdminChoice & {readonly key?: string | undefined},
    hear: (line: VerificationLine) => void,
  ): Promise<void> {
    const keys = await this.#keys(flags)
    const verdict = await withRecording(
      path,
      () => openAdminConnection(flags, this.surroundings),
      (chunks) => verifyRecording(chunks, {keys}),
    )
    const problems = problemsOf(verdict)
    for (const problem of problems) hear(problem)
    const open = verdict.end ? 0 : 1
    hear({type: 'summary', sessions: 1, records: verdict.records, agents: 1, problems: problems.length, open})
  }

  async #keys(flags: AdminChoice & {readonly key?: string | undefined}): Promise<SealKeys> {
    if (flags.key !== undefined) {
      const text = await readOptionalFile(flags.key)
      if (text === undefined) throw new PosternError('NOT_FOUND', `There is no file ${flags.key}.`)
      try {
        return readSealKeys(text.split(/(?=-----BEGIN )/))
      } catch (error) {
        throw new PosternError('USAGE', `The file ${flags.key} holds no public keys.`, {
          cause: error,
          hint: 'It must hold PEM blocks of the type PUBLIC KEY.',
        })
      }
    }
    const connection = await openAdminConnection(flags, this.surroundings)
    const {keys} = await connection.ask((client) => client.sealKeys())
    return readSealKeys(keys)
  }
}
