import {
  DescribeClustersCommand,
  GetClusterCredentialsCommand,
  GetClusterCredentialsWithIAMCommand,
  RedshiftClient,
} from '@aws-sdk/client-redshift'
import {
  GetCredentialsCommand,
  GetEndpointAccessCommand,
  GetWorkgroupCommand,
  ListEndpointAccessCommand,
  ListTagsForResourceCommand,
  ListWorkgroupsCommand,
  RedshiftServerlessClient,
} from '@aws-sdk/client-redshift-serverless'
import {AssumeRoleCommand, STSClient} from '@aws-sdk/client-sts'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {allow, failureOf, home, policy, region, startRig, trust, type Credentials, type Rig} from './rig.js'

let rig: Rig
let role: Credentials
let redshift: RedshiftClient
let serverless: RedshiftServerlessClient

beforeAll(async () => {
  const cluster = `arn:aws:redshift:${region}:${home}`
  rig = await startRig({
    accounts: [
      {
        id: home,
        endpointId: 'abcdefghijkl',
        users: [
          {name: 'operator', inline: {all: allow('*')}},
          {
            name: 'narrow',
            inline: {
              alice: policy(
                {
                  Effect: 'Allow',
                  Action: 'redshift:GetClusterCredentials',
                  Resource: [`${cluster}:dbuser:my-redshift/alice`, `${cluster}:dbname:my-redshift/dev`],
                },
                {Effect: 'Deny', Action: '*', Resource: '*', Condition: {StringEquals: {'redshift:DbName': 'secret'}}},
              ),
            },
          },
        ],
        roles: [
          {
            name: 'redshift-user-role',
            trust: trust({AWS: `arn:aws:iam::${home}:root`}),
            inline: {all: allow(['redshift:*', 'redshift-serverless:*'])},
          },
        ],
        redshiftClusters: [{id: 'my-redshift', region, tags: {env: 'dev'}}],
        workgroups: [
          {name: 'my-workgroup', region, endpoints: ['my-endpoint'], tags: {env: 'dev'}},
          {name: 'second', region},
        ],
      },
    ],
  })
  const sts = new STSClient(rig.client(rig.keyOf('operator')))
  const assumed = await sts.send(
    new AssumeRoleCommand({RoleArn: `arn:aws:iam::${home}:role/redshift-user-role`, RoleSessionName: 'i-1'}),
  )
  const {AccessKeyId = '', SecretAccessKey = '', SessionToken = ''} = assumed.Credentials ?? {}
  role = {accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken}
  redshift = new RedshiftClient(rig.client(role))
  serverless = new RedshiftServerlessClient(rig.client(role))
})

afterAll(() => rig.close())

describe('a cluster', () => {
  it('is described', async () => {
    const {Clusters} = await redshift.send(new DescribeClustersCommand({ClusterIdentifier: 'my-redshift'}))
    expect(Clusters?.[0]).toMatchObject({
      ClusterIdentifier: 'my-redshift',
      Endpoint: {Address: 'my-redshift.abcdefghijkl.us-west-1.redshift.amazonaws.com', Port: 5439},
      Tags: [{Key: 'env', Value: 'dev'}],
    })
    expect(Clusters?.[0]?.ClusterNamespaceArn).toContain(`arn:aws:redshift:${region}:${home}:namespace:`)
  })

  it('that is not there is named', async () => {
    const absent = new DescribeClustersCommand({ClusterIdentifier: 'x'})
    expect(await failureOf(redshift.send(absent))).toEqual({
      name: 'ClusterNotFoundFault',
      status: 404,
      message: 'Cluster x not found.',
    })
  })

  it('is not there in another region', async () => {
    const elsewhere = new RedshiftClient({...rig.client(role), region: 'eu-west-1'})
    const asked = {ClusterIdentifier: 'my-redshift', DbUser: 'alice'}
    expect(await failureOf(elsewhere.send(new GetClusterCredentialsCommand(asked)))).toMatchObject({
      name: 'ClusterNotFoundFault',
    })
    expect((await elsewhere.send(new DescribeClustersCommand({}))).Clusters).toEqual([])
  })

  it('gives out passwords for a database user, for 15 minutes', async () => {
    const narrow = new RedshiftClient(rig.client(rig.keyOf('narrow')))
    const asked = {ClusterIdentifier: 'my-redshift', DbUser: 'alice', DbName: 'dev'}
    const {DbUser, DbPassword, Expiration} = await narrow.send(new GetClusterCredentialsCommand(asked))
    expect(DbUser).toBe('IAM:alice')
    expect(DbPassword?.length).toBeGreaterThan(100)
    expect(5 * Math.round(((Expiration?.getTime() ?? 0) - Date.now()) / 300_000)).toBe(15)
  })

  it.each([
    ['another user', {DbUser: 'bob'}, 'dbuser:my-redshift/bob'],
    ['another database', {DbName: 'other'}, 'dbname:my-redshift/other'],
  ])('gives out none for %s', async (_, change, resource) => {
    const narrow = new RedshiftClient(rig.client(rig.keyOf('narrow')))
    const asked = {ClusterIdentifier: 'my-redshift', DbUser: 'alice', DbName: 'dev', ...change}
    const failure = await failureOf(narrow.send(new GetClusterCredentialsCommand(asked)))
    expect(failure).toMatchObject({name: 'AccessDenied', status: 403})
    expect(failure.message).toContain(
      `redshift:GetClusterCredentials on resource: arn:aws:redshift:${region}:${home}:${resource}`,
    )
  })

  it('minds conditions on the database and says when a deny was explicit', async () => {
    const narrow = new RedshiftClient(rig.client(rig.keyOf('narrow')))
    const asked = {ClusterIdentifier: 'my-redshift', DbUser: 'alice', DbName: 'secret'}
    expect((await failureOf(narrow.send(new GetClusterCredentialsCommand(asked)))).message).toContain(
      'with an explicit deny',
    )
  })

  it('asks for two more permissions to create users and to join groups', async () => {
    const narrow = new RedshiftClient(rig.client(rig.keyOf('narrow')))
    const asked = {ClusterIdentifier: 'my-redshift', DbUser: 'alice', DbName: 'dev'}
    const create = new GetClusterCredentialsCommand({...asked, AutoCreate: true})
    expect((await failureOf(narrow.send(create))).message).toContain('redshift:CreateClusterUser')
    const join = new GetClusterCredentialsCommand({...asked, DbGroups: ['admins']})
    expect((await failureOf(narrow.send(join))).message).toContain('redshift:JoinGroup')
  })

  it('gives out passwords for the caller itself, role or user', async () => {
    const asked = new GetClusterCredentialsWithIAMCommand({ClusterIdentifier: 'my-redshift', DbName: 'dev'})
    expect((await redshift.send(asked)).DbUser).toBe('IAMR:redshift-user-role')
    const operator = new RedshiftClient(rig.client(rig.keyOf('operator')))
    const {DbUser, DbPassword, NextRefreshTime} = await operator.send(asked)
    expect(DbUser).toBe('IAM:operator')
    expect(DbPassword?.length).toBeGreaterThan(1024)
    expect(NextRefreshTime).toBeInstanceOf(Date)
  })
})

describe('a workgroup', () => {
  const workgroupName = 'my-workgroup'

  it('is described with its id and endpoint', async () => {
    const {workgroup} = await serverless.send(new GetWorkgroupCommand({workgroupName}))
    expect(workgroup?.endpoint).toMatchObject({
      address: `my-workgroup.${home}.us-west-1.redshift-serverless.amazonaws.com`,
      port: 5439,
    })
    expect(workgroup?.workgroupArn).toBe(
      `arn:aws:redshift-serverless:${region}:${home}:workgroup/${workgroup?.workgroupId ?? ''}`,
    )
    const tags = new ListTagsForResourceCommand({resourceArn: workgroup?.workgroupArn})
    expect((await serverless.send(tags)).tags).toEqual([{key: 'env', value: 'dev'}])
  })

  it('is listed, page by page', async () => {
    const first = await serverless.send(new ListWorkgroupsCommand({maxResults: 1}))
    const second = await serverless.send(new ListWorkgroupsCommand({maxResults: 1, nextToken: first.nextToken}))
    const names = [first, second].flatMap(({workgroups = []}) => workgroups.map((one) => one.workgroupName))
    expect([names, second.nextToken]).toEqual([[workgroupName, 'second'], undefined])
  })

  it('is reached through a VPC endpoint of its own name', async () => {
    const {endpoint} = await serverless.send(new GetEndpointAccessCommand({endpointName: 'my-endpoint'}))
    expect(endpoint).toMatchObject({workgroupName, port: 5439})
    expect(endpoint?.address).toMatch(
      new RegExp(`^my-endpoint-endpoint-[a-z0-9]+\\.${home}\\.us-west-1\\.redshift-serverless`),
    )
    expect((await serverless.send(new ListEndpointAccessCommand({workgroupName}))).endpoints).toHaveLength(1)
    expect((await serverless.send(new ListEndpointAccessCommand({workgroupName: 'second'}))).endpoints).toEqual([])
  })

  it('gives out long passwords for the caller itself', async () => {
    const {dbUser, dbPassword, expiration} = await serverless.send(
      new GetCredentialsCommand({workgroupName, dbName: 'dev'}),
    )
    expect(dbUser).toBe('IAMR:redshift-user-role')
    expect(dbPassword?.length).toBe(4000)
    expect(5 * Math.round(((expiration?.getTime() ?? 0) - Date.now()) / 300_000)).toBe(15)
  })

  it('refuses in this protocol’s own names', async () => {
    const narrow = new RedshiftServerlessClient(rig.client(rig.keyOf('narrow')))
    const denied = await failureOf(narrow.send(new GetCredentialsCommand({workgroupName})))
    expect(denied).toMatchObject({name: 'AccessDeniedException', status: 400})
    expect(denied.message).toContain(
      'not authorized to perform: redshift-serverless:GetCredentials on resource: arn:aws:redshift-serverless:',
    )
    const absent = await failureOf(serverless.send(new GetWorkgroupCommand({workgroupName: 'x'})))
    expect(absent).toMatchObject({name: 'ResourceNotFoundException'})
    const forged = new RedshiftServerlessClient(rig.client({...role, secretAccessKey: 'x'}))
    expect(await failureOf(forged.send(new GetWorkgroupCommand({workgroupName})))).toMatchObject({
      name: 'InvalidSignatureException',
    })
    const unknown = new RedshiftServerlessClient(rig.client({...role, accessKeyId: 'ASIAX'}))
    expect(await failureOf(unknown.send(new GetWorkgroupCommand({workgroupName})))).toMatchObject({
      name: 'UnrecognizedClientException',
    })
  })
})
