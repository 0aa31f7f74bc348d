import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {openAdminConnection} from '../../lib/cli/connection.js'
import {adminFlags, list, seconds} from '../../lib/cli/flags.js'
import {renderIdentity, renderSignedDatabase, signForDatabase, signForUser} from '../../lib/cli/signing.js'
import {PosternError} from '../../lib/core/errors.js'

export default class AuthSign extends BaseCommand {
  static override summary = 'Have a certificate made: for a self-hosted database, or for a user.'
  static override description = `--format=db makes what a PostgreSQL server needs to be reached by agents: OUT.crt and OUT.key, and OUT.cas to verify agents with. --format=file makes an identity file for --user, for CI jobs and the like. The key is made here and never sent.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> --format=db --host=db.example.com,10.0.0.5 --out=server --ttl=2190h',
    '<%= config.bin %> <%= command.id %> --format=file --user=ci --out=identity.pem --ttl=1h',
    '<%= config.bin %> <%= command.id %> --format=file --user=ci --out=identity.pem --ttl=1h --renewable=720h',
  ]
  static override flags = {
    ...adminFlags,
    format: Flags.option({options: ['db', 'file'] as const, default: 'file', description: 'what to make'})(),
    host: Flags.string({...list, description: 'names and addresses of the database server', helpValue: 'HOST,'}),
    // Here it is whom the certificate is for, not who asks.
    user: Flags.string({description: 'user whose identity is made', helpValue: 'NAME'}),
    out: Flags.string({
      char: 'o',
      required: true,
      description: 'file, or beginning of the names of three files',
      helpValue: 'FILE',
    }),
    ttl: seconds({description: 'how long it is valid (default: 12h; with --format=db 2190h)'}),
    renewable: seconds({
      description: 'let whoever holds the identity file renew it for so long, with `postern auth renew`',
    }),
    overwrite: Flags.boolean({default: false, description: 'replace files that exist'}),
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(AuthSign)
    const {out, overwrite, host = [], ttl: ttlSeconds, user} = flags
    const connection = await openAdminConnection({...flags, user: undefined}, this.surroundings)
    if (flags.format === 'db') {
      if (host.length === 0) throw missing('--host', 'db')
      this.print(renderSignedDatabase(await signForDatabase(connection, {out, overwrite, hosts: host, ttlSeconds})))
      return
    }
    if (user === undefined) throw missing('--user', 'file')
    const {proxy, renewable: renewableSeconds} = flags
    const life = await signForUser(connection, {out, overwrite, user, ttlSeconds, renewableSeconds, proxy})
    this.print(renderIdentity(user, out, life))
  }
}

function missing(flag: string, format: string): PosternError {
  return new PosternError('USAGE', `${flag} is missing; --format=${format} needs it.`)
}
