import * as Args from '@oclif/core/args'
import {BaseCommand} from '../lib/cli/base-command.js'
import {openAdminConnection} from '../lib/cli/connection.js'
import {adminFlags} from '../lib/cli/flags.js'
import {editResource} from '../lib/cli/resource-edit.js'
import {describeResource} from '../lib/cli/resource-text.js'
import {creatableKinds, parseNamed} from '../lib/resources/kinds.js'

export default class Edit extends BaseCommand {
  static override summary = 'Change a resource in an editor.'
  static override description = `Opens the resource as YAML in $POSTERN_EDITOR, $VISUAL, $EDITOR or vi, and saves it when the editor ends. Nothing is saved when nothing was changed, or when somebody else has changed the resource meanwhile. Text that cannot be saved is kept in a file.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> role/db',
    {
      command: 'EDITOR="code --wait" <%= config.bin %> <%= command.id %> user/alice',
      description: 'In an editor with a window of its own',
    },
  ]
  static override args = {
    resource: Args.string({
      ignoreStdin: true,
      required: true,
      description: `KIND/NAME, or the KIND of which there is only one; kinds: ${creatableKinds.join(', ')}`,
    }),
  }
  static override flags = {...adminFlags}

  async run(): Promise<void> {
    const {args, flags} = await this.parse(Edit)
    const reference = parseNamed(args.resource)
    const connection = await openAdminConnection(flags, this.surroundings)
    const isSaved = await editResource(connection, reference)
    if (isSaved) this.print(`${describeResource(reference.kind, reference.name)} has been updated`)
    else this.say('Nothing was changed.')
  }
}
