import * as Flags from '@oclif/core/flags'
import type {IamAccounts} from '../../../lib/aws/iam-accounts.js'
import {grantFor} from '../../../lib/aws/iam-grants.js'
import {planManually, type AccessNeed} from '../../../lib/aws/iam-plan.js'
import {configFiles} from '../../../lib/cli/calling-name.js'
import {formatFlag, list} from '../../../lib/cli/flags.js'
import {IamCommand, type IamOutcome} from '../../../lib/cli/iam-command.js'
import {changeFlags, policyName} from '../../../lib/cli/iam-flags.js'
import {accountsOf} from '../../../lib/cli/iam-text.js'
import {needsOf, scopedNeedsOf} from '../../../lib/cli/iam-needs.js'
import type {Config} from '../../../lib/config/settings.js'
import type {Clock} from '../../../lib/core/clock.js'

export default class DbConfigureBootstrap extends IamCommand {
  static override summary = 'Give an agent the permissions in AWS that its configuration needs.'
  static override description = `Reads the configuration of an agent and makes one policy of what its databases need. The agent itself gets the databases without assume_role_arn and may assume the roles; a role gets the databases that are reached through it: run the command once for each, with --attach-to-role and a --policy-name of its own.

--scope databases allows signing in to the databases of the configuration alone; their resource ids come from AWS. What AWS has already is not done again, and a policy that would be too long is split. All steps are taken or none.

--manual prints what is to be done and needs no AWS credentials.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> --manual',
    '<%= config.bin %> <%= command.id %> -c /etc/postern.yaml --policy-name rds-prod --attach-to-role "arn:aws:iam::123456789012:role/rds-prod"',
  ]
  static override flags = {
    config: Flags.string({
      char: 'c',
      description: 'configuration of the agent (default: /etc/postern.yaml)',
      helpValue: 'FILE',
    }),
    'policy-name': policyName({default: 'DatabaseAccess', description: 'name of the policy'}),
    'attach-to-role': Flags.string({
      description: 'role to attach the policy to: its name or ARN',
      helpValue: 'ROLE',
      exclusive: ['attach-to-user'],
    }),
    'attach-to-user': Flags.string({
      description: 'user to attach the policy to: its name or ARN',
      helpValue: 'USER',
      exclusive: ['attach-to-role'],
    }),
    'assumes-roles': Flags.string({
      ...list,
      description: 'further roles that the agent assumes: names or ARNs',
      helpValue: 'ROLE,',
    }),
    scope: Flags.option({
      options: ['all', 'databases'] as const,
      default: 'all',
      description: 'permissions to sign in to all databases, or to those of the configuration alone, by their ARNs',
    })(),
    manual: Flags.boolean({
      default: false,
      description: 'print what is to be done and do nothing',
      exclusive: ['confirm'],
    }),
    ...changeFlags,
    ...formatFlag,
  }

  async run(): Promise<IamOutcome> {
    const {flags} = await this.parse(DbConfigureBootstrap)
    if (!flags.manual) this.requireConfirmation(flags.confirm)
    const note = flags.format === 'text' ? this.print.bind(this) : this.say.bind(this)
    const file = flags.config ?? configFiles()[0]
    note(`Reading configuration at "${file}"...\n`)
    const {loadConfig} = await import('../../../lib/config/file.js')
    const config = await loadConfig(file)
    const accounts = flags.manual ? undefined : await openAccounts(this.surroundings.clock)
    const needs = flags.scope === 'all' ? needsOf(config) : await this.#scopedNeeds(config, accounts)
    const request = {
      policyName: flags['policy-name'],
      needs,
      assumesRoles: flags['assumes-roles'] ?? [],
      keepsPolicy: config.dbService.iamPolicy === 'auto',
    }
    const choice = {user: flags['attach-to-user'], role: flags['attach-to-role']}
    const {plans, skipped} = accounts ? await accounts.plan(choice, request) : planManually(choice, request)
    for (const {arn} of skipped) {
      this.say(
        `⚠️ Skipping ${arn}: it needs a policy of its own. Add --attach-to-role ${arn} and another --policy-name.`,
      )
    }
    if (plans.length === 0) note('The agent needs no further permissions in AWS.')
    else note(`Configure AWS for Database Service for accounts: [${accountsOf(plans).join(' ')}]`)
    const {confirm, wait, format} = flags
    return this.carryOut(plans, {accounts, confirm, wait, format})
  }

  async #scopedNeeds(config: Config, accounts: IamAccounts | undefined): Promise<AccessNeed[]> {
    const unknown = new Set<string>()
    if (config.dbService.aws.length > 0) {
      const what = accounts ? 'that matchers find later' : 'that matchers find'
      this.say(`Databases ${what} are not among these: --scope all has permissions for them.`)
    }
    const {selects} = await import('../../../lib/access/selector.js')
    const needs = await scopedNeedsOf(config, {
      grant: async (database) => {
        const grant = accounts ? await accounts.grant(database) : grantFor(database)
        for (const what of grant.unknown) unknown.add(what)
        return grant
      },
      grantsOf: async (matcher) => (accounts ? accounts.grantsOf(matcher, selects) : []),
    })
    if (unknown.size > 0) {
      this.say(
        `Without AWS the ${[...unknown].join(', ')} of a database is not known: put it in the place of the <...>.`,
      )
    }
    return needs
  }
}

async function openAccounts(clock: Clock): Promise<IamAccounts> {
  const {IamAccounts: Accounts} = await import('../../../lib/aws/iam-accounts.js')
  return Accounts.open(process.env, clock)
}
