import {X509Certificate} from 'node:crypto'
import {readFileSync} from 'node:fs'
import {PosternError} from '../core/errors.js'
import {databaseSchema, type Database} from '../resources/database.js'
import {
  checkDatabaseName,
  classifyDatabase,
  detectEndpoint,
  isAwsHost,
  parseAddress,
  type DatabaseType,
} from '../resources/endpoint.js'
import {describeIssues} from '../resources/resource.js'
import type {Path, Problem} from './document.js'
import {accountOfRole} from './scalars.js'
import type {DatabaseSection} from './schema.js'
import type {StaticDatabase} from './settings.js'

/** A database of the file, or what is wrong with it. */
export interface CheckedDatabase {
  readonly database?: StaticDatabase
  readonly problems: readonly Problem[]
  readonly warnings: readonly Problem[]
}

const tlsModes = ['verify-full', 'verify-ca', 'insecure'] as const
type TlsMode = (typeof tlsModes)[number]

/** The types whose databases may have an admin user that creates others. */
const typesWithAdminUser: readonly DatabaseType[] = ['self-hosted', 'rds', 'redshift']

const minimumLabelPeriod = 1000

/** Turns one entry of `db_service.databases` into the resource an agent serves. Reads its CA file; asks nobody else. */
export function checkDatabase(section: DatabaseSection, path: Path): CheckedDatabase {
  const problems: Problem[] = []
  const warnings: Problem[] = []
  const label = section.name === undefined ? 'A database' : `Database "${section.name}"`
  const found: Found = (key, message, hint) => {
    problems.push({path: [...path, ...key], message: `${label} ${message}`, hint})
  }

  checkName(section.name ?? '', found)
  if (section.protocol !== 'postgres') {
    const what = section.protocol === undefined ? 'no protocol' : `the protocol "${section.protocol}"`
    found(['protocol'], `has ${what}; Postern speaks postgres only`)
  }
  for (const [index, dynamic] of (section.dynamic_labels ?? []).entries()) {
    if (dynamic.period < minimumLabelPeriod) {
      found(['dynamic_labels', index, 'period'], 'has a dynamic label that runs more than once a second')
    }
  }
  const mode = tlsModes.find((known) => known === (section.tls?.mode ?? 'verify-full'))
  if (!mode) found(['tls', 'mode'], `has an unknown tls.mode; it is one of ${tlsModes.join(', ')}`)
  const certificate = readAuthorities(section, found)
  if (section.ca_cert_file !== undefined) {
    warnings.push({path: [...path, 'ca_cert_file'], message: `${label} uses ca_cert_file; write tls.ca_cert_file`})
  }
  if (section.dynamic_labels) {
    const message = `${label} has dynamic labels, which Postern does not use yet`
    warnings.push({path: [...path, 'dynamic_labels'], message})
  }
  const aws = checkAws(section, found)
  const place = checkUri(section, aws, found)
  if (!place || !mode || problems.length > 0) return {problems, warnings}

  const {type, host} = place
  checkTypeRules(section, place, found)
  if (type === 'self-hosted' && isAwsHost(host)) {
    warnings.push({path: [...path, 'uri'], message: `${label} is on AWS, but its uri is of no form known to Postern`})
  }
  const resource = makeResource(section, mode, certificate, place.aws)
  const checked = databaseSchema.safeParse(resource)
  if (!checked.success) found([], `is not valid: ${describeIssues(checked.error)}`)
  return problems.length > 0 ? {problems, warnings} : {database: describe(section, resource, type), problems, warnings}
}

type Found = (key: Path, message: string, hint?: string) => void

function checkName(name: string, found: Found): void {
  try {
    checkDatabaseName(name)
  } catch (error) {
    if (!(error instanceof PosternError)) throw error
    found(['name'], name === '' ? 'has no name' : 'has a name that is not valid', error.hints[0])
  }
}

/** The PEM text of the CA file; undefined when none is set or it is wrong. */
function readAuthorities(section: DatabaseSection, found: Found): string | undefined {
  const file = section.tls?.ca_cert_file ?? section.ca_cert_file
  if (file === undefined) return undefined
  const key = section.tls?.ca_cert_file === undefined ? ['ca_cert_file'] : ['tls', 'ca_cert_file']
  try {
    const pem = readFileSync(file, 'utf8')
    const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
    for (const block of blocks) new X509Certificate(block)
    if (blocks.length > 0) return pem
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall !== undefined) {
      found(key, `names the CA file ${file}, which cannot be read`)
      return undefined
    }
  }
  found(key, `names the CA file ${file}, which holds no certificate in PEM`)
  return undefined
}

type AwsSettings = NonNullable<Database['spec']['aws']>

function checkAws(section: DatabaseSection, found: Found): AwsSettings {
  const {account_id, assume_role_arn, redshift_serverless, ...more} = section.aws ?? {}
  const account = account_id ?? (assume_role_arn && accountOfRole(assume_role_arn))
  if (redshift_serverless?.workgroup_name && redshift_serverless.endpoint_name) {
    found(['aws', 'redshift_serverless'], 'names a workgroup and a VPC endpoint; one of them is enough')
  }
  return {...more, account_id: account, assume_role_arn, redshift_serverless}
}

interface Place {
  readonly host: string
  readonly type: DatabaseType
  readonly aws: AwsSettings
}

function checkUri({uri}: DatabaseSection, aws: AwsSettings, found: Found): Place | undefined {
  if (uri === undefined) {
    found(['uri'], 'has no uri', 'Write uri: host:port.')
    return undefined
  }
  try {
    const {host, port} = parseAddress(uri)
    if (port !== 0 && !uri.startsWith(':')) return {host, ...classifyDatabase({uri, aws})}
  } catch (error) {
    if (!(error instanceof PosternError)) throw error
  }
  found(['uri'], `has the uri "${uri}", which is not host:port`, 'Write host and port only, without a scheme.')
  return undefined
}

/** Rules that depend on what kind of database it is. */
function checkTypeRules(section: DatabaseSection, {host, type, aws}: Place, found: Found): void {
  const endpoint = detectEndpoint(host)
  if (aws.external_id && !aws.assume_role_arn && type !== 'redshift-serverless') {
    found(['aws', 'external_id'], 'has an external_id without assume_role_arn')
  }
  if (endpoint.type === 'rds' && endpoint.endpointType === 'custom' && !aws.rds?.cluster_id) {
    found(['uri'], 'is a custom Aurora endpoint and needs aws.rds.cluster_id')
  }
  if (isAwsHost(host) && host.includes('.redshift.') && endpoint.type !== 'redshift') {
    found(['uri'], 'has a Redshift host that is not <cluster>.<id>.<region>.redshift.amazonaws.com')
  }
  if (section.admin_user?.name && !typesWithAdminUser.includes(type)) {
    found(['admin_user', 'name'], `is of the type ${type}, which cannot have an admin user`)
  }
}

function makeResource(
  section: DatabaseSection,
  mode: TlsMode,
  authorities: string | undefined,
  aws: AwsSettings,
): Database {
  return {
    kind: 'db',
    version: 'v3',
    metadata: {
      name: section.name ?? '',
      ...(section.description && {description: section.description}),
      labels: {...section.static_labels, 'postern.dev/origin': 'config-file'},
    },
    spec: {
      protocol: 'postgres',
      uri: section.uri ?? '',
      tls: {
        mode,
        ...(section.tls?.server_name && {server_name: section.tls.server_name}),
        ...(authorities && {ca_cert: authorities}),
        ...(section.tls?.trust_system_cert_pool && {trust_system_cert_pool: true}),
      },
      ...(Object.keys(aws).length > 0 && {aws}),
      ...(section.admin_user?.name && {admin_user: adminOf(section.admin_user.name, section)}),
    },
  }
}

function adminOf(name: string, {admin_user}: DatabaseSection): NonNullable<Database['spec']['admin_user']> {
  const {default_database} = admin_user ?? {}
  return {name, ...(default_database && {default_database})}
}

function describe(section: DatabaseSection, resource: Database, type: DatabaseType): StaticDatabase {
  return {resource, type, dynamicLabels: section.dynamic_labels ?? []}
}
