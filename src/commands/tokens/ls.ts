import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openAdminConnection} from '../../lib/cli/connection.js'
import {adminFlags, formatFlag} from '../../lib/cli/flags.js'
import {renderTokens} from '../../lib/cli/token-text.js'
import type {Token} from '../../lib/resources/token.js'
import {withoutSecret} from '../../lib/resources/token-name.js'

export default class TokensLs extends BaseCommand {
  static override summary = 'List the join tokens that are in force.'
  static override description =
    'A token is its own secret: only its end is shown, unless --with-secrets asks for the whole.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --with-secrets',
  ]
  static override flags = {
    ...adminFlags,
    ...formatFlag,
    'with-secrets': Flags.boolean({default: false, description: 'show the tokens themselves'}),
  }

  async run(): Promise<Token[]> {
    const {flags} = await this.parse(TokensLs)
    const connection = await openAdminConnection(flags, this.surroundings)
    const {items} = await connection.ask((client) => client.listResources('token'))
    const tokens = flags['with-secrets'] ? items : items.map(withoutSecret)
    return this.show(flags.format, tokens, () => renderTokens(tokens, this.surroundings.clock.now()))
  }
}
