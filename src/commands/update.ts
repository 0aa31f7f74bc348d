import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../lib/cli/base-command.js'
import {openAdminConnection} from '../lib/cli/connection.js'
import {adminFlags, formats} from '../lib/cli/flags.js'
import {describeWritten, replaceResource, writeResources, type WrittenResource} from '../lib/cli/resource-writing.js'

export default class Update extends BaseCommand {
  static override summary = 'Replace resources that exist, from YAML or JSON.'
  static override description = `A document with metadata.revision, as \`<%= config.bin %> get\` prints it, is refused when somebody else has changed the resource since. Several documents are saved in their order; the first that fails ends the command, those before it stay.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> role.yaml',
    {
      command:
        '<%= config.bin %> get role/db | sed "s/max_session_ttl: .*/max_session_ttl: 8h/" | <%= config.bin %> <%= command.id %>',
      description: 'Change one line',
    },
  ]
  static override args = {file: Args.string({ignoreStdin: true, description: 'file to read (default: standard input)'})}
  static override flags = {
    ...adminFlags,
    format: Flags.option({options: formats, default: 'text', description: 'how to print the answer'})(),
  }

  async run(): Promise<WrittenResource[]> {
    const {args, flags} = await this.parse(Update)
    const written = await writeResources(args.file, () => openAdminConnection(flags, this.surroundings), {
      write: replaceResource,
      onWritten: (each) => {
        if (flags.format === 'text') this.print(describeWritten(each))
      },
    })
    return flags.format === 'text' ? written : this.show(flags.format, written, () => '')
  }
}
