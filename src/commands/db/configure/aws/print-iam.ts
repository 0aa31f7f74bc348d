import * as Flags from '@oclif/core/flags'
import {planManually} from '../../../../lib/aws/iam-plan.js'
import {formatPolicy} from '../../../../lib/aws/iam-policy.js'
import {BaseCommand} from '../../../../lib/cli/base-command.js'
import {formatFlag} from '../../../../lib/cli/flags.js'
import {iamNeedsFlags, readNeeds} from '../../../../lib/cli/iam-flags.js'
import {actionData, renderActions} from '../../../../lib/cli/iam-text.js'

export default class DbConfigureAwsPrintIam extends BaseCommand {
  static override summary = 'Print the IAM policy that an agent needs.'
  static override description =
    'Needs no AWS credentials and no network. `<%= config.bin %> db configure aws create-iam` makes the same policy in AWS.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --types redshift,redshift-serverless',
    {
      command: '<%= config.bin %> <%= command.id %> --types rds --policy > policy.json',
      description: 'The document alone, for other tools',
    },
    {
      command: '<%= config.bin %> <%= command.id %> --types redshift --role=agent --assumes-roles=redshift-user-role',
      description: 'With the role that database users are mapped to',
    },
  ]
  static override aliases = ['configure:aws:print-iam']
  static override flags = {
    ...iamNeedsFlags,
    role: Flags.string({description: 'role of the agent: its name or ARN', helpValue: 'ROLE', exclusive: ['user']}),
    user: Flags.string({description: 'user of the agent: its name or ARN', helpValue: 'USER', exclusive: ['role']}),
    policy: Flags.boolean({description: 'print the policy document only'}),
    ...formatFlag,
  }

  async run(): Promise<object> {
    const {flags} = await this.parse(DbConfigureAwsPrintIam)
    const needs = readNeeds(flags)
    const {plans} = planManually(flags, {policyName: '', ...needs})
    const actions = plans.flatMap((plan) => plan.actions)
    if (!flags.policy) return this.show(flags.format, {actions: actions.map(actionData)}, () => renderActions(actions))
    const documents = actions.flatMap((action) => (action.kind === 'create-policy' ? [action.document] : []))
    return this.show(flags.format, documents[0] ?? {}, () => documents.map(formatPolicy).join('\n'))
  }
}
