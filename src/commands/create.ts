import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../lib/cli/base-command.js'
import {openAdminConnection} from '../lib/cli/connection.js'
import {adminFlags, formats} from '../lib/cli/flags.js'
import {
  createOrReplace,
  createResource,
  describeWritten,
  writeResources,
  type WrittenResource,
} from '../lib/cli/resource-writing.js'

export default class Create extends BaseCommand {
  static override summary = 'Create resources from YAML or JSON.'
  static override description = `With -f it also replaces what exists; a document with metadata.revision, as \`<%= config.bin %> get\` prints it, is then refused when somebody else has changed the resource since. Several documents are separated by ---. They are created in their order; the first that fails ends the command, those before it stay.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> role.yaml',
    {
      command: '<%= config.bin %> <%= command.id %> -f < roles.yaml',
      description: 'Create or replace, from standard input',
    },
  ]
  static override args = {file: Args.string({ignoreStdin: true, description: 'file to read (default: standard input)'})}
  static override flags = {
    ...adminFlags,
    force: Flags.boolean({default: false, char: 'f', description: 'replace what exists already'}),
    format: Flags.option({options: formats, default: 'text', description: 'how to print the answer'})(),
  }

  async run(): Promise<WrittenResource[]> {
    const {args, flags} = await this.parse(Create)
    const written = await writeResources(args.file, () => openAdminConnection(flags, this.surroundings), {
      write: flags.force ? createOrReplace : createResource,
      onWritten: (each) => {
        if (flags.format === 'text') this.print(describeWritten(each))
      },
    })
    return flags.format === 'text' ? written : this.show(flags.format, written, () => '')
  }
}
