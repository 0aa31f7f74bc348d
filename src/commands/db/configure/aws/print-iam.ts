import * as Flags from '@oclif/core/flags'
import {anyone, nameIdentity, nameRoles} from '../../../../lib/aws/iam-identity.js'
import {planAccess} from '../../../../lib/aws/iam-plan.js'
import {formatPolicy, policyFor} from '../../../../lib/aws/iam-policy.js'
import {BaseCommand} from '../../../../lib/cli/base-command.js'
import {formatFlag} from '../../../../lib/cli/flags.js'
import {iamNeedsFlags, readNeeds} from '../../../../lib/cli/iam-flags.js'
import {actionData, renderActions} from '../../../../lib/cli/iam-text.js'
import {asUsage} from '../../../../lib/cli/usage.js'

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
    const {target, assumedRoles} = asUsage(() => {
      const named = flags.user ?? flags.role
      const identity = named === undefined ? anyone : nameIdentity(flags.user ? 'user' : 'role', named, anyone)
      return {target: identity, assumedRoles: nameRoles(needs.roles, identity)}
    })
    const actions = planAccess({target, policyName: '', types: needs.types, assumedRoles})
    if (!flags.policy) return this.show(flags.format, {actions: actions.map(actionData)}, () => renderActions(actions))
    const document = policyFor({types: needs.types, assumedRoles})
    return this.show(flags.format, document ?? {}, () => (document ? formatPolicy(document) : ''))
  }
}
