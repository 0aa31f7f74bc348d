import * as Flags from '@oclif/core/flags'
import {formatFlag} from '../../../../lib/cli/flags.js'
import {IamCommand, type IamOutcome} from '../../../../lib/cli/iam-command.js'
import {changeFlags, iamNeedsFlags, policyName, readNeeds} from '../../../../lib/cli/iam-flags.js'

export default class DbConfigureAwsCreateIam extends IamCommand {
  static override summary = 'Create in AWS the IAM policy that an agent needs, and attach it.'
  static override description = `Uses the AWS credentials of this host. Without --role and --user the policy is attached to the identity that these belong to.

What AWS has already is not done again. A policy of the same name is given a new version when it differs and carries the tag "postern"; without the tag it is left alone. All steps are taken or none: when one fails, those before it are taken back.`
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
    ...changeFlags,
    ...formatFlag,
  }

  async run(): Promise<IamOutcome> {
    const {flags} = await this.parse(DbConfigureAwsCreateIam)
    const request = {policyName: flags.name, ...readNeeds(flags)}
    this.requireConfirmation(flags.confirm)
    const {IamAccounts} = await import('../../../../lib/aws/iam-accounts.js')
    const accounts = await IamAccounts.open(process.env, this.surroundings.clock)
    const {plans} = await accounts.plan(flags, request)
    return this.carryOut(plans, {
      accounts,
      confirm: flags.confirm,
      wait: flags.wait,
      format: flags.format,
    })
  }
}
