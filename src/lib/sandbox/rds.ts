/** Relational Database Service (RDS API Reference 2014-10-31), as far as database access needs it. */
import type {ApiService} from './api-call.js'
import {requirePermission} from './authorization.js'
import type {Cluster, Instance, Proxy} from './databases.js'
import {Fault} from './fault.js'
import {
  describeCluster,
  describeInstance,
  describeProxy,
  describeProxyEndpoint,
  engineOf,
  writeTagList,
} from './rds-answers.js'
import {paginate} from './page.js'
import {queryService, type QueryCall} from './query-service.js'
import type {XmlObject, XmlValue} from './xml.js'

const defaultPageSize = 100

export const rds: ApiService = queryService({
  namespace: 'http://rds.amazonaws.com/doc/2014-10-31/',
  operations: {
    DescribeDBInstances: describeInstances,
    DescribeDBClusters: describeClusters,
    DescribeDBProxies: describeProxies,
    DescribeDBProxyEndpoints: describeProxyEndpoints,
    ListTagsForResource: listTags,
    ModifyDBInstance: modifyInstance,
    ModifyDBCluster: modifyCluster,
  },
})

/** @throws Fault AccessDenied */
function allow({world, principal, account, region}: QueryCall, action: string, resource: string): void {
  const arn = resource.startsWith('arn:') ? resource : `arn:aws:rds:${region}:${account.id}:${resource}`
  requirePermission(world, principal, {action: `rds:${action}`, resource: arn})
}

const here = <T extends {readonly region: string}>({region}: QueryCall, all: readonly T[]): T[] =>
  all.filter((one) => one.region === region)

/** RDS keeps identifiers in lower case. */
const identifier = ({fields}: QueryCall, name: string): string | undefined => fields.text(name)?.toLowerCase()

const notFound = (code: string, what: string, id: string): Fault => new Fault(code, 404, `${what} ${id} not found.`)

/** The one that is named, or all; a named one has to be there. */
function select<T>(
  all: readonly T[],
  id: string | undefined,
  idOf: (one: T) => string,
  missing: (id: string) => Fault,
): readonly T[] {
  if (id === undefined) return all
  const found = all.filter((one) => idOf(one).toLowerCase() === id)
  if (found.length === 0) throw missing(id)
  return found
}

/** Values by the name of the filter. */
function readFilters({fields}: QueryCall, known: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const filters = fields
    .structures('Filters.Filter', 'Name')
    .map((prefix) => [fields.required(`${prefix}Name`), fields.list(`${prefix}Values.Value`)] as const)
  const unknown = filters.find(([name]) => !known.includes(name))
  if (unknown) throw new Fault('InvalidParameterValue', 400, `Unrecognized filter name: ${unknown[0]}`)
  return new Map(filters)
}

function page<T>({fields}: QueryCall, all: readonly T[], write: (items: readonly T[]) => XmlObject): XmlValue {
  const {items, marker} = paginate(all, fields.text('Marker'), fields.integer('MaxRecords') ?? defaultPageSize)
  return {...write(items), Marker: marker}
}

const instanceNotFound = (id: string): Fault => notFound('DBInstanceNotFound', 'DBInstance', id)
const clusterNotFound = (id: string): Fault => notFound('DBClusterNotFoundFault', 'DBCluster', id)

function describeInstances(call: QueryCall): XmlValue {
  const id = identifier(call, 'DBInstanceIdentifier')
  allow(call, 'DescribeDBInstances', `db:${id ?? '*'}`)
  const filters = readFilters(call, ['db-cluster-id', 'db-instance-id', 'dbi-resource-id', 'engine'])
  const passes = (instance: Instance): boolean =>
    includes(filters.get('engine'), engineOf(instance)) &&
    includes(filters.get('db-instance-id'), instance.id) &&
    includes(filters.get('dbi-resource-id'), instance.resourceId) &&
    includes(filters.get('db-cluster-id'), instance.clusterId ?? '')
  const found = select(here(call, call.account.instances), id, (one) => one.id, instanceNotFound).filter(passes)
  return page(call, found, (items) => ({
    DBInstances: {DBInstance: items.map((one) => describeInstance(call.account, one))},
  }))
}

const includes = (values: readonly string[] | undefined, value: string): boolean =>
  values === undefined || values.includes(value)

function describeClusters(call: QueryCall): XmlValue {
  const id = identifier(call, 'DBClusterIdentifier')
  allow(call, 'DescribeDBClusters', `cluster:${id ?? '*'}`)
  const filters = readFilters(call, ['db-cluster-id', 'db-cluster-resource-id', 'engine'])
  const passes = (cluster: Cluster): boolean =>
    includes(filters.get('engine'), 'aurora-postgresql') &&
    includes(filters.get('db-cluster-id'), cluster.id) &&
    includes(filters.get('db-cluster-resource-id'), cluster.resourceId)
  const found = select(here(call, call.account.clusters), id, (one) => one.id, clusterNotFound).filter(passes)
  return page(call, found, (items) => ({DBClusters: {DBCluster: items.map(describeCluster)}}))
}

function findProxies(call: QueryCall, action: string, all: readonly Proxy[]): readonly Proxy[] {
  const name = identifier(call, 'DBProxyName')
  allow(call, action, `db-proxy:${all.find((proxy) => proxy.name === name)?.resourceId ?? '*'}`)
  return select(
    all,
    name,
    (proxy) => proxy.name,
    (id) => notFound('DBProxyNotFoundFault', 'DB proxy', id),
  )
}

function describeProxies(call: QueryCall): XmlValue {
  const proxies = findProxies(call, 'DescribeDBProxies', here(call, call.account.proxies))
  return page(call, proxies, (items) => ({DBProxies: {member: items.map(describeProxy)}}))
}

function describeProxyEndpoints(call: QueryCall): XmlValue {
  const proxies = findProxies(call, 'DescribeDBProxyEndpoints', here(call, call.account.proxies))
  const endpoints = proxies.flatMap((proxy) => proxy.endpoints.map((endpoint) => ({proxy, endpoint})))
  const found = select(
    endpoints,
    identifier(call, 'DBProxyEndpointName'),
    ({endpoint}) => endpoint.name,
    (id) => notFound('DBProxyEndpointNotFoundFault', 'DB proxy endpoint', id),
  )
  return page(call, found, (items) => ({DBProxyEndpoints: {member: items.map(describeProxyEndpoint)}}))
}

function listTags(call: QueryCall): XmlValue {
  const arn = call.fields.required('ResourceName')
  allow(call, 'ListTagsForResource', arn)
  const {instances, clusters, proxies} = call.account
  const owner = [...instances, ...clusters, ...proxies].find((one) => one.arn === arn)
  const proxy = proxies.find(({endpoints}) => endpoints.some((endpoint) => endpoint.arn === arn))
  if (!owner && !proxy)
    throw new Fault(
      'InvalidParameterValue',
      400,
      `The specified resource name does not match an RDS resource in this region.`,
    )
  return {TagList: writeTagList(owner?.tags ?? new Map())}
}

function modifyInstance(call: QueryCall): XmlValue {
  const id = call.fields.required('DBInstanceIdentifier').toLowerCase()
  allow(call, 'ModifyDBInstance', `db:${id}`)
  const instance = here(call, call.account.instances).find((one) => one.id === id)
  if (!instance) throw instanceNotFound(id)
  const enable = call.fields.flag('EnableIAMDatabaseAuthentication')
  if (enable !== undefined && instance.clusterId !== undefined) {
    const text = 'IAM Database Authentication is managed by the cluster for DB instances of an Aurora cluster.'
    throw new Fault('InvalidParameterCombination', 400, text)
  }
  instance.iamAuthentication = enable ?? instance.iamAuthentication
  return {DBInstance: describeInstance(call.account, instance)}
}

function modifyCluster(call: QueryCall): XmlValue {
  const id = call.fields.required('DBClusterIdentifier').toLowerCase()
  allow(call, 'ModifyDBCluster', `cluster:${id}`)
  const cluster = here(call, call.account.clusters).find((one) => one.id === id)
  if (!cluster) throw clusterNotFound(id)
  cluster.iamAuthentication = call.fields.flag('EnableIAMDatabaseAuthentication') ?? cluster.iamAuthentication
  return {DBCluster: describeCluster(cluster)}
}
