import * as Flags from '@oclif/core/flags'
import {guidePolicyFor, proxyRolePolicyFor, userRolePolicyFor, type GuidePolicy} from '../../../../lib/aws/iam-guide.js'
import {planManually} from '../../../../lib/aws/iam-plan.js'
import {formatPolicy} from '../../../../lib/aws/iam-policy.js'
import {BaseCommand} from '../../../../lib/cli/base-command.js'
import {formatFlag, list} from '../../../../lib/cli/flags.js'
import {iamNeedsFlags, readNeeds, type NeedsChoice} from '../../../../lib/cli/iam-flags.js'
import {PosternError} from '../../../../lib/core/errors.js'
import {actionData, renderActions} from '../../../../lib/cli/iam-text.js'

export default class DbConfigureAwsPrintIam extends BaseCommand {
  static override summary = 'Print the IAM policy that an agent needs.'
  static override description = `Needs no AWS credentials and no network. \`<%= config.bin %> db configure aws create-iam\` makes the same policy in AWS.

--layout guide prints the document as the guide of the type writes it, with the guide's placeholders where nothing is given for them. What the role needs that stands for a database user of Redshift is printed with --for-user-role, what the role of an RDS Proxy needs with --for-proxy-role.`
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
    {
      command: '<%= config.bin %> <%= command.id %> --types redshift --layout guide --for-user-role',
      description: 'What a role needs that is a database user of Redshift',
    },
  ]
  static override aliases = ['configure:aws:print-iam']
  static override flags = {
    ...iamNeedsFlags,
    role: Flags.string({description: 'role of the agent: its name or ARN', helpValue: 'ROLE', exclusive: ['user']}),
    user: Flags.string({description: 'user of the agent: its name or ARN', helpValue: 'USER', exclusive: ['role']}),
    policy: Flags.boolean({default: false, description: 'print the policy document only'}),
    layout: Flags.option({
      options: ['generated', 'guide'] as const,
      default: 'generated',
      description: 'the document that create-iam makes, or that of the guides',
    })(),
    'for-user-role': Flags.boolean({
      default: false,
      description: 'the policy of the role that stands for a database user',
      exclusive: ['for-proxy-role', 'assumes-roles'],
    }),
    'for-proxy-role': Flags.boolean({
      description: 'the policy of the role of an RDS Proxy, which reads its secrets',
      exclusive: ['assumes-roles'],
    }),
    secrets: Flags.string({
      ...list,
      description: 'secrets of the database users of an RDS Proxy',
      helpValue: 'ARN,',
      dependsOn: ['for-proxy-role'],
    }),
    'kms-key': Flags.string({
      description: 'key that the secrets are encrypted with',
      helpValue: 'ARN',
      dependsOn: ['for-proxy-role'],
    }),
    ...formatFlag,
  }

  async run(): Promise<object> {
    const {flags} = await this.parse(DbConfigureAwsPrintIam)
    if (flags.layout === 'guide') {
      const {document, notes} = guidePolicy(flags)
      for (const note of notes) this.say(note)
      return this.show<object>(flags.format, document, () => formatPolicy(document))
    }
    if (flags['for-user-role'] || flags['for-proxy-role']) {
      throw new PosternError('USAGE', 'These policies are those of the guides.', {hint: 'Add --layout guide.'})
    }
    const needs = readNeeds(flags)
    const {plans} = planManually(flags, {policyName: '', ...needs})
    const actions = plans.flatMap((plan) => plan.actions)
    if (!flags.policy) return this.show(flags.format, {actions: actions.map(actionData)}, () => renderActions(actions))
    const documents = actions.flatMap((action) => (action.kind === 'create-policy' ? [action.document] : []))
    return this.show<object>(flags.format, documents[0] ?? {}, () => documents.map(formatPolicy).join('\n'))
  }
}

interface GuideChoice extends NeedsChoice {
  readonly 'for-user-role': boolean
  readonly 'for-proxy-role': boolean
  readonly secrets?: readonly string[] | undefined
  readonly 'kms-key'?: string | undefined
}

function guidePolicy(flags: GuideChoice): GuidePolicy {
  const {types = [], secrets = []} = flags
  if (flags['for-proxy-role']) {
    if (types.every((type) => type === 'rdsproxy')) return proxyRolePolicyFor({secrets, key: flags['kms-key']})
    throw new PosternError('USAGE', '--for-proxy-role is for the type rdsproxy.')
  }
  if (flags['for-user-role']) return userRolePolicyFor(types)
  const {assumesRoles} = readNeeds(flags)
  return guidePolicyFor({types, assumesRoles})
}
