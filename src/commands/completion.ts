import * as Args from '@oclif/core/args'
import {BaseCommand} from '../lib/cli/base-command.js'
import {completionShells, renderCompletion} from '../lib/cli/completion.js'

export default class Completion extends BaseCommand {
  static override summary = 'Print a script with which a shell completes commands and flags.'
  static override description = `bash: needs nothing else. zsh: load it after compinit. fish: it can also be kept as ~/.config/fish/completions/<%= config.bin %>.fish. Print it again after an update.`
  static override examples = [
    {command: 'source <(<%= config.bin %> <%= command.id %> bash)', description: 'In ~/.bashrc'},
    {command: 'source <(<%= config.bin %> <%= command.id %> zsh)', description: 'In ~/.zshrc'},
    {command: '<%= config.bin %> <%= command.id %> fish | source', description: 'In ~/.config/fish/config.fish'},
  ]
  static override flags = {}
  static override args = {
    shell: Args.string({
      ignoreStdin: true,
      required: true,
      options: [...completionShells],
      description: 'which shell it is for',
    }),
  }

  async run(): Promise<void> {
    const {args} = await this.parse(Completion)
    this.print(renderCompletion(args.shell, this.config))
  }
}
