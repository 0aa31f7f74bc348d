import * as Flags from '@oclif/core/flags'
import type {IamAccounts} from '../../../lib/aws/iam-accounts.js'
import {anyone, type IamIdentity} from '../../../lib/aws/iam-identity.js'
import {
  chooseTarget,
  planAccess,
  planEverybody,
  type PlanRequest,
  type TargetChoice,
  type WholePlan,
} from '../../../lib/aws/iam-plan.js'
import {formatFlag, list} from '../../../lib/cli/flags.js'
import {IamCommand} from '../../../lib/cli/iam-command.js'
import {confirmFlag, policyName} from '../../../lib/cli/iam-flags.js'
import {actionData, renderActions} from '../../../lib/cli/iam-text.js'
import {needsOf} from '../../../lib/cli/iam-needs.js'
import {asUsage} from '../../../lib/cli/usage.js'
import type {Clock} from '../../../lib/core/clock.js'
import {defaultConfigPath} from '../../../lib/config/settings.js'

export default class DbConfigureBootstrap extends IamCommand {
  static override summary = 'Give an agent the permissions in AWS that its configuration needs.'
  static override description = `Reads the configuration of an agent and makes one policy of what its databases need. The agent itself gets the databases without assume_role_arn and may assume the roles; a role gets the databases that are reached through it: run the command once for each, with --attach-to-role and a --policy-name of its own.

--manual prints what is to be done and needs no AWS credentials.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> --manual',
    '<%= config.bin %> <%= command.id %> -c /etc/postern.yaml --policy-name rds-prod --attach-to-role "arn:aws:iam::123456789012:role/rds-prod"',
  ]
  static override flags = {
    config: Flags.string({
      char: 'c',
      default: defaultConfigPath,
      description: 'configuration of the agent',
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
    manual: Flags.boolean({description: 'print what is to be done and do nothing', exclusive: ['confirm']}),
    ...confirmFlag,
    ...formatFlag,
  }

  async run(): Promise<object> {
    const {flags} = await this.parse(DbConfigureBootstrap)
    if (!flags.manual) this.requireConfirmation(flags.confirm)
    const note = flags.format === 'text' ? this.print.bind(this) : this.say.bind(this)
    note(`Reading configuration at "${flags.config}"...\n`)
    const {loadConfig} = await import('../../../lib/config/file.js')
    const needs = needsOf(await loadConfig(flags.config))

    const accounts = flags.manual ? undefined : await openAccounts(this.surroundings.clock)
    const caller = (await accounts?.own.caller()) ?? anyone
    const choice = {user: flags['attach-to-user'], role: flags['attach-to-role']}
    const request = {policyName: flags['policy-name'], needs, assumesRoles: flags['assumes-roles'] ?? []}
    const self = choice.user === undefined && choice.role === undefined ? await attachable(accounts, caller) : undefined
    const {plans, skipped} = asUsage(() => (self ? planEverybody(self, request) : planOne(choice, caller, request)))

    for (const {arn} of skipped) {
      this.say(
        `⚠️ Skipping ${arn}: it needs a policy of its own. Add --attach-to-role ${arn} and another --policy-name.`,
      )
    }
    const touched = [...new Set(plans.map(({identity}) => identity.account))]
    if (plans.length === 0) note('The agent needs no further permissions in AWS.')
    else note(`Configure AWS for Database Service for accounts: [${touched.join(' ')}]`)
    const actions = plans.flatMap((plan) => plan.actions)
    if (plans.length > 0 && !accounts && flags.format === 'text') this.print(renderActions(actions))
    const {confirm, format} = flags
    const options = {ownAccount: caller.account, confirm, format}
    const done =
      accounts && plans.length > 0 ? await this.carryOut(plans, {...options, accounts}) : actions.map(actionData)
    return this.show(format, {accounts: touched, actions: done}, () => '')
  }
}

async function openAccounts(clock: Clock): Promise<IamAccounts> {
  const {IamAccounts: Accounts} = await import('../../../lib/aws/iam-accounts.js')
  return Accounts.open(process.env, clock)
}

async function attachable(accounts: IamAccounts | undefined, caller: IamIdentity): Promise<IamIdentity> {
  return accounts ? accounts.own.attachable(caller) : caller
}

function planOne(choice: TargetChoice, caller: IamIdentity, request: PlanRequest): WholePlan {
  const target = chooseTarget(choice, caller, request.needs)
  const actions = planAccess(target.identity, request)
  return {plans: actions.length > 0 ? [{...target, actions}] : [], skipped: []}
}
