/** RDS's descriptions of its resources. */
import type {Cluster, Instance, NamedHost, Proxy} from './databases.js'
import type {Account} from './world.js'
import type {XmlValue} from './xml.js'

/** One network for everything: it is only described. */
const network = {
  vpc: 'vpc-0a1b2c3d4e5f60718',
  subnets: ['subnet-0a1b2c3d4e5f60711', 'subnet-0a1b2c3d4e5f60712'],
  securityGroup: 'sg-0a1b2c3d4e5f60713',
} as const
const engineVersion = '16.4'

export const writeTagList = (tags: ReadonlyMap<string, string>): XmlValue => ({
  Tag: Array.from(tags, ([Key, Value]) => ({Key, Value})),
})

const securityGroups: XmlValue = {
  VpcSecurityGroupMembership: {VpcSecurityGroupId: network.securityGroup, Status: 'active'},
}

/** Only Aurora has clusters here. */
export const engineOf = ({clusterId}: Instance): string => (clusterId === undefined ? 'postgres' : 'aurora-postgresql')

export function describeInstance(account: Account, instance: Instance): XmlValue {
  const cluster = account.clusters.find(({id, region}) => id === instance.clusterId && region === instance.region)
  return {
    DBInstanceIdentifier: instance.id,
    DBInstanceArn: instance.arn,
    DBInstanceClass: 'db.t4g.medium',
    DBInstanceStatus: 'available',
    DbiResourceId: instance.resourceId,
    DBClusterIdentifier: instance.clusterId,
    Engine: engineOf(instance),
    EngineVersion: engineVersion,
    Endpoint: {Address: instance.host, Port: instance.port},
    MasterUsername: 'postgres',
    IAMDatabaseAuthenticationEnabled: cluster?.iamAuthentication ?? instance.iamAuthentication,
    VpcSecurityGroups: securityGroups,
    DBSubnetGroup: {
      DBSubnetGroupName: 'default',
      VpcId: network.vpc,
      Subnets: {Subnet: network.subnets.map((id) => ({SubnetIdentifier: id, SubnetStatus: 'Active'}))},
    },
    TagList: writeTagList(instance.tags),
  }
}

export function describeCluster(cluster: Cluster): XmlValue {
  const hosts = cluster.customEndpoints.map(({host}) => host)
  return {
    DBClusterIdentifier: cluster.id,
    DBClusterArn: cluster.arn,
    DbClusterResourceId: cluster.resourceId,
    Status: 'available',
    Engine: 'aurora-postgresql',
    EngineVersion: engineVersion,
    EngineMode: 'provisioned',
    Endpoint: cluster.host,
    ReaderEndpoint: cluster.readerHost,
    CustomEndpoints: hosts.length > 0 ? {member: hosts} : undefined,
    Port: cluster.port,
    MasterUsername: 'postgres',
    DBSubnetGroup: 'default',
    IAMDatabaseAuthenticationEnabled: cluster.iamAuthentication,
    DBClusterMembers: {
      DBClusterMember: cluster.members.map((id, index) => ({DBInstanceIdentifier: id, IsClusterWriter: index === 0})),
    },
    VpcSecurityGroups: securityGroups,
    TagList: writeTagList(cluster.tags),
  }
}

const proxyNetwork = {
  VpcId: network.vpc,
  VpcSecurityGroupIds: {member: [network.securityGroup]},
  VpcSubnetIds: {member: [...network.subnets]},
}

export function describeProxy(proxy: Proxy): XmlValue {
  return {
    DBProxyName: proxy.name,
    DBProxyArn: proxy.arn,
    Status: 'available',
    EngineFamily: 'POSTGRESQL',
    ...proxyNetwork,
    Auth: {
      member: Array.from(proxy.secrets, ([user, {iam}]) => ({
        AuthScheme: 'SECRETS',
        SecretArn: `arn:aws:secretsmanager:${proxy.region}:${proxy.account}:secret:rdsproxy_${user}`,
        IAMAuth: iam,
        ClientPasswordAuthType: 'POSTGRES_SCRAM_SHA_256',
      })),
    },
    RoleArn: `arn:aws:iam::${proxy.account}:role/service-role/rds-proxy-role-${proxy.name}`,
    Endpoint: proxy.host,
    RequireTLS: proxy.requireTls,
  }
}

export function describeProxyEndpoint({
  proxy,
  endpoint,
}: {
  readonly proxy: Proxy
  readonly endpoint: NamedHost & {readonly arn: string; readonly readOnly: boolean}
}): XmlValue {
  return {
    DBProxyEndpointName: endpoint.name,
    DBProxyEndpointArn: endpoint.arn,
    DBProxyName: proxy.name,
    Status: 'available',
    ...proxyNetwork,
    Endpoint: endpoint.host,
    TargetRole: endpoint.readOnly ? 'READ_ONLY' : 'READ_WRITE',
    IsDefault: false,
  }
}
