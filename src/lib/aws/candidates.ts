/** The databases of one type that an account has in one region, all of them, whether or not they are wanted. */
import type {DBCluster, DBInstance, DBProxy, DBProxyEndpoint, RDSClient, Tag} from '@aws-sdk/client-rds'
import type {RedshiftServerlessClient} from '@aws-sdk/client-redshift-serverless'
import type {Labels} from '../core/labels.js'
import {accountOfArn, partitionOf, type AwsDatabaseType} from './aws-database.js'
import {using, type AwsClients, type Caller} from './clients.js'
import {readTags, readTagsOf} from './description.js'
import {withoutNameTags, type Candidate} from './found-database.js'

export interface CandidatesRequest {
  readonly clients: AwsClients
  readonly caller: Caller
  readonly type: AwsDatabaseType
}

/** @throws what the SDK throws; a list that could not be read to its end is none */
export function listCandidates({clients, caller, type}: CandidatesRequest): Promise<Candidate[]> {
  switch (type) {
    case 'rds':
      return listRds(clients, caller)
    case 'rdsproxy':
      return listProxies(clients, caller)
    case 'redshift':
      return listClusters(clients, caller)
    case 'redshift-serverless':
      return listWorkgroups(clients, caller)
  }
}

/** The only engines that speak PostgreSQL. */
const engines = {instance: 'postgres', cluster: 'aurora-postgresql'} as const
const postgresPort = 5432
const redshiftPort = 5439

/** States in which a database takes no connections (RDS User Guide, "Viewing DB instance status"). */
const closedStates: ReadonlySet<string> = new Set([
  'creating',
  'failed',
  'inaccessible-encryption-credentials',
  'incompatible-network',
  'incompatible-restore',
  'insufficient-capacity',
  'starting',
  'stopped',
  'stopping',
])

type Obstacle = NonNullable<Candidate['obstacle']>

function closed(state = 'available'): Obstacle | undefined {
  if (state.toLowerCase() === 'deleting') return {lasts: 'never', reason: 'it is being deleted'}
  return closedStates.has(state.toLowerCase()) ? {lasts: 'now', reason: `its status is "${state}"`} : undefined
}

async function collect<Page, Item>(
  pages: AsyncIterable<Page>,
  items: (page: Page) => Item[] | undefined,
): Promise<Item[]> {
  const all: Item[] = []
  for await (const page of pages) all.push(...(items(page) ?? []))
  return all
}

async function listRds(clients: AwsClients, caller: Caller): Promise<Candidate[]> {
  const {paginateDescribeDBClusters, paginateDescribeDBInstances} = await import('@aws-sdk/client-rds')
  return using(await clients.rds(caller), async (client) => {
    const instances = await collect(paginateDescribeDBInstances({client}, {}), (page) => page.DBInstances)
    const clusters = await collect(paginateDescribeDBClusters({client}, {}), (page) => page.DBClusters)
    return [
      ...instances.map((instance) => instanceCandidate(instance, caller.region)),
      ...clusters.flatMap((cluster) => clusterCandidates(cluster, instances, caller.region)),
    ]
  })
}

const engineLabels = ({Engine: engine = '', EngineVersion: version}: DBInstance | DBCluster): Labels => ({
  engine,
  ...(version !== undefined && {'engine-version': version}),
})

const vpcLabel = (vpc: string | undefined): Labels => (vpc === undefined ? {} : {'vpc-id': vpc})

function instanceCandidate(instance: DBInstance, region: string): Candidate {
  const {DBInstanceIdentifier: id = '', DBInstanceArn: arn = '', Endpoint, Engine = '', DBClusterIdentifier} = instance
  const host = Endpoint?.Address
  return {
    type: 'rds',
    arns: [arn],
    region,
    account: accountOfArn(arn) ?? '',
    nameParts: [id],
    endpoint: host === undefined ? undefined : {host, port: Endpoint?.Port ?? postgresPort},
    description: `RDS instance in ${region}`,
    labels: {...engineLabels(instance), 'endpoint-type': 'instance', ...vpcLabel(instance.DBSubnetGroup?.VpcId)},
    tags: readTags(instance.TagList),
    settings: {
      rds: {
        instance_id: id,
        resource_id: instance.DbiResourceId,
        iam_auth: instance.IAMDatabaseAuthenticationEnabled,
      },
    },
    obstacle:
      wrongEngine(Engine, DBClusterIdentifier === undefined ? engines.instance : undefined) ??
      memberOf(DBClusterIdentifier) ??
      closed(instance.DBInstanceStatus),
  }
}

function wrongEngine(engine: string, wanted: string | undefined): Obstacle | undefined {
  if (wanted === undefined || engine === wanted) return undefined
  return {lasts: 'never', reason: `its engine is ${engine}, and only ${wanted} is looked for`}
}

function memberOf(cluster: string | undefined): Obstacle | undefined {
  if (cluster === undefined) return undefined
  return {
    lasts: 'never',
    reason: `it is a member of the cluster ${cluster}, whose endpoints are registered in its place`,
  }
}

/** The writer's endpoint, the readers', and those that somebody has added. */
function clusterCandidates(cluster: DBCluster, instances: readonly DBInstance[], region: string): Candidate[] {
  const {DBClusterIdentifier: id = '', DBClusterArn: arn = '', DBClusterMembers: members = [], Engine = ''} = cluster
  const first = instances.find(({DBInstanceIdentifier}) =>
    members.some((member) => member.DBInstanceIdentifier === DBInstanceIdentifier),
  )
  const candidate = (kind: string, host: string, nameParts: readonly string[], problem?: Obstacle): Candidate => ({
    type: 'rds',
    arns: [arn],
    region,
    account: accountOfArn(arn) ?? '',
    nameParts: [id, ...nameParts],
    isAurora: true,
    endpoint: {host, port: cluster.Port ?? postgresPort},
    description: `Aurora cluster in ${region}${kind === 'primary' ? '' : ` (${kind} endpoint)`}`,
    labels: {...engineLabels(cluster), 'endpoint-type': kind, ...vpcLabel(first?.DBSubnetGroup?.VpcId)},
    tags: readTags(cluster.TagList),
    settings: {
      rds: {
        cluster_id: id,
        resource_id: cluster.DbClusterResourceId,
        iam_auth: cluster.IAMDatabaseAuthenticationEnabled,
      },
    },
    obstacle: wrongEngine(Engine, engines.cluster) ?? problem ?? closed(cluster.Status),
  })
  const found: Candidate[] = []
  const writes = members.some(({IsClusterWriter}) => IsClusterWriter === true)
  if (cluster.Endpoint !== undefined) {
    const noWriter: Obstacle = {lasts: 'now', reason: 'it has no instance that writes'}
    found.push(candidate('primary', cluster.Endpoint, [], writes ? undefined : noWriter))
  }
  if (cluster.ReaderEndpoint !== undefined && members.some(({IsClusterWriter}) => IsClusterWriter !== true)) {
    found.push(candidate('reader', cluster.ReaderEndpoint, ['reader']))
  }
  for (const host of cluster.CustomEndpoints ?? []) {
    found.push(candidate('custom', host, ['custom', host.split('.')[0] ?? '']))
  }
  return found
}

async function listProxies(clients: AwsClients, caller: Caller): Promise<Candidate[]> {
  const {paginateDescribeDBProxies, paginateDescribeDBProxyEndpoints} = await import('@aws-sdk/client-rds')
  return using(await clients.rds(caller), async (client) => {
    const proxies = await collect(paginateDescribeDBProxies({client}, {}), (page) => page.DBProxies)
    const endpoints = await collect(paginateDescribeDBProxyEndpoints({client}, {}), (page) => page.DBProxyEndpoints)
    const found: Candidate[] = []
    for (const proxy of proxies) {
      const tags = await readTagsOf(() => tagsOfProxy(client, proxy))
      found.push(proxyCandidate(proxy, caller.region, tags))
      const own = endpoints.filter(
        ({DBProxyName, IsDefault}) => DBProxyName === proxy.DBProxyName && IsDefault !== true,
      )
      found.push(...own.map((endpoint) => proxyCandidate(proxy, caller.region, tags, endpoint)))
    }
    return found
  })
}

async function tagsOfProxy(client: RDSClient, {DBProxyArn}: DBProxy): Promise<Labels> {
  const {ListTagsForResourceCommand} = await import('@aws-sdk/client-rds')
  const {TagList} = await client.send(new ListTagsForResourceCommand({ResourceName: DBProxyArn}))
  return readTags(TagList)
}

type Tags = Pick<Candidate, 'tags' | 'tagsDenied'>

/** Its port is that of its engine, whatever port the database behind it has. */
function proxyCandidate(proxy: DBProxy, region: string, tags: Tags, custom?: DBProxyEndpoint): Candidate {
  const {DBProxyName: name = '', DBProxyArn: arn = '', EngineFamily: family = '', VpcId} = proxy
  const host = custom ? custom.Endpoint : proxy.Endpoint
  const role = custom?.TargetRole
  return {
    type: 'rdsproxy',
    arns: custom?.DBProxyEndpointArn === undefined ? [arn] : [custom.DBProxyEndpointArn, arn],
    region,
    account: accountOfArn(arn) ?? '',
    nameParts: custom ? [name, custom.DBProxyEndpointName ?? ''] : [name],
    endpoint: host === undefined ? undefined : {host, port: postgresPort},
    description: custom ? `RDS Proxy endpoint in ${region}` : `RDS Proxy in ${region}`,
    labels: {engine: family, ...vpcLabel(VpcId), ...(role !== undefined && {'endpoint-type': role})},
    ...tags,
    settings: {
      rdsproxy: {
        ...(custom ? {custom_endpoint_name: custom.DBProxyEndpointName} : {name}),
        resource_id: arn.split(':').at(-1),
      },
    },
    obstacle: wrongEngine(family, 'POSTGRESQL') ?? closed(custom?.Status ?? proxy.Status),
  }
}

async function listClusters(clients: AwsClients, caller: Caller): Promise<Candidate[]> {
  const {region} = caller
  const {paginateDescribeClusters} = await import('@aws-sdk/client-redshift')
  const clusters = await using(await clients.redshift(caller), (client) =>
    collect(paginateDescribeClusters({client}, {}), (page) => page.Clusters),
  )
  return clusters.map((cluster) => {
    const {ClusterIdentifier: id = '', ClusterNamespaceArn: arn = '', Endpoint} = cluster
    const account = accountOfArn(arn) ?? ''
    const host = Endpoint?.Address
    return {
      type: 'redshift',
      arns: [arn, `arn:${partitionOf(region)}:redshift:${region}:${account}:cluster:${id}`],
      region,
      account,
      nameParts: [id],
      endpoint: host === undefined ? undefined : {host, port: Endpoint?.Port ?? redshiftPort},
      description: `Redshift cluster in ${region}`,
      labels: {},
      tags: readTags(cluster.Tags),
      settings: {redshift: {cluster_id: id}},
      obstacle: closed(cluster.ClusterStatus),
    }
  })
}

async function listWorkgroups(clients: AwsClients, caller: Caller): Promise<Candidate[]> {
  const {region} = caller
  const {paginateListEndpointAccess, paginateListWorkgroups} = await import('@aws-sdk/client-redshift-serverless')
  return using(await clients.redshiftServerless(caller), async (client) => {
    const workgroups = await collect(paginateListWorkgroups({client}, {}), (page) => page.workgroups)
    const endpoints = await collect(paginateListEndpointAccess({client}, {}), (page) => page.endpoints)
    const found: Candidate[] = []
    for (const workgroup of workgroups) {
      const {workgroupName = '', workgroupArn: arn = '', namespaceName: namespace = '', endpoint} = workgroup
      const tags = await readTagsOf(() => tagsOfWorkgroup(client, arn))
      const common = {type: 'redshift-serverless', region, account: accountOfArn(arn) ?? '', ...tags} as const
      const port = workgroup.port ?? endpoint?.port ?? redshiftPort
      const settings = {workgroup_id: workgroup.workgroupId}
      const obstacle = closed(workgroup.status)
      found.push({
        ...common,
        arns: [arn],
        nameParts: [workgroupName],
        endpoint: endpoint?.address === undefined ? undefined : {host: endpoint.address, port},
        description: `Redshift Serverless workgroup in ${region}`,
        labels: {'endpoint-type': 'workgroup', namespace, ...vpcLabel(endpoint?.vpcEndpoints?.[0]?.vpcId)},
        settings: {redshift_serverless: {...settings, workgroup_name: workgroupName}},
        obstacle,
      })
      for (const access of endpoints.filter((one) => one.workgroupName === workgroupName)) {
        const {endpointName: name = '', endpointArn = '', address: host} = access
        found.push({
          ...common,
          arns: [endpointArn, arn],
          nameParts: [name],
          // A tag that names the workgroup names this no less, and one name is not for two.
          tags: withoutNameTags(tags.tags),
          endpoint: host === undefined ? undefined : {host, port: access.port ?? port},
          description: `Redshift Serverless endpoint in ${region}`,
          labels: {
            'endpoint-type': 'vpc-endpoint',
            namespace,
            workgroup: workgroupName,
            ...vpcLabel(access.vpcEndpoint?.vpcId),
          },
          settings: {redshift_serverless: {...settings, endpoint_name: name}},
          obstacle: obstacle ?? closed(access.endpointStatus),
        })
      }
    }
    return found
  })
}

async function tagsOfWorkgroup(client: RedshiftServerlessClient, resourceArn: string): Promise<Labels> {
  const {ListTagsForResourceCommand} = await import('@aws-sdk/client-redshift-serverless')
  const {tags = []} = await client.send(new ListTagsForResourceCommand({resourceArn}))
  return readTags(tags.map(({key, value}): Tag => ({Key: key, Value: value})))
}
