/** What AWS itself says about a database: its ids, its endpoints, its tags. */
import type {DBCluster, DBInstance, Tag} from '@aws-sdk/client-rds'
import type {Labels} from '../core/labels.js'
import {detectEndpoint} from '../resources/endpoint.js'
import {accountOfArn, type AwsDatabase, type AwsSettings} from './aws-database.js'
import {using, type AwsClients, type Caller} from './clients.js'
import {isDenied, isMissing} from './failure.js'

export interface AwsDescription {
  /** The settings of the database, what AWS says filled in. */
  readonly settings: AwsSettings
  /** Host names that lead to this database and to no other. */
  readonly hosts: readonly string[]
  /** The name in the certificate behind a custom endpoint, whose own name is in none. */
  readonly certificateName?: string | undefined
  readonly tags: Labels
  /** Ids of the security groups that guard it. */
  readonly securityGroups?: readonly string[]
  /** Whether AWS refused to tell the tags. */
  readonly tagsDenied?: boolean
}

export interface DescriptionRequest {
  readonly clients: AwsClients
  readonly caller: Caller
  readonly database: AwsDatabase
  /** Ends the requests that are under way. */
  readonly signal?: AbortSignal | undefined
}

/** @throws what the SDK throws */
export function describeOnAws(request: DescriptionRequest): Promise<AwsDescription> {
  switch (request.database.type) {
    case 'rds':
      return describeRds(request)
    case 'rdsproxy':
      return describeProxy(request)
    case 'redshift':
      return describeCluster(request)
    case 'redshift-serverless':
      return describeWorkgroup(request)
  }
}

/** An instance, a cluster, or the cluster that an instance is a member of. */
async function describeRds({
  clients,
  caller,
  database: {settings},
  signal,
}: DescriptionRequest): Promise<AwsDescription> {
  const {DescribeDBInstancesCommand, DescribeDBClustersCommand} = await import('@aws-sdk/client-rds')
  return using(await clients.rds(caller), async (rds) => {
    const describeAurora = async (id: string, host?: string): Promise<AwsDescription> => {
      const {DBClusters = []} = await rds.send(new DescribeDBClustersCommand({DBClusterIdentifier: id}), until(signal))
      return descriptionOfAurora(settings, id, only(DBClusters, id), host)
    }
    const {instance_id: id, cluster_id: clusterId} = settings.rds ?? {}
    if (id === undefined) {
      if (clusterId === undefined) throw notFound('AWS cannot be asked about a database without an id')
      return describeAurora(clusterId)
    }
    try {
      const {DBInstances = []} = await rds.send(
        new DescribeDBInstancesCommand({DBInstanceIdentifier: id}),
        until(signal),
      )
      const instance = only(DBInstances, id)
      if (instance.DBClusterIdentifier) {
        return await describeAurora(instance.DBClusterIdentifier, instance.Endpoint?.Address)
      }
      return descriptionOfInstance(settings, id, instance)
    } catch (error) {
      if (clusterId === undefined || (!isDenied(error) && !isMissing(error))) throw error
      return describeAurora(clusterId)
    }
  })
}

function descriptionOfInstance(settings: AwsSettings, id: string, instance: DBInstance): AwsDescription {
  return {
    settings: {
      ...settings,
      account_id: settings.account_id ?? accountOfArn(instance.DBInstanceArn),
      rds: {
        ...settings.rds,
        instance_id: id,
        resource_id: instance.DbiResourceId,
        iam_auth: instance.IAMDatabaseAuthenticationEnabled,
      },
    },
    hosts: hostsOf([instance.Endpoint?.Address]),
    tags: readTags(instance.TagList),
    securityGroups: groupsOf(instance.VpcSecurityGroups),
  }
}

/** @param host of the instance that the database is registered by, if any */
function descriptionOfAurora(settings: AwsSettings, id: string, cluster: DBCluster, host?: string): AwsDescription {
  return {
    settings: {
      ...settings,
      account_id: settings.account_id ?? accountOfArn(cluster.DBClusterArn),
      rds: {
        ...settings.rds,
        cluster_id: id,
        resource_id: cluster.DbClusterResourceId,
        iam_auth: cluster.IAMDatabaseAuthenticationEnabled,
      },
    },
    hosts: hostsOf([cluster.Endpoint, cluster.ReaderEndpoint, ...(cluster.CustomEndpoints ?? []), host]),
    certificateName: cluster.Endpoint,
    tags: readTags(cluster.TagList),
    securityGroups: groupsOf(cluster.VpcSecurityGroups),
  }
}

async function describeProxy({
  clients,
  caller,
  database: {settings},
  signal,
}: DescriptionRequest): Promise<AwsDescription> {
  const {DescribeDBProxiesCommand, DescribeDBProxyEndpointsCommand, ListTagsForResourceCommand} =
    await import('@aws-sdk/client-rds')
  return using(await clients.rds(caller), async (rds) => {
    const {name, custom_endpoint_name: endpointName} = settings.rdsproxy ?? {}
    let proxyName = name
    let endpointHost: string | undefined
    if (endpointName !== undefined) {
      const command = new DescribeDBProxyEndpointsCommand({DBProxyEndpointName: endpointName})
      const endpoint = only((await rds.send(command, until(signal))).DBProxyEndpoints ?? [], endpointName)
      proxyName = endpoint.DBProxyName
      endpointHost = endpoint.Endpoint
    }
    const {DBProxies = []} = await rds.send(new DescribeDBProxiesCommand({DBProxyName: proxyName}), until(signal))
    const proxy = only(DBProxies, proxyName ?? '')
    const tags = await readTagsOf(async () => {
      const command = new ListTagsForResourceCommand({ResourceName: proxy.DBProxyArn})
      const {TagList} = await rds.send(command, until(signal))
      return readTags(TagList)
    })
    return {
      settings: {
        ...settings,
        account_id: settings.account_id ?? accountOfArn(proxy.DBProxyArn),
        rdsproxy: {...settings.rdsproxy, resource_id: proxy.DBProxyArn?.split(':').at(-1)},
      },
      hosts: hostsOf([endpointName === undefined ? proxy.Endpoint : endpointHost]),
      certificateName: proxy.Endpoint,
      securityGroups: proxy.VpcSecurityGroupIds ?? [],
      ...tags,
    }
  })
}

async function describeCluster({
  clients,
  caller,
  database: {settings},
  signal,
}: DescriptionRequest): Promise<AwsDescription> {
  const {DescribeClustersCommand} = await import('@aws-sdk/client-redshift')
  const id = settings.redshift?.cluster_id ?? ''
  const command = new DescribeClustersCommand({ClusterIdentifier: id})
  const {Clusters = []} = await using(await clients.redshift(caller), (redshift) =>
    redshift.send(command, until(signal)),
  )
  const cluster = only(Clusters, id)
  return {
    settings: {...settings, account_id: settings.account_id ?? accountOfArn(cluster.ClusterNamespaceArn)},
    hosts: hostsOf([cluster.Endpoint?.Address]),
    tags: readTags(cluster.Tags),
    securityGroups: groupsOf(cluster.VpcSecurityGroups),
  }
}

async function describeWorkgroup({
  clients,
  caller,
  database: {settings},
  signal,
}: DescriptionRequest): Promise<AwsDescription> {
  const {GetEndpointAccessCommand, GetWorkgroupCommand, ListTagsForResourceCommand} =
    await import('@aws-sdk/client-redshift-serverless')
  return using(await clients.redshiftServerless(caller), async (serverless) => {
    const {endpoint_name: endpointName, workgroup_name: known} = settings.redshift_serverless ?? {}
    const access =
      endpointName === undefined
        ? undefined
        : (await serverless.send(new GetEndpointAccessCommand({endpointName}), until(signal))).endpoint
    const workgroupName = known ?? access?.workgroupName
    const {workgroup} = await serverless.send(new GetWorkgroupCommand({workgroupName}), until(signal))
    const isOwn = access === undefined || access.workgroupName === workgroup?.workgroupName
    const tags = await readTagsOf(async () => {
      const command = new ListTagsForResourceCommand({resourceArn: workgroup?.workgroupArn})
      const {tags: list = []} = await serverless.send(command, until(signal))
      return readTags(list.map(({key, value}) => ({Key: key, Value: value})))
    })
    return {
      settings: {
        ...settings,
        account_id: settings.account_id ?? accountOfArn(workgroup?.workgroupArn),
        redshift_serverless: {
          ...settings.redshift_serverless,
          workgroup_name: workgroupName,
          workgroup_id: workgroup?.workgroupId,
        },
      },
      hosts: hostsOf([workgroup?.endpoint?.address, isOwn ? access?.address : undefined]),
      securityGroups: workgroup?.securityGroupIds ?? [],
      ...tags,
    }
  })
}

/** Resource ids of the instances of an Aurora cluster. @throws what the SDK throws */
export async function describeMembers(
  {clients, caller, signal}: DescriptionRequest,
  clusterId: string,
): Promise<readonly string[]> {
  const {DescribeDBInstancesCommand} = await import('@aws-sdk/client-rds')
  const command = new DescribeDBInstancesCommand({Filters: [{Name: 'db-cluster-id', Values: [clusterId]}]})
  const {DBInstances = []} = await using(await clients.rds(caller), (rds) => rds.send(command, until(signal)))
  return DBInstances.flatMap(({DbiResourceId}) => DbiResourceId ?? [])
}

const until = (signal: AbortSignal | undefined): {abortSignal?: AbortSignal} => (signal ? {abortSignal: signal} : {})

const groupsOf = (groups: readonly {readonly VpcSecurityGroupId?: string | undefined}[] = []): readonly string[] =>
  groups.flatMap(({VpcSecurityGroupId}) => VpcSecurityGroupId ?? [])

function only<T>(found: readonly T[], id: string): T {
  const [first, ...more] = found
  if (first !== undefined && more.length === 0) return first
  throw notFound(`AWS knows ${found.length} databases named "${id}"`)
}

const notFound = (message: string): Error => Object.assign(new Error(message), {name: 'NotFound'})

const hostsOf = (names: readonly (string | undefined)[]): string[] =>
  names.flatMap((name) => (name === undefined ? [] : [name.toLowerCase()]))

export function readTags(tags: readonly Tag[] = []): Labels {
  return Object.fromEntries(tags.flatMap(({Key, Value = ''}) => (Key === undefined ? [] : [[Key, Value]])))
}

/** Tags cost a permission of their own in some services; without it there are none. */
export async function readTagsOf(read: () => Promise<Labels>): Promise<Pick<AwsDescription, 'tags' | 'tagsDenied'>> {
  try {
    return {tags: await read()}
  } catch (error) {
    if (isDenied(error)) return {tags: {}, tagsDenied: true}
    throw error
  }
}

/** A description made from the endpoint's name, for a database that has none; undefined when the name says nothing. */
export function describeByName({type, endpoint, settings}: AwsDatabase): string | undefined {
  const {region = detectEndpoint(endpoint.host).region} = settings
  if (region === undefined) return undefined
  const {endpointType, customEndpointName, endpointName} = detectEndpoint(endpoint.host)
  switch (type) {
    case 'rds':
      if (endpointType === 'reader' || endpointType === 'custom') {
        return `Aurora cluster in ${region} (${endpointType} endpoint)`
      }
      return `${endpointType === 'primary' ? 'Aurora cluster' : 'RDS instance'} in ${region}`
    case 'rdsproxy':
      return `RDS Proxy ${customEndpointName === undefined ? '' : 'endpoint '}in ${region}`
    case 'redshift':
      return `Redshift cluster in ${region}`
    case 'redshift-serverless':
      return `Redshift Serverless ${endpointName === undefined ? 'workgroup' : 'endpoint'} in ${region}`
  }
}
