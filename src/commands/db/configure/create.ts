import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../../lib/cli/base-command.js'
import {configFiles, nameCommands} from '../../../lib/cli/calling-name.js'
import {list, repeated} from '../../../lib/cli/flags.js'

const region = {...list, helpValue: 'REGION,'} as const

export default class DbConfigureCreate extends BaseCommand {
  static override summary = 'Write the configuration of a database agent.'
  static override description = `The configuration is checked as \`<%= config.bin %> start\` checks it; one that would not start is not written. Neither AWS nor the cluster is asked.

Without --name, the name of the database is made from the first label of its address.`
  static override examples = [
    `<%= config.bin %> <%= command.id %> --token=/tmp/token --name=aurora --proxy=proxy.example.com:443 --protocol=postgres --uri=aurora.abcdefghijklm.us-west-1.rds.amazonaws.com:5432 --aws-region=us-west-1 --output file:///etc/postern.yaml`,
    {
      command:
        '<%= config.bin %> <%= command.id %> -o file --proxy=proxy.example.com:443 --dynamic-resources-labels=env=dev',
      description: 'An agent for databases that are created as db resources with the label env=dev',
    },
  ]
  static override flags = {
    output: Flags.string({
      char: 'o',
      default: 'stdout',
      description: 'stdout; file, which is /etc/postern.yaml; or an absolute path or file:// URL',
      helpValue: 'WHERE',
    }),
    proxy: Flags.string({description: 'proxy to join through (default: 0.0.0.0:3080)', helpValue: 'HOST:PORT'}),
    token: Flags.string({
      description: 'join token, or the file that holds it (default: /tmp/token)',
      helpValue: 'TOKEN',
    }),
    'ca-pin': Flags.string({...list, description: 'pin of the host CA', helpValue: 'sha256:HEX'}),
    name: Flags.string({description: 'name of the database', helpValue: 'NAME'}),
    protocol: Flags.string({description: 'protocol of the database: postgres', helpValue: 'PROTOCOL'}),
    uri: Flags.string({description: 'address of the database', helpValue: 'HOST:PORT'}),
    labels: Flags.string({
      ...repeated,
      description: 'labels of the database; KEY=[PERIOD:COMMAND] is written down, and agents do not use it yet',
      helpValue: 'KEY=VALUE,',
    }),
    'ca-cert-file': Flags.string({
      description: "CA that has signed the database's certificate, PEM",
      helpValue: 'FILE',
    }),
    'aws-region': Flags.string({description: 'AWS region of the database', helpValue: 'REGION'}),
    'aws-account-id': Flags.string({description: 'AWS account of the database', helpValue: 'ID'}),
    'aws-assume-role-arn': Flags.string({description: 'AWS role to assume for the database', helpValue: 'ARN'}),
    'aws-external-id': Flags.string({description: 'external id for assuming the role', helpValue: 'ID'}),
    'aws-redshift-cluster-id': Flags.string({description: 'id of the Redshift cluster', helpValue: 'ID'}),
    'aws-rds-instance-id': Flags.string({description: 'id of the RDS instance', helpValue: 'ID'}),
    'aws-rds-cluster-id': Flags.string({description: 'id of the Aurora cluster', helpValue: 'ID'}),
    'rds-discovery': Flags.string({...region, description: 'regions to find RDS and Aurora databases in'}),
    'rdsproxy-discovery': Flags.string({...region, description: 'regions to find RDS Proxies in'}),
    'redshift-discovery': Flags.string({...region, description: 'regions to find Redshift clusters in'}),
    'redshift-serverless-discovery': Flags.string({
      ...region,
      description: 'regions to find Redshift Serverless workgroups in',
    }),
    'aws-tags': Flags.string({
      description: 'tags that discovered databases must have (default: any)',
      helpValue: 'KEY=VALUE,',
    }),
    'dynamic-resources-labels': Flags.string({
      ...repeated,
      description: 'serve db resources with these labels; each occurrence is a selector of its own',
      helpValue: 'KEY=VALUE,',
    }),
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(DbConfigureCreate)
    const {renderAgentConfig} = await import('../../../lib/config/agent-file.js')
    const {parseOutput, writeNewFile} = await import('../../../lib/config/output.js')
    // Before the work: a mistake in --output is the cheaper one to find.
    parseOutput(flags.output, configFiles()[0])
    const {yaml, derivedName} = renderAgentConfig({
      proxy: flags.proxy,
      token: flags.token,
      caPins: flags['ca-pin'],
      name: flags.name,
      protocol: flags.protocol,
      uri: flags.uri,
      labels: flags.labels?.join(','),
      caCertFile: flags['ca-cert-file'],
      awsRegion: flags['aws-region'],
      awsAccountId: flags['aws-account-id'],
      awsAssumeRoleArn: flags['aws-assume-role-arn'],
      awsExternalId: flags['aws-external-id'],
      awsRedshiftClusterId: flags['aws-redshift-cluster-id'],
      awsRdsInstanceId: flags['aws-rds-instance-id'],
      awsRdsClusterId: flags['aws-rds-cluster-id'],
      discovery: {
        rds: flags['rds-discovery'],
        rdsproxy: flags['rdsproxy-discovery'],
        redshift: flags['redshift-discovery'],
        'redshift-serverless': flags['redshift-serverless-discovery'],
      },
      awsTags: flags['aws-tags'],
      dynamicResourcesLabels: flags['dynamic-resources-labels'],
    })
    if (derivedName !== undefined) {
      this.say(`The database is named "${derivedName}", after its address; --name gives it another name.`)
    }
    const path = await writeNewFile(flags.output, yaml, configFiles()[0])
    if (path === undefined) this.print(yaml.trimEnd())
    else this.print(nameCommands(`Wrote "${path}". Start the agent with \`postern start -c ${path}\`.`))
  }
}
