import {createServer, type AddressInfo, type Server} from 'node:net'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import type {HeartbeatRequest} from '../../../src/lib/api/requests.js'
import type {Database} from '../../../src/lib/resources/database.js'
import {abroad, allow, home, region, trust} from '../sandbox/rig.js'
import {startAwsRig, type AwsRig} from './aws-rig.js'
import {databaseResource, until} from './rig.js'

const rds = 'abcdefghijklm.us-west-1.rds.amazonaws.com'
const serverless = `${home}.us-west-1.redshift-serverless.amazonaws.com:5439`
const access = `arn:aws:iam::${home}:role/access`
const other = `arn:aws:iam::${home}:role/other`
const override = `arn:aws:iam::${home}:role/override`

let rig: AwsRig
let foreign: Server
let foreignBytes = 0

beforeAll(async () => {
  foreign = createServer((socket) => {
    socket.on('data', (chunk) => (foreignBytes += chunk.length)).on('error', () => undefined)
  })
  await new Promise<void>((resolve) => foreign.listen(0, '127.0.0.1', resolve))
  const everything = allow(['rds-db:*', 'rds:*', 'redshift:*', 'redshift-serverless:*', 'sts:AssumeRole'])
  rig = await startAwsRig(
    {
      accounts: [
        {
          id: home,
          endpointId: 'abcdefghijklm',
          users: [{name: 'agent', inline: {everything}}],
          roles: [
            {name: 'access', trust: trust({AWS: home}), inline: {everything}},
            {name: 'other', trust: trust({AWS: home}), inline: {everything}},
            {name: 'override', trust: trust({AWS: home}), inline: {everything}},
            {name: 'readers', trust: trust({AWS: home}), inline: {everything}},
            {name: 'blind', trust: trust({AWS: home}), inline: {connect: allow('rds-db:connect')}},
          ],
          instances: [
            {id: 'postgres-1', region, resourceId: 'db-ONE', tags: {Team: 'blue', env: 'tagged', 'a b': 'c'}},
          ],
          clusters: [{id: 'aurora', region, resourceId: 'cluster-AURORA', customEndpoints: ['reports']}],
          proxies: [
            {
              name: 'pool',
              region,
              resourceId: 'prx-ONE',
              tags: {Team: 'red'},
              secrets: [{user: 'app', password: 'pencil'}],
            },
          ],
          redshiftClusters: [{id: 'my-redshift', region, tags: {Team: 'green'}}],
          workgroups: [{name: 'my-workgroup', region, endpoints: ['my-endpoint'], tags: {Team: 'grey'}}],
        },
        {id: abroad, endpointId: 'zyxwvutsrqpo', redshiftClusters: [{id: 'my-redshift', region}]},
      ],
      agent: {kind: 'access-key', account: home, user: 'agent', region},
    },
    [
      {name: 'instance', uri: `postgres-1.${rds}:5432`},
      {name: 'member', uri: `aurora-instance-1.${rds}:5432`},
      {name: 'custom', uri: `reports.cluster-custom-${rds}:5432`, aws: {rds: {cluster_id: 'aurora'}}},
      {name: 'pool', uri: `pool.proxy-${rds}:5432`},
      {name: 'cluster', uri: 'my-redshift.abcdefghijklm.us-west-1.redshift.amazonaws.com:5439'},
      {name: 'endpoint', uri: (endpoints) => endpoints.find((endpoint) => endpoint.startsWith('my-endpoint-')) ?? ''},
      {
        name: 'untold',
        uri: `postgres-1.${rds}:5432`,
        aws: {assume_role_arn: `arn:aws:iam::${home}:role/blind`},
      },
    ],
    {
      sql: ['create role alice login; grant rds_iam to alice', 'create database dev'],
      agent: {
        selectors: [{'*': ['*']}],
        awsRules: {
          roles: [
            {labels: {team: ['overridden', 'elsewhere']}, assumeRoleArn: other},
            {labels: {team: ['overridden']}, assumeRoleArn: override},
          ],
          allowedRoles: [access],
        },
      },
    },
  )
  await until(() => newest().length === 7 && newest().every(({health}) => health.status !== 'unknown'), 'all are told')
})

afterAll(async () => {
  await rig.stop()
  foreign.close()
})

const newest = (): HeartbeatRequest['databases'] => rig.agents.plane.heartbeats.at(-1)?.databases ?? []
const told = (name: string): Database | undefined =>
  newest().find(({database}) => database.metadata.name === name)?.database

async function toldAs(name: string, isReady: (database: Database) => boolean): Promise<Database> {
  let found: Database | undefined
  await until(() => {
    found = told(name)
    return found !== undefined && isReady(found)
  }, `${name} is told with what AWS says`)
  if (!found) throw new Error(`${name} is not told`)
  return found
}

const isDescribed = ({spec: {aws}}: Database): boolean => aws?.account_id !== undefined

describe('what AWS says about a database of the configuration', () => {
  it('fills its settings, and its tags become labels that the configuration overrides', async () => {
    const {metadata, spec} = await toldAs('instance', ({spec: {aws}}) => aws?.rds?.resource_id !== undefined)
    expect(metadata.labels).toEqual({env: 'dev', Team: 'blue'})
    expect(metadata.description).toBe('RDS instance in us-west-1')
    expect(spec.aws).toEqual({
      region,
      account_id: home,
      rds: {instance_id: 'postgres-1', resource_id: 'db-ONE', iam_auth: true},
    })
  })

  it.each<[string, string, Record<string, unknown>, Record<string, string>]>([
    ['member', 'RDS instance in us-west-1', {rds: {cluster_id: 'aurora', resource_id: 'cluster-AURORA'}}, {}],
    ['custom', 'Aurora cluster in us-west-1 (custom endpoint)', {rds: {resource_id: 'cluster-AURORA'}}, {}],
    ['pool', 'RDS Proxy in us-west-1', {rdsproxy: {resource_id: 'prx-ONE'}}, {Team: 'red'}],
    ['cluster', 'Redshift cluster in us-west-1', {redshift: {cluster_id: 'my-redshift'}}, {Team: 'green'}],
    [
      'endpoint',
      'Redshift Serverless endpoint in us-west-1',
      {redshift_serverless: {workgroup_name: 'my-workgroup'}},
      {Team: 'grey'},
    ],
  ])('is known of %s', async (name, description, aws, labels) => {
    const {metadata, spec} = await toldAs(name, isDescribed)
    expect(metadata).toMatchObject({description, labels: {...labels, env: 'dev'}})
    expect(spec.aws).toMatchObject({account_id: home, region, ...aws})
  })

  it('is not needed to connect', async () => {
    expect(await rig.psql({database: 'untold', dbUser: 'alice'}, 'select 1')).toBe('1')
    expect(told('untold')?.metadata).toMatchObject({description: 'RDS instance in us-west-1', labels: {env: 'dev'}})
  })

  it('gives the name in the certificate behind a custom endpoint', async () => {
    await toldAs('custom', isDescribed)
    expect(await rig.psql({database: 'custom', dbUser: 'alice'}, 'select 1')).toBe('1')
  })

  it('gives the workgroup behind a VPC endpoint', async () => {
    await toldAs('endpoint', isDescribed)
    const where = {database: 'endpoint', dbUser: 'readers', dbName: 'dev'}
    expect(await rig.psql(where, 'select current_user')).toBe('IAMR:readers')
  })
})

describe('a database on AWS that a user created', () => {
  let count = 0

  /** Puts one into the cluster, and gives its name when the agent serves it. */
  async function create(uri: string, changes: Partial<Database['spec']>, labels = {}): Promise<string> {
    count += 1
    const name = `dynamic-${count}`
    const item = databaseResource(name, uri, changes)
    rig.agents.plane.put({kind: 'db', name, item: {...item, metadata: {name, labels}}})
    await until(() => told(name) !== undefined, 'the agent serves it')
    return name
  }

  it('gets credentials where AWS names its endpoint', async () => {
    const database = await create(`postgres-1.${rds}:5432`, {})
    expect(await rig.psql({database, dbUser: 'alice'}, 'select current_user')).toBe('alice')
    expect(told(database)?.metadata.labels).toEqual({})
  })

  it('gets nothing with a foreign uri and the name of a real workgroup', async () => {
    const asked = rig.sandbox.sandbox.world.redshiftCredentials.size
    const {port} = foreign.address() as AddressInfo
    const uri = `localhost:${port}`
    const settings = {region, account_id: home, redshift_serverless: {workgroup_name: 'my-workgroup'}}
    const database = await create(uri, {aws: settings})
    const said = await rig.refusal({database, dbUser: 'readers', dbName: 'dev'})
    expect(said).toContain('AWS does not know "localhost" as an endpoint')
    expect(foreignBytes).toBe(0)
    expect(rig.sandbox.sandbox.world.redshiftCredentials.size).toBe(asked)
  })

  it('gets nothing at a cluster of the same name in another account', async () => {
    const database = await create('my-redshift.zyxwvutsrqpo.us-west-1.redshift.amazonaws.com:5439', {})
    expect(await rig.refusal({database, dbUser: 'alice'})).toContain('AWS does not know "my-redshift.zyxwvutsrqpo')
  })

  it('gets nothing when AWS does not know it', async () => {
    const database = await create(`missing.${serverless}`, {})
    expect(await rig.refusal({database, dbUser: 'readers'})).toContain('AWS has not confirmed')
  })

  it('may not say whom to trust', async () => {
    const database = await create(`postgres-1.${rds}:5432`, {tls: {mode: 'insecure'}})
    expect(await rig.refusal({database, dbUser: 'alice'})).toContain('sets tls')
  })

  it('may name only the roles that the host allows', async () => {
    const refused = await create(`postgres-1.${rds}:5432`, {aws: {assume_role_arn: other}})
    expect(await rig.refusal({database: refused, dbUser: 'alice'})).toContain(`may not assume ${other}`)
    const allowed = await create(`postgres-1.${rds}:5432`, {aws: {assume_role_arn: access}})
    expect(await rig.psql({database: allowed, dbUser: 'alice'}, 'select 1')).toBe('1')
  })

  it('is signed in to with the role that the host has for its labels', async () => {
    const sessions = (): number =>
      [...rig.sandbox.sandbox.world.sessions.values()].filter(({principal}) => principal.arn.includes('/override/'))
        .length
    expect(sessions()).toBe(0)
    const database = await create(`postgres-1.${rds}:5432`, {aws: {assume_role_arn: access}}, {team: 'overridden'})
    expect(await rig.psql({database, dbUser: 'alice'}, 'select 1')).toBe('1')
    expect(sessions()).toBeGreaterThan(0)
  })
})
