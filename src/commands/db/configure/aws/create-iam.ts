import * as Flags from '@oclif/core/flags'
import {formatFlag} from '../../../../lib/cli/flags.js'
import {IamCommand} from '../../../../lib/cli/iam-command.js'
import {confirmFlag, iamNeedsFlags, policyName, readNeeds} from '../../../../lib/cli/iam-flags.js'
import {asUsage} from '../../../../lib/cli/usage.js'

export default class DbConfigureAwsCreateIam extends IamCommand {
  static override summary = 'Create in AWS the IAM policy that an agent needs, and attach it.'
  static override description = `Uses the AWS credentials of this host. Without --role and --user the policy is attached to the identity that these belong to.

A policy of the same name is given a new version when it carries the tag "postern", and is left alone otherwise.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> --types redshift,redshift-serverless --name postern-redshift-access',
    '<%= config.bin %> <%= command.id %> --types rds --role=database-agent --confirm',
  ]
  static override aliases = ['configure:aws:create-iam']
  static override flags = {
    ...iamNeedsFlags,
    name: policyName({default: 'DatabaseAccess', description: 'name of the policy'}),
    role: Flags.string({description: 'role of the agent: its name or ARN', helpValue: 'ROLE', exclusive: ['user']}),
    user: Flags.string({description: 'user of the agent: its name or ARN', helpValue: 'USER', exclusive: ['role']}),
    ...confirmFlag,
    ...formatFlag,
  }

  async run(): Promise<object> {
    const {flags} = await this.parse(DbConfigureAwsCreateIam)
    const {types, roles} = readNeeds(flags)
    this.requireConfirmation(flags.confirm)
    const {chooseTarget, planAccess} = await import('../../../../lib/aws/iam-plan.js')
    const {IamAccounts} = await import('../../../../lib/aws/iam-accounts.js')
    const accounts = await IamAccounts.open(process.env, this.surroundings.clock)
    const caller = await accounts.own.caller()
    const target =
      flags.role === undefined && flags.user === undefined
        ? {identity: await accounts.own.attachable(caller)}
        : asUsage(() => chooseTarget(flags, caller, []))
    const request = {policyName: flags.name, needs: [{types}], assumesRoles: roles}
    const actions = asUsage(() => planAccess(target.identity, request))
    const {confirm, format} = flags
    const done = await this.carryOut([{...target, actions}], {accounts, ownAccount: caller.account, confirm, format})
    return this.show(format, {actions: done}, () => '')
  }
}
