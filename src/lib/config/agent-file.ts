import {hostname} from 'node:os'
import {formatDuration} from '../core/duration.js'
import {PosternError} from '../core/errors.js'
import {suggestDatabaseName} from '../resources/endpoint.js'
import {parseConfig} from './file.js'
import {parseLabelSpec, type LabelSpec} from './label-spec.js'
import {defaultDataDir, type AwsMatcher, type DynamicLabel} from './settings.js'

/** What `postern db configure create` was told. An empty text is the same as none. */
export interface AgentFileOptions {
  /** Default: this host's name. */
  readonly nodename?: string | undefined
  readonly proxy?: string | undefined
  /** A token, or the path of its file, which is not read. */
  readonly token?: string | undefined
  readonly caPins?: readonly string[] | undefined
  readonly name?: string | undefined
  readonly protocol?: string | undefined
  readonly uri?: string | undefined
  /** Comma list; `key=[1m:command]` makes a dynamic label. */
  readonly labels?: string | undefined
  readonly caCertFile?: string | undefined
  readonly awsRegion?: string | undefined
  readonly awsAccountId?: string | undefined
  readonly awsAssumeRoleArn?: string | undefined
  readonly awsExternalId?: string | undefined
  readonly awsRedshiftClusterId?: string | undefined
  readonly awsRdsInstanceId?: string | undefined
  readonly awsRdsClusterId?: string | undefined
  /** Regions to look for databases in, for each type. */
  readonly discovery?: Readonly<Partial<Record<AwsMatcher['types'][number], readonly string[] | undefined>>> | undefined
  /** Comma list for all that are discovered; default: any tag. */
  readonly awsTags?: string | undefined
  /** One comma list for each selector of dynamic databases. */
  readonly dynamicResourcesLabels?: readonly string[] | undefined
}

export interface AgentFile {
  readonly yaml: string
  /** The database name, when it was made from the uri because none was given. */
  readonly derivedName?: string
}

/** Where agents look for the proxy and for their token when nothing else is said. */
export const defaultAgentProxy = '0.0.0.0:3080'
export const defaultAgentToken = '/tmp/token'

/**
 * The configuration of an agent, checked as `postern start` checks it. AWS is not asked; a CA file is read.
 * @throws PosternError INVALID when it would not start.
 */
export function renderAgentConfig(options: AgentFileOptions): AgentFile {
  const labels = parseLabelSpec(options.labels ?? '')
  const derivedName = !options.name && options.uri ? suggestDatabaseName(options.uri) : undefined
  const database = renderDatabase({...options, name: options.name ?? derivedName}, labels)
  const yaml = [
    '# A Postern agent: `postern start` with this file. Made by `postern db configure create`.',
    'version: v3',
    'postern:',
    ...indent(renderInstance(options)),
    'db_service:',
    '  enabled: true',
    ...indent(orSample(renderResources(options), resourcesSample)),
    ...indent(orSample(renderDiscovery(options), discoverySample)),
    ...indent(orSample(database, databaseSample)),
    ...['auth_service', 'ssh_service', 'proxy_service'].flatMap((service) => [`${service}:`, '  enabled: "no"']),
    '',
  ].join('\n')
  parseConfig(yaml, {name: 'The configuration made of these flags,'})
  return {yaml, ...(derivedName !== undefined && {derivedName})}
}

const resourcesSample = [
  '# Serves databases created as `db` resources whose labels match:',
  'resources:',
  '- labels:',
  '    "env": "dev"',
]
const discoverySample = [
  '# Finds databases in AWS:',
  'aws:',
  '- types: ["rds", "rdsproxy", "redshift", "redshift-serverless"]',
  '  regions:',
  '  - "us-west-1"',
  '  tags:',
  '    "*": "*"',
]
const databaseSample = [
  '# Serves these databases:',
  'databases:',
  '- name: "example"',
  '  protocol: "postgres"',
  '  uri: "localhost:5432"',
]

const orSample = (lines: readonly string[], sample: readonly string[]): readonly string[] =>
  lines.length > 0 ? lines : sample.map((line) => `# ${line.replace(/^# /, '')}`)

/** JSON strings are double-quoted YAML scalars (YAML 1.2 §7.3.1): quotes, backslashes and line ends cannot break out. */
const quote = (text: string): string => JSON.stringify(text)

const indent = (lines: readonly string[]): string[] => lines.map((line) => `  ${line}`)
const scalar = (key: string, value: string | undefined): string[] => (value ? [`${key}: ${quote(value)}`] : [])
const block = (key: string, lines: readonly string[]): string[] =>
  lines.length > 0 ? [`${key}:`, ...indent(lines)] : []
/** A list stands at the indentation of its key. */
const list = (key: string, items: readonly string[]): string[] =>
  items.length > 0 ? [`${key}:`, ...items.map((item) => `- ${quote(item)}`)] : []
const item = (lines: readonly string[]): string[] => lines.map((line, index) => `${index === 0 ? '-' : ' '} ${line}`)
const map = (key: string, entries: Readonly<Record<string, string>>): string[] =>
  block(
    key,
    Object.entries(entries)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => `${quote(name)}: ${quote(value)}`),
  )

function renderInstance({nodename, proxy, token, caPins}: AgentFileOptions): string[] {
  return [
    ...scalar('nodename', nodename ?? hostname()),
    ...scalar('data_dir', defaultDataDir),
    ...scalar('proxy_server', proxy ?? defaultAgentProxy),
    ...scalar('auth_token', token ?? defaultAgentToken),
    ...list('ca_pin', caPins ?? []),
  ]
}

function renderResources({dynamicResourcesLabels, awsAssumeRoleArn, awsExternalId}: AgentFileOptions): string[] {
  const role = awsAssumeRoleArn
    ? [...scalar('assume_role_arn', awsAssumeRoleArn), ...scalar('external_id', awsExternalId)]
    : []
  const selectors = (dynamicResourcesLabels ?? []).map((text) => [
    ...map('labels', plainLabels(text, '--dynamic-resources-labels')),
    ...block('aws', role),
  ])
  return selectors.length > 0 ? ['resources:', ...selectors.flatMap(item)] : []
}

function renderDiscovery({discovery, awsTags}: AgentFileOptions): string[] {
  const tags = awsTags ? plainLabels(awsTags, '--aws-tags') : {'*': '*'}
  const types = ['rds', 'rdsproxy', 'redshift', 'redshift-serverless'] as const
  const matchers = types
    .map((type) => ({type, regions: discovery?.[type] ?? []}))
    .filter(({regions}) => regions.length > 0)
    .map(({type, regions}) => [`types: [${quote(type)}]`, ...list('regions', regions), ...map('tags', tags)])
  return matchers.length > 0 ? ['aws:', ...matchers.flatMap(item)] : []
}

function plainLabels(text: string, flag: string): LabelSpec['staticLabels'] {
  const {staticLabels, dynamicLabels} = parseLabelSpec(text)
  if (dynamicLabels.length === 0 && Object.keys(staticLabels).length > 0) return staticLabels
  throw new PosternError('INVALID', `${flag} takes plain labels, not "${text}".`, {
    hint: 'Write key=value,other=value.',
  })
}

function renderDatabase(options: AgentFileOptions, {staticLabels, dynamicLabels}: LabelSpec): string[] {
  const role = [...scalar('assume_role_arn', options.awsAssumeRoleArn), ...scalar('external_id', options.awsExternalId)]
  // The role alone may be meant for dynamic databases; everything else describes one database.
  const aws = [
    ...scalar('region', options.awsRegion),
    ...scalar('account_id', options.awsAccountId),
    ...role,
    ...block('redshift', scalar('cluster_id', options.awsRedshiftClusterId)),
    ...block('rds', [
      ...scalar('instance_id', options.awsRdsInstanceId),
      ...scalar('cluster_id', options.awsRdsClusterId),
    ]),
  ]
  const lines = [
    ...scalar('name', options.name),
    ...scalar('protocol', options.protocol),
    ...scalar('uri', options.uri),
    ...block('tls', scalar('ca_cert_file', options.caCertFile)),
    ...block('aws', aws.length > role.length || options.name || options.protocol ? aws : []),
    ...map('static_labels', staticLabels),
    ...(dynamicLabels.length > 0 ? ['dynamic_labels:', ...dynamicLabels.flatMap(renderDynamicLabel)] : []),
  ]
  return lines.length > 0 ? ['databases:', ...item(lines)] : []
}

const renderDynamicLabel = ({name, period, command}: DynamicLabel): string[] =>
  item([...scalar('name', name), ...scalar('period', formatDuration(period)), ...list('command', command)])
