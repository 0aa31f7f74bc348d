import * as Flags from '@oclif/core/flags'
import type {AuthorityResponse, AuthorityType} from '../../lib/api/responses.js'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openAdminConnection} from '../../lib/cli/connection.js'
import {adminFlags, formatFlag} from '../../lib/cli/flags.js'

const types = {
  host: 'host',
  'tls-host': 'host',
  user: 'user',
  'tls-user': 'user',
  db: 'db',
  'db-client': 'db_client',
} as const satisfies Record<string, AuthorityType>

type TypeWord = keyof typeof types
const words = Object.keys(types) as TypeWord[]

export default class AuthExport extends BaseCommand {
  static override summary = 'Print the certificates of one of the authorities, PEM.'
  static override description = `host verifies agents and the cluster itself, user verifies people, db verifies self-hosted databases, db-client is what a self-hosted database verifies agents with. Private keys are never exported.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> --type=db-client > client-ca.pem',
    '<%= config.bin %> <%= command.id %> --type=host --format=json',
  ]
  static override flags = {
    ...adminFlags,
    ...formatFlag,
    type: Flags.option({options: words, required: true, description: 'which authority'})(),
  }

  async run(): Promise<AuthorityResponse> {
    const {flags} = await this.parse(AuthExport)
    const connection = await openAdminConnection(flags, this.surroundings)
    const authority = await connection.ask((client) => client.authority(types[flags.type]))
    return this.show(flags.format, authority, ({certificates}) => certificates.map((pem) => pem.trim()).join('\n'))
  }
}
