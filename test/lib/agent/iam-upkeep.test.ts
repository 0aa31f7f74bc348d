import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {Aws} from '../../../src/lib/aws/aws.js'
import {toAwsDatabase, type AwsDatabase} from '../../../src/lib/aws/aws-database.js'
import type {DatabaseGrant} from '../../../src/lib/aws/iam-policy.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {silentLogger, type Logger} from '../../../src/lib/core/log.js'
import {home, policy, region, trust} from '../sandbox/rig.js'
import {connect, rds, startAwsRig, type AwsRig} from './aws-rig.js'
import {databaseResource, until} from './rig.js'
import {cluster} from './plane.js'
import {expectDocumented} from '../../helpers/troubleshooting.js'
import type {PosternError} from '../../../src/lib/core/errors.js'

const policyName = `${cluster}-postern-database-access`
const access = `arn:aws:iam::${home}:role/access`
const stranger = `arn:aws:iam::${home}:role/stranger`
const own = ['iam:GetUserPolicy', 'iam:PutUserPolicy', 'iam:DeleteUserPolicy']

let rig: AwsRig
const warnings: string[] = []
const logger: Logger = {
  ...silentLogger,
  warn: (message, fields) => warnings.push(`${message} ${JSON.stringify(fields)}`),
  with: () => logger,
}

beforeAll(async () => {
  const describing = {Effect: 'Allow', Action: ['rds:Describe*', 'redshift:Describe*', 'sts:*'], Resource: '*'}
  rig = await startAwsRig(
    {
      accounts: [
        {
          id: home,
          endpointId: 'abcdefghijklm',
          users: [
            {
              name: 'agent',
              inline: {
                base: policy(
                  describing,
                  {Effect: 'Allow', Action: own, Resource: `arn:aws:iam::${home}:user/agent`},
                  {Effect: 'Allow', Action: 'rds:ModifyDBInstance', Resource: '*'},
                ),
              },
            },
            {name: 'other', inline: {base: policy(describing, {Effect: 'Allow', Action: own, Resource: '*'})}},
            {name: 'crowded', inline: {base: policy(describing, {Effect: 'Allow', Action: own, Resource: '*'})}},
          ],
          roles: [
            {
              name: 'access',
              path: '/services/',
              trust: trust({AWS: home}),
              inline: {
                base: policy(describing, {Effect: 'Allow', Action: ['iam:*RolePolicy'], Resource: '*'}),
              },
            },
            {name: 'stranger', trust: trust({AWS: home}), inline: {base: policy(describing)}},
          ],
          instances: [
            {id: 'orders', region, resourceId: 'db-ORDERS'},
            {id: 'closed', region, resourceId: 'db-CLOSED', iamAuthentication: false},
            {id: 'shared', region, resourceId: 'db-SHARED'},
            {id: 'strange', region, resourceId: 'db-STRANGE'},
            {id: 'passing', region, resourceId: 'db-PASSING'},
          ],
          redshiftClusters: [{id: 'warehouse', region}],
        },
      ],
      agent: {kind: 'access-key', account: home, user: 'agent', region},
    },
    [
      {name: 'orders', uri: `orders.${rds}`},
      {name: 'closed', uri: `closed.${rds}`},
      {name: 'shared', uri: `shared.${rds}`, aws: {assume_role_arn: access.replace('role/', 'role/services/')}},
      {name: 'strange', uri: `strange.${rds}`, aws: {assume_role_arn: stranger}},
      {name: 'warehouse', uri: `warehouse.abcdefghijklm.${region}.redshift.amazonaws.com:5439`},
      {name: 'plain', uri: 'plain.example.com:5432'},
    ],
    {
      sql: ['create role alice login', 'grant rds_iam to alice'],
      agent: {iamPolicy: 'auto', logger, selectors: [{'*': ['*']}]},
    },
  )
})

afterAll(() => rig.stop())

type Statements = readonly {readonly Action: string; readonly Resource: string | readonly string[]}[]

function inlineOf(kind: 'users' | 'roles', name: string): Statements | undefined {
  const identity = rig.sandbox.sandbox.world.accounts.get(home)?.[kind].get(name)
  const text = identity?.grants.latest.inline.get(policyName)?.text
  return text === undefined ? undefined : (JSON.parse(text) as {readonly Statement: Statements}).Statement
}

const statusOf = (name: string): string | undefined =>
  rig.agents.plane.heartbeats.at(-1)?.databases.find(({database}) => database.metadata.name === name)?.database.spec.aws
    ?.iam_policy_status
const has = (name: string, status: string): Promise<void> =>
  until(() => statusOf(name) === `IAM_POLICY_STATUS_${status}`, `${name} is ${status}`)

describe('an agent that manages its permissions', () => {
  it('gives the identity of each database what it needs and no more, and the database IAM', async () => {
    for (const name of ['orders', 'closed', 'shared', 'warehouse']) await has(name, 'SUCCESS')
    expect(inlineOf('users', 'agent')).toEqual([
      {
        Effect: 'Allow',
        Action: 'rds-db:connect',
        Resource: expect.arrayContaining([connect('db-ORDERS'), connect('db-CLOSED')]),
      },
      {
        Effect: 'Allow',
        Action: 'redshift:GetClusterCredentials',
        Resource: ['dbuser', 'dbname', 'dbgroup'].map(
          (kind) => `arn:aws:redshift:${region}:${home}:${kind}:warehouse/*`,
        ),
      },
    ])
    expect(inlineOf('roles', 'access')).toEqual([
      {Effect: 'Allow', Action: 'rds-db:connect', Resource: connect('db-SHARED')},
    ])
    for (const database of ['orders', 'closed', 'shared']) {
      expect(await rig.psql({database, dbUser: 'alice'}, 'select current_user')).toBe('alice')
    }
    expect(statusOf('plain')).toBeUndefined()
  })

  it('says where it may not, and why, and goes on with the others', async () => {
    await has('strange', 'FAILED')
    expect(warnings.join('\n')).toMatch(/cannot give itself a permission.*iam:GetRolePolicy/)
    expect(inlineOf('roles', 'stranger')).toBeUndefined()
  })

  it('takes the permission away with the resource, and leaves the others', async () => {
    rig.agents.plane.put({kind: 'db', name: 'passing', item: databaseResource('passing', `passing.${rds}`)})
    await has('passing', 'SUCCESS')
    expect(JSON.stringify(inlineOf('users', 'agent'))).toContain('db-PASSING')
    rig.agents.plane.delete('db', 'passing')
    await until(() => !JSON.stringify(inlineOf('users', 'agent')).includes('db-PASSING'), 'the permission is gone')
    expect(JSON.stringify(inlineOf('users', 'agent'))).toContain('db-ORDERS')
  })
})

describe('the inline policy', () => {
  const grantOf = (id: string): DatabaseGrant => ({type: 'rds', signIn: [connect(id)]})
  const database = (): AwsDatabase => {
    const found = toAwsDatabase(databaseResource('orders', `orders.${rds}`, {tls: undefined, aws: {region}}))
    if (!found) throw new Error('no database of AWS')
    return found
  }
  function awsOf(user: string): Aws {
    const {accessKeyId, secretAccessKey} = rig.sandbox.keyOf(user)
    const keys = {AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_REGION: region}
    return new Aws({environment: {...rig.sandbox.sandbox.environment, ...keys}, clock: systemClock})
  }
  const keep = (user: string, add: readonly DatabaseGrant[], remove: readonly DatabaseGrant[] = []) =>
    awsOf(user).keepPolicy(database(), {policyName, add, remove})

  it('E06: is one, and is written once, however often agents start: nothing is left behind', async () => {
    expect(await keep('other', [grantOf('db-A')])).toBe(true)
    for (let restart = 0; restart < 50; restart += 1) expect(await keep('other', [grantOf('db-A')])).toBe(false)
    const inline = rig.sandbox.sandbox.world.accounts.get(home)?.users.get('other')?.grants.latest.inline
    expect([...(inline?.keys() ?? [])]).toEqual(['base', policyName])
  })

  it('has what all agents put there at the same moment', async () => {
    const ids = ['db-B', 'db-C', 'db-D']
    // Each looks again after a while: who was held up between its look and its writing took something away.
    for (let look = 0; look < 2; look += 1) await Promise.all(ids.map((id) => keep('other', [grantOf(id)])))
    const text = JSON.stringify(inlineOf('users', 'other'))
    for (const id of ['db-A', ...ids]) expect(text).toContain(connect(id))
  })

  it('is deleted when nothing is left in it', async () => {
    await keep('other', [], ['db-A', 'db-B', 'db-C', 'db-D'].map(grantOf))
    expect(inlineOf('users', 'other')).toBeUndefined()
  })

  it('that would be too long is not sent; the error is in the words of AWS, with the ways out of the guides', async () => {
    const many = Array.from({length: 40}, (_, index) => grantOf(`db-${'A'.repeat(24)}${index}`))
    await expect(keep('crowded', many)).rejects.toMatchObject({
      message: expect.stringContaining('LimitExceeded: Maximum policy size of 2048 bytes exceeded for user crowded'),
      hints: [expect.stringContaining('assume_role_arn'), expect.stringContaining('"*"')],
    })
    const refused = (await keep('crowded', many).catch((error: unknown) => error)) as PosternError
    await expectDocumented('limit-exceeded', [refused.message, ...refused.hints].join('\n'))
    // Together with the other inline policies of the user it is too long for AWS, which says so.
    const some = many.slice(0, 22)
    await expect(keep('crowded', some)).rejects.toMatchObject({
      message: expect.stringContaining('LimitExceeded: Maximum policy size of 2048 bytes exceeded for user crowded'),
      hints: expect.arrayContaining([expect.stringContaining('assume_role_arn')]),
    })
    expect(inlineOf('users', 'crowded')).toBeUndefined()
  })
})
