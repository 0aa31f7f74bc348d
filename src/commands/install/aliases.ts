import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {formatFlag} from '../../lib/cli/flags.js'

export default class InstallAliases extends BaseCommand {
  static override summary = 'Make launchers named tsh, tctl and teleport.'
  static override description =
    'Each has the commands that belong to that name: tsh those of users, tctl those of administrators, teleport those of hosts, whose files are then /etc/teleport.yaml and /etc/default/teleport. A file of another program is never replaced.'
  static override examples = [
    'sudo <%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --dir ~/.local/bin',
  ]
  static override flags = {
    dir: Flags.string({
      default: '/usr/local/bin',
      description: 'directory for the launchers; made when missing',
      helpValue: 'DIR',
    }),
    ...formatFlag,
  }

  async run(): Promise<{readonly launchers: readonly string[]}> {
    const {flags} = await this.parse(InstallAliases)
    const {writeLaunchers} = await import('../../lib/cli/launchers.js')
    const launchers = await writeLaunchers(flags.dir)
    return this.show(flags.format, {launchers}, () => launchers.map((path) => `Wrote ${path}`).join('\n'))
  }
}
