import * as Args from '@oclif/core/args'
import {ApiClient} from '../../lib/api/client.js'
import {contactCluster} from '../../lib/api/contact.js'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {nameCommands} from '../../lib/cli/calling-name.js'
import {firstTrust, formatFlag, passwordStdinFlag, trustFlags} from '../../lib/cli/flags.js'
import {parseInvite} from '../../lib/cli/invite-link.js'
import {askNewPassword, readPassword, requireTerminal} from '../../lib/cli/prompt.js'
import {insecureWarning} from '../../lib/cli/login.js'
import {formatAddress} from '../../lib/resources/endpoint.js'

interface Accepted {
  readonly user: string
  readonly proxy: string
}

export default class InviteAccept extends BaseCommand {
  static override summary = 'Set your password, with the link of an invitation.'
  static override description = 'Does on a terminal what the page behind the link does. The link works once.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> https://proxy.example.com:443/web/invite/5d1e…',
    '<%= config.bin %> <%= command.id %> --password-stdin --ca-pin=sha256:… https://proxy.example.com:443/web/invite/5d1e… < password',
  ]
  static override args = {url: Args.string({ignoreStdin: true, required: true, description: 'the link'})}
  static override flags = {...passwordStdinFlag, ...trustFlags, ...formatFlag}

  async run(): Promise<Accepted> {
    const {args, flags} = await this.parse(InviteAccept)
    const {proxy, token} = parseInvite(args.url)
    if (!flags['password-stdin']) requireTerminal()
    if (flags.insecure) this.say(insecureWarning(proxy.host))
    const {endpoint} = await contactCluster(proxy.host, proxy.port, firstTrust(flags, this.surroundings.environment))
    const password = flags['password-stdin'] ? await readPassword() : await askNewPassword('Choose a password:')
    const client = new ApiClient(endpoint)
    try {
      const {user} = await client.acceptInvite({token, password: password.reveal()})
      const accepted = {user, proxy: formatAddress(proxy)}
      return await this.show(flags.format, accepted, (data) => nameCommands(renderAccepted(data)))
    } finally {
      await client.close()
    }
  }
}

function renderAccepted({user, proxy}: Accepted): string {
  return `The password of ${user} is set. Log in with \`postern login --proxy=${proxy} --user=${user}\`.`
}
