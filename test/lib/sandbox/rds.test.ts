import {
  DescribeDBClustersCommand,
  DescribeDBInstancesCommand,
  DescribeDBProxiesCommand,
  DescribeDBProxyEndpointsCommand,
  ListTagsForResourceCommand,
  ModifyDBClusterCommand,
  ModifyDBInstanceCommand,
  RDSClient,
} from '@aws-sdk/client-rds'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {allow, failureOf, home, region, startRig, type Rig} from './rig.js'

let rig: Rig
let rds: RDSClient

beforeAll(async () => {
  const place = {region, requireTls: true}
  rig = await startRig({
    accounts: [
      {
        id: home,
        endpointId: 'abcdefghijklm',
        users: [
          {name: 'operator', inline: {all: allow('*')}},
          {name: 'narrow', inline: {one: allow('rds:DescribeDBInstances', `arn:aws:rds:*:*:db:postgres-1`)}},
        ],
        instances: [
          {...place, id: 'postgres-1', iamAuthentication: false, tags: {env: 'dev', owner: 'a & b'}},
          {...place, id: 'postgres-2', resourceId: 'db-ABCDEFGHIJKLMNOPQRSTUVWXYZ'},
          {region: 'eu-west-1', id: 'elsewhere'},
        ],
        clusters: [
          {
            ...place,
            id: 'postgres-aurora',
            members: ['postgres-aurora-instance-1', 'postgres-aurora-instance-2'],
            customEndpoints: ['reports'],
          },
        ],
        proxies: [
          {
            ...place,
            name: 'rds-proxy',
            secrets: [{user: 'alice', password: 'x'}],
            endpoints: [{name: 'read', readOnly: true}],
            tags: {env: 'dev'},
          },
        ],
      },
    ],
  })
  rds = new RDSClient(rig.client(rig.keyOf('operator')))
})

afterAll(() => rig.close())

describe('an instance', () => {
  it('is described with its endpoint, ids, network and tags', async () => {
    const {DBInstances} = await rds.send(new DescribeDBInstancesCommand({DBInstanceIdentifier: 'Postgres-1'}))
    expect(DBInstances).toHaveLength(1)
    expect(DBInstances?.[0]).toMatchObject({
      DBInstanceArn: `arn:aws:rds:${region}:${home}:db:postgres-1`,
      Engine: 'postgres',
      Endpoint: {Address: 'postgres-1.abcdefghijklm.us-west-1.rds.amazonaws.com', Port: 5432},
      IAMDatabaseAuthenticationEnabled: false,
      DbiResourceId: expect.stringMatching(/^db-[A-Z2-7]{26}$/) as unknown,
      TagList: [
        {Key: 'env', Value: 'dev'},
        {Key: 'owner', Value: 'a & b'},
      ],
    })
    expect(DBInstances?.[0]?.DBSubnetGroup?.Subnets).toHaveLength(2)
    expect(DBInstances?.[0]?.VpcSecurityGroups?.[0]?.VpcSecurityGroupId).toMatch(/^sg-/)
  })

  it('of a cluster says so', async () => {
    const {DBInstances} = await rds.send(
      new DescribeDBInstancesCommand({DBInstanceIdentifier: 'postgres-aurora-instance-1'}),
    )
    expect(DBInstances?.[0]).toMatchObject({
      DBClusterIdentifier: 'postgres-aurora',
      Engine: 'aurora-postgresql',
      IAMDatabaseAuthenticationEnabled: true,
    })
  })

  it('is listed with the others of the region, by engine and page by page', async () => {
    const all = await rds.send(new DescribeDBInstancesCommand({}))
    expect(all.DBInstances?.map((one) => one.DBInstanceIdentifier)).toEqual([
      'postgres-1',
      'postgres-2',
      'postgres-aurora-instance-1',
      'postgres-aurora-instance-2',
    ])
    const Filters = [{Name: 'engine', Values: ['postgres']}]
    expect((await rds.send(new DescribeDBInstancesCommand({Filters}))).DBInstances).toHaveLength(2)
    const first = await rds.send(new DescribeDBInstancesCommand({MaxRecords: 3}))
    const second = await rds.send(new DescribeDBInstancesCommand({MaxRecords: 3, Marker: first.Marker}))
    expect([first.DBInstances?.length, second.DBInstances?.length, second.Marker]).toEqual([3, 1, undefined])
    const nowhere = new DescribeDBInstancesCommand({Marker: 'x'})
    expect(await failureOf(rds.send(nowhere))).toMatchObject({name: 'InvalidParameterValue'})
    const unknown = new DescribeDBInstancesCommand({Filters: [{Name: 'colour', Values: ['red']}]})
    expect(await failureOf(rds.send(unknown))).toMatchObject({name: 'InvalidParameterValue'})
  })

  it('that is not there is named', async () => {
    const command = new DescribeDBInstancesCommand({DBInstanceIdentifier: 'x'})
    expect(await failureOf(rds.send(command))).toEqual({
      name: 'DBInstanceNotFoundFault',
      status: 404,
      message: 'DBInstance x not found.',
    })
  })

  it('is shown only to those who may see it', async () => {
    const narrow = new RDSClient(rig.client(rig.keyOf('narrow')))
    await narrow.send(new DescribeDBInstancesCommand({DBInstanceIdentifier: 'postgres-1'}))
    expect(await failureOf(narrow.send(new DescribeDBInstancesCommand({})))).toEqual({
      name: 'AccessDenied',
      status: 403,
      message:
        `User: arn:aws:iam::${home}:user/narrow is not authorized to perform: rds:DescribeDBInstances on resource: ` +
        `arn:aws:rds:${region}:${home}:db:* because no identity-based policy allows the rds:DescribeDBInstances action`,
    })
  })

  it('gets IAM authentication turned on, one of a cluster through the cluster', async () => {
    const on = {EnableIAMDatabaseAuthentication: true, ApplyImmediately: true}
    const {DBInstance} = await rds.send(new ModifyDBInstanceCommand({DBInstanceIdentifier: 'postgres-1', ...on}))
    expect(DBInstance?.IAMDatabaseAuthenticationEnabled).toBe(true)
    const member = new ModifyDBInstanceCommand({DBInstanceIdentifier: 'postgres-aurora-instance-1', ...on})
    expect(await failureOf(rds.send(member))).toMatchObject({name: 'InvalidParameterCombination'})
    const off = {DBClusterIdentifier: 'postgres-aurora', EnableIAMDatabaseAuthentication: false}
    const {DBCluster} = await rds.send(new ModifyDBClusterCommand(off))
    expect(DBCluster?.IAMDatabaseAuthenticationEnabled).toBe(false)
  })
})

it('a cluster is described with all its endpoints and members', async () => {
  const {DBClusters} = await rds.send(new DescribeDBClustersCommand({DBClusterIdentifier: 'postgres-aurora'}))
  expect(DBClusters?.[0]).toMatchObject({
    DBClusterArn: `arn:aws:rds:${region}:${home}:cluster:postgres-aurora`,
    DbClusterResourceId: expect.stringMatching(/^cluster-[A-Z2-7]{26}$/) as unknown,
    Endpoint: 'postgres-aurora.cluster-abcdefghijklm.us-west-1.rds.amazonaws.com',
    ReaderEndpoint: 'postgres-aurora.cluster-ro-abcdefghijklm.us-west-1.rds.amazonaws.com',
    CustomEndpoints: ['reports.cluster-custom-abcdefghijklm.us-west-1.rds.amazonaws.com'],
    DBClusterMembers: [
      {DBInstanceIdentifier: 'postgres-aurora-instance-1', IsClusterWriter: true},
      {DBInstanceIdentifier: 'postgres-aurora-instance-2', IsClusterWriter: false},
    ],
  })
  const absent = new DescribeDBClustersCommand({DBClusterIdentifier: 'x'})
  expect(await failureOf(rds.send(absent))).toMatchObject({name: 'DBClusterNotFoundFault', status: 404})
})

it('a proxy is described with its secrets and endpoints, and its tags are listed', async () => {
  const {DBProxies} = await rds.send(new DescribeDBProxiesCommand({DBProxyName: 'rds-proxy'}))
  expect(DBProxies?.[0]).toMatchObject({
    DBProxyArn: expect.stringMatching(/:db-proxy:prx-[0-9a-f]{17}$/) as unknown,
    Endpoint: 'rds-proxy.proxy-abcdefghijklm.us-west-1.rds.amazonaws.com',
    RequireTLS: true,
    EngineFamily: 'POSTGRESQL',
    Auth: [{AuthScheme: 'SECRETS', IAMAuth: 'REQUIRED'}],
  })
  const {DBProxyEndpoints} = await rds.send(new DescribeDBProxyEndpointsCommand({DBProxyName: 'rds-proxy'}))
  expect(DBProxyEndpoints).toHaveLength(1)
  expect(DBProxyEndpoints?.[0]).toMatchObject({
    Endpoint: 'read.endpoint.proxy-abcdefghijklm.us-west-1.rds.amazonaws.com',
    TargetRole: 'READ_ONLY',
  })
  const tags = new ListTagsForResourceCommand({ResourceName: DBProxies?.[0]?.DBProxyArn})
  expect((await rds.send(tags)).TagList).toEqual([{Key: 'env', Value: 'dev'}])
  expect(await failureOf(rds.send(new DescribeDBProxiesCommand({DBProxyName: 'x'})))).toMatchObject({
    name: 'DBProxyNotFoundFault',
  })
})
