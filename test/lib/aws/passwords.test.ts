import {afterEach, describe, expect, it} from '@jest/globals'
import {toAwsDatabase, type AwsDatabase} from '../../../src/lib/aws/aws-database.js'
import {Aws} from '../../../src/lib/aws/aws.js'
import type {Secret} from '../../../src/lib/core/secret.js'
import type {InstanceProfileDefinition} from '../../../src/lib/sandbox/definition.js'
import {databaseResource} from '../agent/rig.js'
import {allow, home, policy, region, startRig, trust, type Rig} from '../sandbox/rig.js'

const minute = 60_000
const endpoint = 'postgres-1.abcdefghijklm.us-west-1.rds.amazonaws.com:5432'
const variable = 'AWS_EC2_METADATA_SERVICE_ENDPOINT'
const role = `arn:aws:iam::${home}:role/access`

let rig: Rig
let aws: Aws
const before = process.env[variable]

afterEach(async () => {
  await rig.close()
  if (before === undefined) Reflect.deleteProperty(process.env, variable)
  else process.env[variable] = before
})

/** An agent on an instance, whose clock the test moves together with AWS'. */
async function start(profile: Partial<InstanceProfileDefinition> = {}): Promise<void> {
  rig = await startRig({
    accounts: [
      {
        id: home,
        endpointId: 'abcdefghijklm',
        roles: [
          {
            name: 'instance',
            trust: policy({Effect: 'Allow', Principal: {Service: 'ec2.amazonaws.com'}, Action: 'sts:AssumeRole'}),
            inline: {all: allow('*')},
          },
          {
            name: 'access',
            trust: trust({AWS: home}, {Action: ['sts:AssumeRole', 'sts:TagSession']}),
            inline: {all: allow('*')},
          },
        ],
        redshiftClusters: [{id: 'my-redshift', region}],
      },
    ],
    agent: {kind: 'instance-profile', account: home, role: 'instance', region, ...profile},
  })
  rig.clock.hold()
  process.env[variable] = rig.sandbox.environment[variable]
  aws = new Aws({environment: {...rig.sandbox.environment, HOME: '/nonexistent'}, clock: rig.clock})
}

const databaseOf = (uri: string, settings: object = {}): AwsDatabase => {
  const database = toAwsDatabase(databaseResource('db', uri, {aws: settings}))
  if (!database) throw new Error('not on AWS')
  return database
}

const passwordOf = async (uri: string, settings = {}, dbUser = 'alice', dbName = 'dev'): Promise<Secret> =>
  (await aws.passwords.get({database: databaseOf(uri, settings), dbUser, dbName})).password

const sessionsOf = (name: string): number =>
  [...rig.sandbox.world.sessions.values()].filter(({principal}) => principal.arn.includes(`/${name}/`)).length

describe('a token is used again', () => {
  it('for fourteen minutes, by every database of the instance', async () => {
    await start()
    const first = await passwordOf(endpoint)
    expect(await passwordOf(endpoint, {}, 'alice', 'shop')).toBe(first)
    rig.clock.ahead = 13.9 * minute
    expect(await passwordOf(endpoint)).toBe(first)
    rig.clock.ahead = 14.1 * minute
    expect(await passwordOf(endpoint)).not.toBe(first)
  })

  it.each<[string, () => Promise<Secret>]>([
    ['another user', () => passwordOf(endpoint, {}, 'bob')],
    ['another port', () => passwordOf(endpoint.replace('5432', '5433'))],
    ['another role', () => passwordOf(endpoint, {assume_role_arn: role})],
    ['another external id', () => passwordOf(endpoint, {assume_role_arn: role, external_id: 'x-1'})],
    ['other session tags', () => passwordOf(endpoint, {assume_role_arn: role, session_tags: {team: 'blue'}})],
  ])('but not for %s', async (_, other) => {
    await start()
    const some = [await passwordOf(endpoint), await passwordOf(endpoint, {assume_role_arn: role, external_id: 'x-2'})]
    expect(some).not.toContain(await other())
  })

  it('but not after the database refused it', async () => {
    await start()
    const first = await passwordOf(endpoint)
    const request = {database: databaseOf(endpoint), dbUser: 'alice', dbName: 'dev', refused: first}
    const [second, third] = await Promise.all([aws.passwords.get(request), aws.passwords.get(request)])
    expect(second.password).not.toBe(first)
    expect(third.password).toBe(second.password)
  })

  it('on Redshift by the same database only', async () => {
    await start()
    const cluster = 'my-redshift.abcdefghijklm.us-west-1.redshift.amazonaws.com:5439'
    const first = await passwordOf(cluster)
    expect(await passwordOf(cluster, {}, 'ALICE', 'Dev')).toBe(first)
    expect(await passwordOf(cluster, {}, 'alice', 'shop')).not.toBe(first)
  })
})

describe('the credentials behind a token', () => {
  it('are renewed first when they have less than fifteen minutes left', async () => {
    await start()
    const settings = {assume_role_arn: role}
    await passwordOf(endpoint, settings)
    rig.clock.ahead = 40 * minute
    await passwordOf(endpoint, settings, 'bob')
    expect(sessionsOf('access')).toBe(1)
    rig.clock.ahead = 50 * minute
    await passwordOf(endpoint, settings, 'carol')
    expect(sessionsOf('access')).toBe(2)
  })

  it('end it when they cannot be had for longer', async () => {
    await start({credentialLifetime: 10 * minute})
    const first = await passwordOf(endpoint)
    rig.clock.ahead = 4 * minute
    expect(await passwordOf(endpoint)).toBe(first)
    rig.clock.ahead = 9.5 * minute
    expect(await passwordOf(endpoint)).not.toBe(first)
  })

  it('are asked for once, however many sign-ins wait for them', async () => {
    await start()
    await Promise.all(['a', 'b', 'c', 'd'].map((user) => passwordOf(endpoint, {assume_role_arn: role}, user)))
    expect(sessionsOf('access')).toBe(1)
    expect(sessionsOf('instance')).toBe(1)
  })
})
