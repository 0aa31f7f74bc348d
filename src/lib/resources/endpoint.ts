import {isIP} from 'node:net'
import {PosternError} from '../core/errors.js'
import type {Database} from './database.js'

/** A host and a TCP port; IPv6 hosts are held without brackets. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** How Postern signs in to a database is decided by its type. */
export type DatabaseType = 'self-hosted' | 'rds' | 'rdsproxy' | 'redshift' | 'redshift-serverless'

/** What the name of an AWS endpoint says about the database behind it. */
export interface Endpoint {
  readonly type: DatabaseType
  readonly region?: string
  readonly accountId?: string
  /** An RDS instance, also when it is a member of an Aurora cluster: the name does not tell. */
  readonly instanceId?: string
  /** An Aurora or a Redshift cluster; unknown for a custom Aurora endpoint. */
  readonly clusterId?: string
  readonly endpointType?: 'instance' | 'primary' | 'reader' | 'custom'
  readonly proxyName?: string
  /** The name of a custom endpoint, of an Aurora cluster or of an RDS Proxy. */
  readonly customEndpointName?: string
  readonly workgroupName?: string
  /** The VPC endpoint of a Redshift Serverless workgroup. */
  readonly endpointName?: string
}

const selfHosted: Endpoint = {type: 'self-hosted'}
const regionForm = /^[a-z]{2,}(-[a-z]+)+-\d+$/
const accountForm = /^\d{12}$/

/** Whether the text has the form of an AWS region; unknown regions of that form pass. */
export const isAwsRegion = (text: string): boolean => regionForm.test(text)

/** Whether the text has the form of an AWS account id: twelve digits. */
export const isAwsAccountId = (text: string): boolean => accountForm.test(text)

/** Whether the host belongs to AWS, of the standard or of the China partition. */
export const isAwsHost = (host: string): boolean => /\.amazonaws\.com(\.cn)?$/i.test(host)

/**
 * The address in `host:port`, `[ipv6]:port` or, with a default port, `host`; an empty host is `0.0.0.0`.
 * @throws PosternError INVALID when the text is something else.
 */
export function parseAddress(text: string, defaultPort?: number): Address {
  const match = /^(?:\[([^\]]*)\]|([^\s/:@[\]]*))(?::(\d{1,5}))?$/.exec(text)
  const host = match?.[1] ?? match?.[2] ?? ''
  const port = match?.[3] === undefined ? defaultPort : Number(match[3])
  const hostIsValid = match?.[1] === undefined || isIP(match[1]) === 6
  if (!match || text === '' || !hostIsValid || port === undefined || port > 65_535) {
    throw new PosternError('INVALID', `"${text}" is not an address.`, {
      hint: `Write it as host:port${defaultPort === undefined ? '' : ' or host'}, without a scheme.`,
    })
  }
  return {host: host === '' ? '0.0.0.0' : host, port}
}

/** `host:port`, with brackets around an IPv6 host. */
export function formatAddress({host, port}: Address): string {
  return `${isIP(host) === 6 ? `[${host}]` : host}:${port}`
}

/** What the host name says; anything that is not an AWS database endpoint is `self-hosted`. */
export function detectEndpoint(host: string): Endpoint {
  const labels = host.toLowerCase().split('.')
  const isChina = labels.slice(-3).join('.') === 'amazonaws.com.cn'
  if (!isChina && labels.slice(-2).join('.') !== 'amazonaws.com') return selfHosted
  const name = labels.slice(0, isChina ? -3 : -2)
  // In China the region and the service change places.
  const [service = '', region = ''] = isChina ? name.slice(-2) : name.slice(-2).reverse()
  const rest = name.slice(0, -2)
  if (!isAwsRegion(region) || rest.includes('')) return selfHosted
  if (service === 'rds') return detectRds(rest, region)
  if (service === 'redshift') return detectRedshift(rest, region)
  return service === 'redshift-serverless' && !isChina ? detectServerless(rest, region) : selfHosted
}

/** `I.<id>`, `C.cluster-<id>`, `C.cluster-ro-<id>`, `N.cluster-custom-<id>`, `P.proxy-<id>`, `N.endpoint.proxy-<id>`. */
function detectRds([name, second, third, ...more]: readonly string[], region: string): Endpoint {
  if (name === undefined || second === undefined || more.length > 0) return selfHosted
  if (third !== undefined) {
    const isProxy = second === 'endpoint' && third.startsWith('proxy-')
    return isProxy ? {type: 'rdsproxy', region, customEndpointName: name} : selfHosted
  }
  if (second.startsWith('cluster-custom-')) {
    return {type: 'rds', region, endpointType: 'custom', customEndpointName: name}
  }
  if (second.startsWith('cluster-ro-')) return {type: 'rds', region, endpointType: 'reader', clusterId: name}
  if (second.startsWith('cluster-')) return {type: 'rds', region, endpointType: 'primary', clusterId: name}
  if (second.startsWith('proxy-')) return {type: 'rdsproxy', region, proxyName: name}
  return {type: 'rds', region, endpointType: 'instance', instanceId: name}
}

/** `C.<id>` */
function detectRedshift([clusterId, id, ...more]: readonly string[], region: string): Endpoint {
  if (clusterId === undefined || id === undefined || more.length > 0) return selfHosted
  return {type: 'redshift', region, clusterId}
}

/** `W.<account>` or `E-endpoint-<hash>.<account>` */
function detectServerless([name, accountId, ...more]: readonly string[], region: string): Endpoint {
  if (name === undefined || accountId === undefined || !isAwsAccountId(accountId) || more.length > 0) return selfHosted
  const endpointName = /^(.+)-endpoint-[a-z0-9]+$/.exec(name)?.[1]
  const target = endpointName === undefined ? {workgroupName: name} : {endpointName}
  return {type: 'redshift-serverless', region, accountId, ...target}
}

type AwsSettings = NonNullable<Database['spec']['aws']>

/**
 * The type of a database and its AWS settings, those that are not set filled from the endpoint's name.
 * What is set wins: a region or an RDS id makes any host an RDS database.
 * @throws PosternError INVALID when the uri is not `host:port`.
 */
export function classifyDatabase(spec: {readonly uri: string; readonly aws?: AwsSettings | undefined}): {
  type: DatabaseType
  aws: AwsSettings
} {
  const aws = fillFrom(detectEndpoint(parseAddress(spec.uri).host), spec.aws ?? {})
  const isServerless = aws.redshift_serverless?.workgroup_name ?? aws.redshift_serverless?.endpoint_name
  const isProxy = aws.rdsproxy?.name ?? aws.rdsproxy?.custom_endpoint_name
  const isRds = aws.region ?? aws.rds?.instance_id ?? aws.rds?.cluster_id ?? aws.rds?.resource_id
  if (aws.redshift?.cluster_id) return {type: 'redshift', aws}
  if (isServerless) return {type: 'redshift-serverless', aws}
  if (isProxy) return {type: 'rdsproxy', aws}
  return {type: isRds ? 'rds' : 'self-hosted', aws}
}

function fillFrom(endpoint: Endpoint, set: AwsSettings): AwsSettings {
  const clusterOf = (type: DatabaseType): string | undefined =>
    endpoint.type === type ? endpoint.clusterId : undefined
  const proxyEndpoint = endpoint.type === 'rdsproxy' ? endpoint.customEndpointName : undefined
  const filled: AwsSettings = {
    region: endpoint.region,
    account_id: endpoint.accountId,
    ...compact(set),
    rds: compact({instance_id: endpoint.instanceId, cluster_id: clusterOf('rds'), ...compact(set.rds)}),
    rdsproxy: compact({name: endpoint.proxyName, custom_endpoint_name: proxyEndpoint, ...compact(set.rdsproxy)}),
    redshift: compact({cluster_id: clusterOf('redshift'), ...compact(set.redshift)}),
    redshift_serverless: compact({
      workgroup_name: endpoint.workgroupName,
      endpoint_name: endpoint.endpointName,
      ...compact(set.redshift_serverless),
    }),
  }
  return compact(filled) ?? {}
}

/** The same without entries that are undefined; undefined when none is left. */
function compact<T extends object>(value: T | undefined): T | undefined {
  const entries = Object.entries(value ?? {}).filter(([, entry]) => entry !== undefined)
  return entries.length === 0 ? undefined : (Object.fromEntries(entries) as T)
}

/** The database that a client lands in when it names none: `dev` on Redshift, elsewhere there is no such default. */
export function defaultDatabaseName(type: DatabaseType): string | undefined {
  return type === 'redshift' || type === 'redshift-serverless' ? 'dev' : undefined
}

const maximumNameLength = 63
const nameForm = /^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$/

/**
 * Checks the name of a database resource; it becomes one label of a server name (RFC 1035 §2.3.1).
 * @throws PosternError INVALID when it cannot be one.
 */
export function checkDatabaseName(name: string): void {
  const hint = 'A name has at most 63 letters, digits and hyphens, starts with a letter and does not end with a hyphen.'
  if (name === '') throw new PosternError('INVALID', 'The database has no name.', {hint})
  if (name.length > maximumNameLength) {
    throw new PosternError('INVALID', `The database name "${name}" is longer than ${maximumNameLength} characters.`, {
      hint,
    })
  }
  if (!nameForm.test(name)) throw new PosternError('INVALID', `"${name}" is not a valid database name.`, {hint})
}

/** A valid database name made from the first label of `host` or `host:port`. */
export function suggestDatabaseName(endpoint: string): string {
  const host = endpoint.startsWith('[') ? endpoint.slice(1).replace(/\].*$/, '') : endpoint.replace(/:[^:]*$/, '')
  const label = isIP(host) ? host : (host.split('.')[0] ?? '')
  const letters = label.replace(/[^a-zA-Z0-9]+/g, '-').replace(/^-+/, '')
  const name = /^[a-zA-Z]/.test(letters) ? letters : `db-${letters}`
  return name.slice(0, maximumNameLength).replace(/-+$/, '')
}
