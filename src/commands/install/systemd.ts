import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {configFiles, environmentFile, serviceName} from '../../lib/cli/calling-name.js'
import {PosternError} from '../../lib/core/errors.js'

export default class InstallSystemd extends BaseCommand {
  static override summary = 'Write a systemd unit that runs the services of this host.'
  static override description =
    'The unit runs what the configuration file enables, with the variables of the environment file; AWS credentials can be there. Nothing is written over an existing file.'
  static override examples = [
    'sudo <%= config.bin %> <%= command.id %> -o /etc/systemd/system/postern.service',
    '<%= config.bin %> <%= command.id %> --environment-file=/etc/postern.env',
  ]
  static override flags = {
    output: Flags.string({
      char: 'o',
      default: 'stdout',
      description: 'stdout; file, which is the unit in /etc/systemd/system; or an absolute path or file:// URL',
      helpValue: 'WHERE',
    }),
    'environment-file': Flags.string({
      // Node.js 20 takes --env-file for itself, unless a `--` stands before the script as it does in launchers.
      aliases: ['env-file'],
      description: 'file with KEY=value lines; it may be missing (default: /etc/default/postern)',
      helpValue: 'FILE',
    }),
    'pid-file': Flags.string({description: 'file for the process id (default: /run/postern.pid)', helpValue: 'FILE'}),
    'fd-limit': Flags.integer({
      default: 524_288,
      min: 1024,
      description: 'how many files and sockets the service may have open',
      helpValue: 'COUNT',
    }),
    'postern-path': Flags.string({description: 'program to start (default: this one)', helpValue: 'FILE'}),
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(InstallSystemd)
    const {renderSystemdUnit} = await import('../../lib/config/systemd-unit.js')
    const {writeNewFile} = await import('../../lib/config/output.js')
    const unit = renderSystemdUnit({
      program: flags['postern-path'] === undefined ? ownProgram() : [flags['postern-path']],
      configFile: configFiles()[0],
      environmentFile: flags['environment-file'] ?? environmentFile(),
      pidFile: flags['pid-file'] ?? `/run/${serviceName()}.pid`,
      openFiles: flags['fd-limit'],
    })
    const path = await writeNewFile(flags.output, unit, `/etc/systemd/system/${serviceName()}.service`)
    if (path === undefined) this.print(unit.trimEnd())
  }
}

/** Names Node.js itself: systemd's PATH need not lead to it. */
function ownProgram(): string[] {
  const script = process.argv[1]
  if (script === undefined) throw new PosternError('INTERNAL', 'This program does not know where it is.')
  return [process.execPath, script]
}
