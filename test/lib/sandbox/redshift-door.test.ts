import {
  GetClusterCredentialsCommand,
  GetClusterCredentialsWithIAMCommand,
  RedshiftClient,
} from '@aws-sdk/client-redshift'
import {GetCredentialsCommand, RedshiftServerlessClient} from '@aws-sdk/client-redshift-serverless'
import {AssumeRoleCommand, STSClient} from '@aws-sdk/client-sts'
import {afterAll, afterEach, beforeAll, describe, expect, it} from '@jest/globals'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import {encodeStartup} from '../../../src/lib/pgwire/first-packet.js'
import {answerTo, psql, query, realPostgres, refusalOf, startOpenPostgres, type Visit} from './databases.js'
import {allow, home, region, startRig, trust, type Credentials, type Rig} from './rig.js'

const cluster = 'my-redshift.abcdefghijkl.us-west-1.redshift.amazonaws.com:5439'
const other = 'other.abcdefghijkl.us-west-1.redshift.amazonaws.com:5439'
const workgroup = `my-workgroup.${home}.us-west-1.redshift-serverless.amazonaws.com:5439`

let server: PostgresServer
let rig: Rig
let role: Credentials
let vpcEndpoint: string

beforeAll(async () => {
  server = await startOpenPostgres()
  rig = await startRig(
    {
      accounts: [
        {
          id: home,
          endpointId: 'abcdefghijkl',
          users: [{name: 'operator', inline: {all: allow('*')}}],
          roles: [
            {
              name: 'Redshift-user-role',
              trust: trust({AWS: home}),
              inline: {all: allow(['redshift:*', 'redshift-serverless:*'])},
            },
          ],
          redshiftClusters: [
            {id: 'my-redshift', region},
            {id: 'other', region},
          ],
          workgroups: [{name: 'my-workgroup', region, endpoints: ['my-endpoint']}],
        },
      ],
    },
    realPostgres(server),
  )
  await server.execute('create database dev')
  await server.execute('create role alice login')
  const sts = new STSClient(rig.client(rig.keyOf('operator')))
  const RoleArn = `arn:aws:iam::${home}:role/Redshift-user-role`
  const {Credentials: given} = await sts.send(new AssumeRoleCommand({RoleArn, RoleSessionName: 'i-1'}))
  role = {
    accessKeyId: given?.AccessKeyId ?? '',
    secretAccessKey: given?.SecretAccessKey ?? '',
    sessionToken: given?.SessionToken ?? '',
  }
  vpcEndpoint = [...rig.sandbox.resolve.keys()].find((name) => name.startsWith('my-endpoint-')) ?? ''
})

afterAll(async () => {
  await rig.close()
  await server.stop()
})

afterEach(() => {
  rig.sandbox.world.switches.clockSkew = 0
})

async function visitAs(
  DbUser: string,
  more: {readonly DbName?: string; readonly AutoCreate?: boolean} = {},
): Promise<Visit> {
  const redshift = new RedshiftClient(rig.client(role))
  const given = await redshift.send(
    new GetClusterCredentialsCommand({ClusterIdentifier: 'my-redshift', DbUser, ...more}),
  )
  return {
    endpoint: cluster,
    kind: 'redshift',
    user: given.DbUser ?? '',
    password: given.DbPassword ?? '',
    database: 'dev',
  }
}

async function visitWorkgroup(endpoint: string): Promise<Visit> {
  const serverless = new RedshiftServerlessClient(rig.client(role))
  const given = await serverless.send(new GetCredentialsCommand({workgroupName: 'my-workgroup', dbName: 'dev'}))
  const {dbUser: user = '', dbPassword: password = ''} = given
  return {endpoint, kind: 'redshift-serverless', user, password, database: 'dev'}
}

describe('a database user', () => {
  it('signs in with psql and verify-full, and sees a PostgreSQL 8.0.2', async () => {
    const visit = await visitAs('alice', {DbName: 'dev'})
    expect(visit.user).toBe('IAM:alice')
    expect(await psql(rig, visit, 'select current_user')).toBe('alice')
    expect(await psql(rig, visit, String.raw`\echo :SERVER_VERSION_NAME`)).toBe('8.0.2')
  })

  it('is folded to lower case, as Redshift folds it', async () => {
    const visit = await visitAs('Alice')
    expect(await query(rig, {...visit, user: 'IAM:ALICE'}, 'select current_user as who')).toEqual([{who: 'alice'}])
  })

  it('that does not exist is not made, unless that was asked for', async () => {
    expect(await refusalOf(query(rig, await visitAs('bob'), 'select 1'))).toEqual({
      code: '42704',
      message: 'user "IAM:bob" does not exist',
    })
    const visit = await visitAs('bob', {AutoCreate: true})
    expect(await query(rig, visit, 'select current_user as who')).toEqual([{who: 'bob'}])
  })
})

describe('a password is refused', () => {
  it.each<[string, () => Promise<Visit>]>([
    ['that is wrong', async () => ({...(await visitAs('alice')), password: 'pencil'})],
    ['for another user', async () => ({...(await visitAs('alice')), user: 'IAM:root'})],
    ['without the prefix', async () => ({...(await visitAs('alice')), user: 'alice'})],
    ['for another database', async () => ({...(await visitAs('alice', {DbName: 'dev'})), database: 'postgres'})],
    ['of another cluster', async () => ({...(await visitAs('alice')), endpoint: other})],
    ['of a workgroup', async () => ({...(await visitWorkgroup(cluster)), kind: 'redshift'})],
  ])('%s', async (_, makeVisit) => {
    const visit = await makeVisit()
    expect(await refusalOf(query(rig, visit, 'select 1'))).toEqual({
      code: '28000',
      message: `password authentication failed for user "${visit.user}"`,
    })
  })

  it('after a quarter of an hour', async () => {
    const visit = await visitAs('alice')
    rig.sandbox.world.switches.clockSkew = 901_000
    expect(await refusalOf(query(rig, visit, 'select 1'))).toMatchObject({code: '28000'})
  })

  it('without TLS', async () => {
    expect(await refusalOf(query(rig, {...(await visitAs('alice')), tls: false}, 'select 1'))).toEqual({
      code: '28000',
      message: 'no pg_hba.conf entry for host "127.0.0.1", user "IAM:alice", database "dev", SSL off',
    })
  })
})

it('a newer protocol is not spoken', async () => {
  const packet = encodeStartup(2, new Map([['user', 'IAM:alice']]))
  const answer = await answerTo(rig, {endpoint: cluster, kind: 'redshift'}, packet)
  expect(answer).toContain('C0A000\0Munsupported frontend protocol 3.2: server supports 1.0 to 3.0\0')
})

describe('an IAM role', () => {
  it('signs in to a cluster as a user that is made for it', async () => {
    const redshift = new RedshiftClient(rig.client(role))
    const asked = new GetClusterCredentialsWithIAMCommand({ClusterIdentifier: 'my-redshift', DbName: 'dev'})
    const {DbUser: user = '', DbPassword: password = ''} = await redshift.send(asked)
    const visit: Visit = {endpoint: cluster, kind: 'redshift', user, password, database: 'dev'}
    const answers = await Promise.all([1, 2, 3].map(() => psql(rig, visit, 'select current_user')))
    expect(new Set(answers)).toEqual(new Set(['IAMR:Redshift-user-role']))
  })

  it('signs in to a workgroup, also through its VPC endpoint', async () => {
    for (const endpoint of [workgroup, vpcEndpoint]) {
      expect(await psql(rig, await visitWorkgroup(endpoint), 'select current_user')).toBe('IAMR:Redshift-user-role')
    }
  })

  it('is refused by a workgroup with a password that was cut at 1024 characters', async () => {
    const visit = await visitWorkgroup(workgroup)
    const cut = {...visit, password: visit.password.slice(0, 1024)}
    expect(await refusalOf(query(rig, cut, 'select 1'))).toMatchObject({code: '28000'})
  })
})
