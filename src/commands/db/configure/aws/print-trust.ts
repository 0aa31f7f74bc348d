import * as Flags from '@oclif/core/flags'
import {proxyTrustPolicy, trustPolicyFor} from '../../../../lib/aws/iam-guide.js'
import {formatPolicy} from '../../../../lib/aws/iam-policy.js'
import {BaseCommand} from '../../../../lib/cli/base-command.js'
import {formatFlag} from '../../../../lib/cli/flags.js'
import {PosternError} from '../../../../lib/core/errors.js'

/** AWS STS API Reference, "AssumeRole": ExternalId. */
const externalIdForm = /^[\w+=,.@:/-]{2,1224}$/

export default class DbConfigureAwsPrintTrust extends BaseCommand {
  static override summary = 'Print the trust policy of a role that the agent assumes.'
  static override description = `The role that is assumed gets it: the one in assume_role_arn, or the one that stands for a database user. It trusts the role of the agent, or with --principal account whoever in that account may assume it. Across accounts, an external id keeps others from using the agent to get at your role.

Needs no AWS credentials and no network.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> --role arn:aws:iam::123456789012:role/database-agent',
    {
      command:
        '<%= config.bin %> <%= command.id %> --role arn:aws:iam::123456789012:role/database-agent --external-id example-external-id',
      description: 'For an agent of another account',
    },
    {command: '<%= config.bin %> <%= command.id %> --for-proxy-role', description: 'For the role of an RDS Proxy'},
  ]
  static override aliases = ['configure:aws:print-trust']
  static override flags = {
    role: Flags.string({
      description: 'role of the agent, its ARN',
      helpValue: 'ARN',
    }),
    principal: Flags.option({
      options: ['role', 'account'] as const,
      default: 'role',
      description: 'whom to trust: the role, or its account',
    })(),
    'external-id': Flags.string({
      description: 'external id that has to be given when the role is assumed',
      helpValue: 'ID',
    }),
    'for-proxy-role': Flags.boolean({
      default: false,
      description: 'the trust of the role of an RDS Proxy',
      exclusive: ['role', 'external-id'],
    }),
    ...formatFlag,
  }

  async run(): Promise<object> {
    const {flags} = await this.parse(DbConfigureAwsPrintTrust)
    const {role, principal, 'external-id': externalId} = flags
    if (externalId !== undefined && !externalIdForm.test(externalId)) {
      throw new PosternError('USAGE', `"${externalId}" is not an external id.`, {
        hint: 'It has 2 to 1,224 letters, digits and +=,.@:/_-.',
      })
    }
    if (role === undefined && !flags['for-proxy-role']) {
      throw new PosternError('USAGE', 'Whom the role is to trust is not said.', {
        hint: 'Add --role with the ARN of the agent’s role.',
      })
    }
    const document = role === undefined ? proxyTrustPolicy : trustPolicyFor({role, principal, externalId})
    return this.show<object>(flags.format, document, () => formatPolicy(document))
  }
}
