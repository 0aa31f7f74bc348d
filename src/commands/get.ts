import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../lib/cli/base-command.js'
import {openAdminConnection} from '../lib/cli/connection.js'
import {adminFlags, formats} from '../lib/cli/flags.js'
import {hideSecrets, renderResources, renderYaml} from '../lib/cli/resource-text.js'
import {kinds, parseReferences} from '../lib/resources/kinds.js'
import type {Resource} from '../lib/resources/resource.js'

export default class Get extends BaseCommand {
  static override summary = 'Print resources as they are stored.'
  static override description = `YAML documents can be edited and given to \`<%= config.bin %> update\` or \`<%= config.bin %> create -f\`, which refuse when somebody else has changed the resource since. JSON is always a list.

db_server/NAME gives one entry for each agent that serves the database. \`all\` is everything that can be created again, in an order in which it can be; secret join tokens are among it with --with-secrets only, since a masked one is of no use.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> role/access',
    '<%= config.bin %> <%= command.id %> users --format=text',
    '<%= config.bin %> <%= command.id %> roles,user/alice',
    '<%= config.bin %> <%= command.id %> db_server/aurora --format=json',
    {
      command: '<%= config.bin %> <%= command.id %> all --with-secrets > backup.yaml',
      description: 'Keep a copy of everything but passwords, keys and certificates',
    },
  ]
  static override args = {
    resource: Args.string({
      ignoreStdin: true,
      required: true,
      description: `KIND or KIND/NAME, several separated by commas, or all; kinds: ${kinds.join(', ')}`,
    }),
  }
  static override flags = {
    ...adminFlags,
    format: Flags.option({char: 'f', options: formats, default: 'yaml', description: 'how to print the answer'})(),
    'with-secrets': Flags.boolean({default: false, description: 'show join tokens whole'}),
  }

  async run(): Promise<Resource[]> {
    const {args, flags} = await this.parse(Get)
    const wanted = parseReferences(args.resource)
    const withoutSecrets = args.resource.toLowerCase() === 'all' && !flags['with-secrets']
    const connection = await openAdminConnection(flags, this.surroundings)
    const found = await connection.ask(async (client) => {
      const all: Resource[] = []
      for (const {kind, name} of wanted) {
        const {items} = await (name === undefined ? client.listResources(kind) : client.getResource(kind, name))
        all.push(...items)
      }
      return all.filter((resource) => !(withoutSecrets && isSecret(resource)))
    })
    const resources = flags['with-secrets'] ? found : found.map(hideSecrets)
    if (flags.format === 'yaml') {
      if (resources.length > 0) this.print(await renderYaml(resources))
      return resources
    }
    const shown = new Set(wanted.map(({kind}) => kind))
    return this.show(flags.format, resources, async () => {
      const now = this.surroundings.clock.now()
      const tables = await Promise.all([...shown].map((kind) => renderResources(kind, resources, now)))
      return tables.join('\n\n')
    })
  }
}

/** Whether the name is a secret. */
const isSecret = (resource: Resource): boolean => resource.kind === 'token' && resource.spec.join_method === 'token'
