/** Redshift (API Reference 2012-12-01): describing clusters, and giving out passwords for their databases. */
import type {ApiService} from './api-call.js'
import {requirePermission} from './authorization.js'
import type {Context} from './conditions.js'
import type {RedshiftCluster} from './databases.js'
import {Fault, validationError} from './fault.js'
import type {Principal} from './principal.js'
import {issueCredential} from './redshift-credentials.js'
import {writeTagList} from './rds-answers.js'
import {paginate} from './page.js'
import type {QueryFields} from './query-fields.js'
import {queryService, type QueryCall} from './query-service.js'
import {xmlTime, type XmlValue} from './xml.js'

const defaultPageSize = 100
const credentialSeconds = {default: 900, least: 900, most: 3600} as const
/** Passwords for a role are signed tokens, and long. */
const passwordBytes = {user: 96, identity: 900} as const
const dbUserForm = /^[a-zA-Z][\w.@+-]{0,127}$/

export const redshift: ApiService = queryService({
  namespace: 'http://redshift.amazonaws.com/doc/2012-12-01/',
  operations: {
    DescribeClusters: describeClusters,
    GetClusterCredentials: getClusterCredentials,
    GetClusterCredentialsWithIAM: getClusterCredentialsWithIam,
  },
})

/** @throws Fault AccessDenied */
function allow(
  {world, principal, account, region}: QueryCall,
  action: string,
  resource: string,
  context: Context = new Map(),
): void {
  const arn = `arn:aws:redshift:${region}:${account.id}:${resource}`
  requirePermission(world, principal, {action: `redshift:${action}`, resource: arn, context})
}

const notFound = (id: string): Fault => new Fault('ClusterNotFound', 404, `Cluster ${id} not found.`)

function describeClusters(call: QueryCall): XmlValue {
  const {fields, account, region} = call
  const id = fields.text('ClusterIdentifier')?.toLowerCase()
  allow(call, 'DescribeClusters', `cluster:${id ?? '*'}`)
  const tagKeys = fields.list('TagKeys.TagKey')
  const found = account.redshiftClusters.filter(
    (cluster) =>
      cluster.region === region &&
      (id === undefined || cluster.id === id) &&
      (tagKeys.length === 0 || tagKeys.some((key) => cluster.tags.has(key))),
  )
  if (id !== undefined && found.length === 0) throw notFound(id)
  const {items, marker} = paginate(found, fields.text('Marker'), fields.integer('MaxRecords') ?? defaultPageSize)
  return {Clusters: {Cluster: items.map(describe)}, Marker: marker}
}

const describe = (cluster: RedshiftCluster): XmlValue => ({
  ClusterIdentifier: cluster.id,
  ClusterStatus: 'available',
  ClusterAvailabilityStatus: 'Available',
  NodeType: 'ra3.large',
  NumberOfNodes: 1,
  MasterUsername: 'awsuser',
  DBName: 'dev',
  Endpoint: {Address: cluster.host, Port: cluster.port},
  VpcId: 'vpc-0a1b2c3d4e5f60718',
  Encrypted: true,
  ClusterNamespaceArn: cluster.arn,
  Tags: writeTagList(cluster.tags),
})

/** A password for a database user (developer guide, "Using IAM authentication to generate database user credentials"). */
function getClusterCredentials(call: QueryCall): XmlValue {
  const {world, fields} = call
  const user = fields.required('DbUser')
  if (!dbUserForm.test(user)) throw new Fault('InvalidParameterValue', 400, `Invalid database user name ${user}`)
  const clusterId = fields.required('ClusterIdentifier').toLowerCase()
  const database = fields.text('DbName')
  const groups = fields.list('DbGroups.DbGroup')
  const autoCreate = fields.flag('AutoCreate') === true
  const seconds = readDuration(fields)
  const context: Context = new Map([
    ['redshift:dbuser', [user]],
    ['redshift:durationseconds', [String(seconds)]],
    ...(database === undefined ? [] : ([['redshift:dbname', [database]]] as const)),
  ])
  allow(call, 'GetClusterCredentials', `dbuser:${clusterId}/${user}`, context)
  if (database !== undefined) allow(call, 'GetClusterCredentials', `dbname:${clusterId}/${database}`, context)
  if (autoCreate) allow(call, 'CreateClusterUser', `dbuser:${clusterId}/${user}`, context)
  for (const group of groups) allow(call, 'JoinGroup', `dbgroup:${clusterId}/${group}`, context)
  const cluster = findCluster(call, clusterId)
  const dbUser = `${autoCreate ? 'IAMA' : 'IAM'}:${user}`
  const grant = {server: cluster.arn, dbUser, database, autoCreate}
  const {password, expires} = issueCredential(world, grant, passwordBytes.user, seconds * 1000)
  return {DbUser: dbUser, DbPassword: password.reveal(), Expiration: xmlTime(expires)}
}

/** A password for the database user that stands for the caller itself. */
function getClusterCredentialsWithIam(call: QueryCall): XmlValue {
  const {world, principal, fields} = call
  const clusterId = fields.required('ClusterIdentifier').toLowerCase()
  const database = fields.text('DbName')
  const seconds = readDuration(fields)
  allow(call, 'GetClusterCredentialsWithIAM', `dbname:${clusterId}/${database ?? '*'}`)
  const cluster = findCluster(call, clusterId)
  const grant = {server: cluster.arn, dbUser: dbUserOf(principal), database, autoCreate: true}
  const {dbUser, password, expires} = issueCredential(world, grant, passwordBytes.identity, seconds * 1000)
  const times = {Expiration: xmlTime(expires), NextRefreshTime: xmlTime(expires)}
  return {DbUser: dbUser, DbPassword: password.reveal(), ...times}
}

/** `IAMR:` and the role's name, `IAM:` and the user's. */
export const dbUserOf = ({kind, identity}: Principal): string =>
  `${kind === 'session' ? 'IAMR' : 'IAM'}:${identity.name}`

function findCluster({account, region}: QueryCall, id: string): RedshiftCluster {
  const cluster = account.redshiftClusters.find((one) => one.id === id && one.region === region)
  if (!cluster) throw notFound(id)
  return cluster
}

function readDuration(fields: QueryFields): number {
  const seconds = fields.integer('DurationSeconds') ?? credentialSeconds.default
  if (seconds >= credentialSeconds.least && seconds <= credentialSeconds.most) return seconds
  throw validationError(`DurationSeconds must be between ${credentialSeconds.least} and ${credentialSeconds.most}`)
}
