import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {hostname, tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {renderAgentConfig, type AgentFileOptions} from '../../../src/lib/config/agent-file.js'
import {parseConfig} from '../../../src/lib/config/file.js'
import {createAuthority} from '../../../src/lib/pki/issuing.js'

const host = {nodename: 'ip-10-0-0-5', proxy: 'postern.example.com:443', token: '/tmp/token'}
const auroraUri = 'postgres-aurora-instance-1.abcdefghijklm.us-west-1.rds.amazonaws.com:5432'

/** The file without its comments. */
function bare(options: AgentFileOptions): string {
  return renderAgentConfig(options).yaml.replace(/^ *#.*\n/gm, '')
}

const head = `version: v3
postern:
  nodename: "ip-10-0-0-5"
  data_dir: "/var/lib/postern"
  proxy_server: "postern.example.com:443"
  auth_token: "/tmp/token"
db_service:
  enabled: true
`
const tail = `auth_service:
  enabled: "no"
ssh_service:
  enabled: "no"
proxy_service:
  enabled: "no"
`

let directory = ''
let authorities = ''

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'agent-file-'))
  authorities = join(directory, 'ca.pem')
  await writeFile(authorities, (await createAuthority({cluster: 'test', type: 'db', now: Date.now()})).certificate)
})

afterAll(async () => {
  await rm(directory, {recursive: true, force: true})
})

describe('the file that `db configure create` makes', () => {
  it('is the one of the Aurora guide', () => {
    const yaml = bare({...host, name: 'aurora', protocol: 'postgres', uri: auroraUri, awsRegion: 'us-west-1'})
    expect(yaml).toBe(`${head}  databases:
  - name: "aurora"
    protocol: "postgres"
    uri: "${auroraUri}"
    aws:
      region: "us-west-1"
${tail}`)
  })

  it('is the one of the Redshift guide', () => {
    const uri = 'redshift-cluster-1.abcdefghijklm.us-west-1.redshift.amazonaws.com:5439'
    const options = {...host, name: 'redshift-postgres', protocol: 'postgres', uri}
    const database = `${head}  databases:
  - name: "redshift-postgres"
    protocol: "postgres"
    uri: "${uri}"
`
    expect(bare(options)).toBe(`${database}${tail}`)
    expect(bare({...options, awsRedshiftClusterId: 'c1'})).toBe(`${database}    aws:
      redshift:
        cluster_id: "c1"
${tail}`)
  })

  it('is the one of the RDS Proxy guide, whose name comes from the endpoint', () => {
    const uri = 'rds-proxy.proxy-abcdefghijklm.us-west-1.rds.amazonaws.com:5432'
    const options = {...host, protocol: 'postgres', uri, labels: 'env=dev'}
    const expected = `${head}  databases:
  - name: "rds-proxy"
    protocol: "postgres"
    uri: "${uri}"
    static_labels:
      "env": "dev"
${tail}`
    expect(bare(options)).toBe(expected)
    expect(renderAgentConfig(options).derivedName).toBe('rds-proxy')
    expect(bare({...options, name: 'rds-proxy'})).toBe(expected)
    expect(renderAgentConfig({...options, name: 'rds-proxy'})).not.toHaveProperty('derivedName')
  })

  it('holds everything that the flags can say', () => {
    const role = 'arn:aws:iam::123456789012:role/r'
    const yaml = bare({
      ...host,
      name: 'db1',
      protocol: 'postgres',
      uri: 'db.internal:5432',
      labels: 'env=prod,host=[1m:hostname]',
      caCertFile: authorities,
      awsRegion: 'us-west-1',
      awsAccountId: '123456789012',
      awsAssumeRoleArn: role,
      awsExternalId: 'ext',
      awsRedshiftClusterId: 'c1',
      awsRdsInstanceId: 'i1',
      awsRdsClusterId: 'cl1',
      discovery: {rdsproxy: ['us-west-1'], rds: ['us-west-1', 'us-west-2']},
      dynamicResourcesLabels: ['env=dev'],
    })
    expect(yaml).toBe(`${head}  resources:
  - labels:
      "env": "dev"
    aws:
      assume_role_arn: "${role}"
      external_id: "ext"
  aws:
  - types: ["rds"]
    regions:
    - "us-west-1"
    - "us-west-2"
    tags:
      "*": "*"
  - types: ["rdsproxy"]
    regions:
    - "us-west-1"
    tags:
      "*": "*"
  databases:
  - name: "db1"
    protocol: "postgres"
    uri: "db.internal:5432"
    tls:
      ca_cert_file: "${authorities}"
    aws:
      region: "us-west-1"
      account_id: "123456789012"
      assume_role_arn: "${role}"
      external_id: "ext"
      redshift:
        cluster_id: "c1"
      rds:
        instance_id: "i1"
        cluster_id: "cl1"
    static_labels:
      "env": "prod"
    dynamic_labels:
    - name: "host"
      period: "1m0s"
      command:
      - "hostname"
${tail}`)
  })

  it('shows in comments what could be there', () => {
    expect(renderAgentConfig(host).yaml)
      .toBe(`# A Postern agent: \`postern start\` with this file. Made by \`postern db configure create\`.
${head}  # Serves databases created as \`db\` resources whose labels match:
  # resources:
  # - labels:
  #     "env": "dev"
  # Finds databases in AWS:
  # aws:
  # - types: ["rds", "rdsproxy", "redshift", "redshift-serverless"]
  #   regions:
  #   - "us-west-1"
  #   tags:
  #     "*": "*"
  # Serves these databases:
  # databases:
  # - name: "example"
  #   protocol: "postgres"
  #   uri: "localhost:5432"
${tail}`)
  })

  it('has samples that are valid when their marks are taken away', () => {
    const yaml = renderAgentConfig(host).yaml.replace(
      /^ {2}# (?=[a-z -]*(types|labels|regions|"|- "|name|protocol|uri|tags|resources:|aws:|databases:))/gm,
      '  ',
    )
    const config = parseConfig(yaml, {name: 'sample'})
    expect(config.dbService).toMatchObject({resources: [{labels: {env: ['dev']}}], databases: [{type: 'self-hosted'}]})
    expect(config.dbService.aws[0]?.types).toHaveLength(4)
  })

  it('has its defaults, and pins, in order', () => {
    const yaml = renderAgentConfig({caPins: [`sha256:${'a'.repeat(64)}`, `sha256:${'b'.repeat(64)}`]}).yaml
    expect(yaml).toContain(`postern:
  nodename: ${JSON.stringify(hostname())}
  data_dir: "/var/lib/postern"
  proxy_server: "0.0.0.0:3080"
  auth_token: "/tmp/token"
  ca_pin:
  - "sha256:${'a'.repeat(64)}"
  - "sha256:${'b'.repeat(64)}"
`)
  })

  it('has one selector for each --dynamic-resources-labels and the same tags on each matcher', () => {
    const yaml = bare({
      ...host,
      dynamicResourcesLabels: ['env=dev,team="a, b"', '*=*'],
      awsTags: 'zone=z,env=prod',
      discovery: {'redshift-serverless': ['us-west-2'], redshift: ['us-west-1']},
    })
    expect(yaml).toBe(`${head}  resources:
  - labels:
      "env": "dev"
      "team": "a, b"
  - labels:
      "*": "*"
  aws:
  - types: ["redshift"]
    regions:
    - "us-west-1"
    tags:
      "env": "prod"
      "zone": "z"
  - types: ["redshift-serverless"]
    regions:
    - "us-west-2"
    tags:
      "env": "prod"
      "zone": "z"
${tail}`)
  })

  it('means what was said, whatever characters were in it', () => {
    const nasty = 'a"b\\c: # {x}\n- *y & !z \u2028\u0085\u007f\'%'
    const {yaml} = renderAgentConfig({
      nodename: nasty,
      token: nasty,
      name: 'a',
      protocol: 'postgres',
      uri: 'h:1',
      labels: `k=${nasty.replaceAll('"', '')}`.replaceAll(',', ''),
    })
    const config = parseConfig(yaml, {name: 'nasty'})
    expect(config.nodename).toBe(nasty)
    expect(config.joinToken && 'token' in config.joinToken && config.joinToken.token.reveal()).toBe(nasty)
    expect(config.dbService.databases[0]?.resource.metadata.labels?.k).toBe(nasty.replaceAll('"', ''))
  })
})

describe('flags that make no agent', () => {
  const database = {...host, name: 'a', protocol: 'postgres', uri: 'h:1'}

  it.each([
    ['an unknown protocol', {...database, protocol: 'mysql'}, /Database "a" has the protocol "mysql"/],
    ['no protocol', {...host, uri: 'h:1'}, /Database "h" has no protocol/],
    ['a uri without a port', {...database, uri: 'h'}, /Database "a" has the uri "h", which is not host:port/],
    ['no uri', {...database, uri: ''}, /Database "a" has no uri/],
    ['labels of nothing', {...host, labels: 'env=dev'}, /A database has no name/],
    ['a CA file of nothing', {...host, caCertFile: '/etc/ca.pem'}, /A database has no name/],
    ['a region of nothing', {...host, awsRegion: 'us-west-1'}, /A database has no name/],
    ['an invalid name', {...database, name: 'a.b'}, /Database "a\.b" has a name that is not valid/],
    ['a malformed role', {...database, awsAssumeRoleArn: 'role/r'}, /assume_role_arn must be the ARN of an IAM role/],
    ['an external id without a role', {...database, awsExternalId: 'ext'}, /Database "a" has an external_id without/],
    ['a missing CA file', {...database, caCertFile: '/nowhere/ca.pem'}, /names the CA file \/nowhere\/ca\.pem/],
    ['a proxy with a scheme', {...database, proxy: 'https://p'}, /postern\.proxy_server must be an address/],
    ['a pin that is none', {...database, caPins: ['abc']}, /postern\.ca_pin\[0\] must be sha256/],
    ['a region that is none', {...host, discovery: {rds: ['mars']}}, /regions\[0\] must be an AWS region/],
    ['tags with a command', {...host, awsTags: 'a=[1m:date]'}, /--aws-tags takes plain labels/],
    [
      'selectors that are empty',
      {...host, dynamicResourcesLabels: ['']},
      /--dynamic-resources-labels takes plain labels/,
    ],
    ['labels that are none', {...database, labels: 'env'}, /"env" is not a label/],
  ])('%s', (_, options, message) => {
    expect(() => renderAgentConfig(options)).toThrow(
      expect.objectContaining({code: 'INVALID', message: expect.stringMatching(message)}),
    )
  })

  it('is refused by line of the file that it would be', () => {
    expect(() => renderAgentConfig({...database, uri: 'h'})).toThrow(
      /^The configuration made of these flags, line 24: Database "a" has the uri "h", which is not host:port\.$/,
    )
  })
})
