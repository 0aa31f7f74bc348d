import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../lib/cli/base-command.js'
import {configFiles} from '../../lib/cli/calling-name.js'
import {placedMatchersOf, renderVerdicts} from '../../lib/cli/discovery-text.js'
import {formatFlag} from '../../lib/cli/flags.js'
import type {Verdict} from '../../lib/aws/discovery-verdict.js'

export default class DiscoveryExplain extends BaseCommand {
  static override summary = 'Say whether a database of AWS is found, and if not, why not.'
  static override description = `Reads the matchers of a configuration and asks AWS, with the AWS credentials of this host, as the Database Service and the Discovery Service do. The exit code is 0 when a matcher finds the database, and 1 when none does.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> arn:aws:rds:us-west-1:123456789012:db:orders',
    '<%= config.bin %> <%= command.id %> -c ./postern.yaml arn:aws:redshift:us-west-1:123456789012:cluster:warehouse',
  ]
  static override args = {
    arn: Args.string({
      description: 'of an instance, a cluster, a proxy, a workgroup, or an endpoint',
      required: true,
      ignoreStdin: true,
    }),
  }
  static override flags = {
    config: Flags.string({
      char: 'c',
      description: 'configuration with the matchers (default: /etc/postern.yaml)',
      helpValue: 'FILE',
    }),
    ...formatFlag,
  }

  async run(): Promise<readonly Verdict[]> {
    const {args, flags} = await this.parse(DiscoveryExplain)
    const {loadConfig} = await import('../../lib/config/file.js')
    const matchers = placedMatchersOf(await loadConfig(flags.config ?? configFiles()[0]))
    const {Aws} = await import('../../lib/aws/aws.js')
    const {judgeDiscovery} = await import('../../lib/aws/discovery-verdict.js')
    const {selects} = await import('../../lib/access/selector.js')
    const aws = new Aws({environment: process.env, clock: this.surroundings.clock})
    const list = aws.list.bind(aws)
    const verdicts = await judgeDiscovery({arn: args.arn, matchers, list, selects})
    if (verdicts.every(({found}) => found.length === 0)) process.exitCode = 1
    return this.show(flags.format, verdicts, renderVerdicts)
  }
}
