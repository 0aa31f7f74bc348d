import * as Args from '@oclif/core/args'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openIdentity} from '../../lib/cli/connection.js'
import {formatFlag, loginFlags} from '../../lib/cli/flags.js'
import {renderIdentity, renewIdentityFile, type IdentityLife} from '../../lib/cli/signing.js'

export default class AuthRenew extends BaseCommand {
  static override summary = 'Renew an identity file.'
  static override description = `Gives an identity file a new key and as much time as it had at first, as long as it is renewable: an administrator
made it with \`auth sign --renewable\`, it is still valid, and its user is not locked. What reads the file meanwhile sees the old
identity or the new one.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> identity.pem',
    '<%= config.bin %> <%= command.id %> identity.pem --format=json',
  ]
  static override args = {
    file: Args.string({ignoreStdin: true, required: true, description: 'identity file'}),
  }
  static override flags = {proxy: loginFlags.proxy, ...formatFlag}

  async run(): Promise<IdentityLife> {
    const {args, flags} = await this.parse(AuthRenew)
    const {user, ...life} = await renewIdentityFile(args.file, (identity) =>
      openIdentity(identity, flags, this.surroundings),
    )
    return this.show(flags.format, {user, file: args.file, ...life}, () => renderIdentity(user, args.file, life))
  }
}
