import {afterAll, beforeAll, beforeEach, describe, expect, it} from '@jest/globals'
import {createHash} from 'node:crypto'
import {selects} from '../../../src/lib/access/selector.js'
import {Aws} from '../../../src/lib/aws/aws.js'
import {fullNameOf, obstacleOf, shortenName, toResource, type Candidate} from '../../../src/lib/aws/found-database.js'
import {fingerprintOf, survey, type Matcher, type Survey} from '../../../src/lib/aws/survey.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {databaseSchema, type Database} from '../../../src/lib/resources/database.js'
import {abroad, allow, home, region, startRig, trust, type Rig} from '../sandbox/rig.js'

const far = 'eu-west-1'
const finder = `arn:aws:iam::${abroad}:role/finder`
const everything: Matcher = {
  types: ['rds', 'rdsproxy', 'redshift', 'redshift-serverless'],
  regions: [region],
  tags: {'*': ['*']},
}
const many = Array.from({length: 101}, (_, index) => `shard-${index}`)

let rig: Rig
let aws: Aws

beforeAll(async () => {
  rig = await startRig({
    accounts: [
      {
        id: home,
        endpointId: 'abcdefghijklm',
        users: [{name: 'agent', inline: {look: allow(['rds:*', 'redshift*:*', 'sts:*'])}}],
        instances: [
          {id: 'orders', region, tags: {env: 'prod', 'postern.dev/origin': 'mine', region: 'nowhere', 'a b': 'c'}},
          {id: 'ledger', region: far, tags: {env: 'dev'}},
          ...many.map((id) => ({id, region: far, tags: {env: 'prod'}})),
        ],
        clusters: [
          {id: 'aurora', region, members: ['aurora-1', 'aurora-2'], customEndpoints: ['reports'], tags: {env: 'prod'}},
          {id: 'lonely', region, tags: {PosternDatabaseName: 'main'}},
        ],
        proxies: [
          {name: 'pool', region, secrets: [], endpoints: [{name: 'readers', readOnly: true}], tags: {team: 'a'}},
        ],
        redshiftClusters: [{id: 'warehouse', region, tags: {env: 'prod'}}],
        workgroups: [{name: 'adhoc', region, namespace: 'lake', endpoints: ['private'], tags: {env: 'prod'}}],
      },
      {
        id: abroad,
        roles: [
          {
            name: 'finder',
            trust: trust({AWS: home}, {Condition: {StringEquals: {'sts:ExternalId': 'ext-1'}}}),
            inline: {look: allow('rds:*')},
          },
        ],
        instances: [{id: 'orders', region}],
      },
    ],
  })
  const {accessKeyId, secretAccessKey} = rig.keyOf('agent')
  aws = new Aws({
    environment: {
      ...rig.sandbox.environment,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_REGION: region,
    },
    clock: systemClock,
  })
})

beforeEach(() => {
  rig.sandbox.world.switches.outages.clear()
})

afterAll(() => rig.close())

const look = (...matchers: Matcher[]): Promise<Survey> => survey({matchers, list: (scope) => aws.list(scope), selects})

const byName = (result: Survey): ReadonlyMap<string, Database> =>
  new Map(result.found.map(({database}) => [database.metadata.name, database]))

describe('what AWS has', () => {
  it('is found for the four types, under names of its own, as resources that are valid', async () => {
    const result = await look(everything)
    expect(result.failures).toEqual([])
    const databases = byName(result)
    expect([...databases.keys()].sort()).toEqual(
      [
        `adhoc-redshift-serverless-${region}-${home}`,
        `aurora-custom-reports-rds-${region}-${home}`,
        `aurora-rds-${region}-${home}`,
        `aurora-reader-rds-${region}-${home}`,
        'main',
        `orders-rds-${region}-${home}`,
        `pool-rdsproxy-${region}-${home}`,
        `pool-readers-rdsproxy-${region}-${home}`,
        `private-redshift-serverless-${region}-${home}`,
        `warehouse-redshift-${region}-${home}`,
      ].sort(),
    )
    for (const database of databases.values()) expect(databaseSchema.safeParse(database).error).toBeUndefined()
  })

  it('has labels of what it is and of its tags; tags pass for none of ours', async () => {
    const databases = byName(await look(everything))
    const common = {'account-id': home, region, 'postern.dev/origin': 'cloud', 'postern.dev/cloud': 'AWS'}
    expect(databases.get(`orders-rds-${region}-${home}`)?.metadata).toEqual({
      name: `orders-rds-${region}-${home}`,
      description: `RDS instance in ${region}`,
      labels: {
        ...common,
        env: 'prod',
        engine: 'postgres',
        'engine-version': '16.4',
        'endpoint-type': 'instance',
        'vpc-id': expect.stringMatching(/^vpc-/),
        'postern.dev/discovery-type': 'rds',
      },
    })
    expect(databases.get(`aurora-reader-rds-${region}-${home}`)?.metadata).toMatchObject({
      description: `Aurora cluster in ${region} (reader endpoint)`,
      labels: {...common, engine: 'aurora-postgresql', 'endpoint-type': 'reader', env: 'prod'},
    })
    expect(databases.get(`pool-readers-rdsproxy-${region}-${home}`)).toMatchObject({
      metadata: {
        description: `RDS Proxy endpoint in ${region}`,
        labels: {...common, engine: 'POSTGRESQL', 'endpoint-type': 'READ_ONLY', team: 'a'},
      },
      spec: {aws: {rdsproxy: {custom_endpoint_name: 'readers', resource_id: expect.stringMatching(/^prx-/)}}},
    })
    expect(databases.get(`warehouse-redshift-${region}-${home}`)?.metadata.labels).toMatchObject({
      ...common,
      env: 'prod',
    })
    expect(databases.get(`private-redshift-serverless-${region}-${home}`)).toMatchObject({
      metadata: {labels: {'endpoint-type': 'vpc-endpoint', namespace: 'lake', workgroup: 'adhoc'}},
      spec: {aws: {redshift_serverless: {endpoint_name: 'private'}}},
    })
  })

  it('is read to the last page', async () => {
    const result = await look({...everything, types: ['rds'], regions: [far]})
    expect(result.found).toHaveLength(many.length + 1)
  })

  it('is what the tags say', async () => {
    const found = async (tags: Matcher['tags']): Promise<number> =>
      (await look({...everything, types: ['rds'], regions: [far], tags})).found.length
    expect(await found({env: ['dev']})).toBe(1)
    expect(await found({env: ['dev', 'prod']})).toBe(many.length + 1)
    expect(await found({team: ['*']})).toBe(0)
  })

  it('E07: has names that differ where two accounts have one of the same name', async () => {
    const result = await look(
      {...everything, types: ['rds']},
      {...everything, types: ['rds'], assumeRoleArn: finder, externalId: 'ext-1'},
    )
    const databases = byName(result)
    expect(databases.get(`orders-rds-${region}-${home}`)?.spec.aws?.assume_role_arn).toBeUndefined()
    expect(databases.get(`orders-rds-${region}-${abroad}`)?.spec.aws).toMatchObject({
      account_id: abroad,
      assume_role_arn: finder,
      external_id: 'ext-1',
    })
    expect(result.clashes).toEqual([])
  })

  it('E08: an RDS Proxy is at its own port, whatever the port of the database behind it', async () => {
    const databases = byName(await look({...everything, types: ['rdsproxy']}))
    expect(databases.get(`pool-rdsproxy-${region}-${home}`)?.spec.uri).toMatch(/^pool\.proxy-.*:5432$/)
  })
})

describe('what AWS does not answer for', () => {
  const known = async (matcher: Matcher): Promise<Database[]> =>
    (await look(matcher)).found.map(({database}) => database)

  it('is unknown, not gone: a service that fails, an account that lets nobody in', async () => {
    const rds = await known({...everything, types: ['rds']})
    const redshift = await known({...everything, types: ['redshift']})
    rig.sandbox.world.switches.outages.add('rds')
    const result = await look(everything, {...everything, types: ['rds'], assumeRoleArn: finder, externalId: 'wrong'})
    expect(result.failures.map(({scope, reason}) => [scope.type, scope.matcher.assumeRoleArn, reason])).toEqual([
      ['rds', undefined, expect.stringContaining('ServiceUnavailable')],
      ['rdsproxy', undefined, expect.stringContaining('ServiceUnavailable')],
      ['rds', finder, expect.stringContaining('sts:AssumeRole')],
    ])
    expect(rds.map((database) => result.standingOf(database))).toEqual(rds.map(() => 'unknown'))
    expect(redshift.every((database) => byName(result).has(database.metadata.name))).toBe(true)
  })

  it('E11: stays as it is while AWS throttles, and few lists are asked for at once', async () => {
    const before = await known({...everything, types: ['redshift']})
    const {switches} = rig.sandbox.world
    switches.requestsPerSecond = 0.001
    try {
      const result = await look(
        {...everything, types: ['redshift']},
        {...everything, types: ['redshift'], tags: {a: ['b']}},
      )
      expect(result.failures.length).toBeGreaterThan(0)
      expect(result.failures.map(({reason}) => reason)).toEqual(
        result.failures.map(() => expect.stringContaining('Throttling')),
      )
      expect(before.every((one) => result.standingOf(one) !== 'gone')).toBe(true)
    } finally {
      switches.requestsPerSecond = Infinity
    }
    let [under, most] = [0, 0]
    const list = async () => {
      under += 1
      most = Math.max(most, under)
      await new Promise((wake) => setTimeout(wake, 5))
      under -= 1
      return {account: home, candidates: []}
    }
    const regions = Array.from({length: 40}, (_, index) => `us-west-${index}`)
    await survey({matchers: [{...everything, regions}], list, selects})
    expect(most).toBe(5)
  })

  it('is gone when AWS lists the others, and unwanted when its tags changed', async () => {
    const account = rig.sandbox.world.accounts.get(home)
    const [ledger] = await known({...everything, types: ['rds'], regions: [far], tags: {env: ['dev']}})
    if (!ledger || !account) throw new Error('the ledger was not found')
    const elsewhere = await look({...everything, types: ['rds']})
    expect(elsewhere.standingOf(ledger)).toBe('unknown')
    const other = await look({...everything, types: ['rds'], regions: [far], tags: {env: ['test']}})
    expect(other.standingOf(ledger)).toBe('unwanted')
    const index = account.instances.findIndex(({id}) => id === 'ledger')
    const [gone] = account.instances.splice(index, 1)
    const after = await look({...everything, types: ['rds'], regions: [far]})
    expect(after.standingOf(ledger)).toBe('gone')
    if (gone) account.instances.push(gone)
  })
})

describe('a name', () => {
  const candidate: Candidate = {
    type: 'rds',
    arns: ['arn'],
    region,
    account: home,
    nameParts: ['orders'],
    endpoint: {host: 'orders.example', port: 5432},
    description: '',
    labels: {},
    tags: {},
    settings: {},
  }

  it.each([
    [{isAurora: true}, `orders-rds-aurora-${region}-${home}`],
    [{nameParts: ['orders', 'custom', 'a  b--c-']}, `orders-custom-a-b-c-rds-${region}-${home}`],
    [{nameParts: [`RDS-orders-${region}`]}, `RDS-orders-${region}-${home}`],
    [{tags: {PosternDatabaseName: 'Main'}}, 'Main'],
    [{tags: {TeleportDatabaseName: 'Old'}}, 'Old'],
    [{nameParts: ['orders', 'reader'], tags: {PosternDatabaseName: 'Main'}}, 'Main-reader'],
    [{tags: {PosternDatabaseName: ''}}, `orders-rds-${region}-${home}`],
  ])('of %j is %s', (change, name) => {
    expect(fullNameOf({...candidate, ...change})).toBe(name)
  })

  it('longer than 63 characters is 46 of them, a hyphen, and 16 hex digits of its SHA-256', () => {
    const long = `${'a'.repeat(40)}-redshift-serverless-${region}-${home}`
    const hash = createHash('sha256').update(long).digest('hex').slice(0, 16)
    expect(shortenName(long)).toBe(`${long.slice(0, 46)}-${hash}`)
    expect(shortenName(long)).toHaveLength(63)
    expect(shortenName('b'.repeat(63))).toBe('b'.repeat(63))
    const database = toResource({...candidate, tags: {PosternDatabaseName: long}}, {})
    expect(database?.metadata.labels).toMatchObject({'postern.internal/discovered-name': long})
  })

  it('that cannot be one keeps the database out, with the reason', () => {
    const strange = {...candidate, tags: {PosternDatabaseName: '1st'}}
    expect(obstacleOf(strange)).toEqual({lasts: 'never', reason: 'its name here would be "1st", which is none'})
    expect(toResource(strange, {})).toBeUndefined()
  })

  it('that two have goes to the first, and the other is told', async () => {
    const twins = [candidate, {...candidate, endpoint: {host: 'other.example', port: 5432}}]
    const list = () => Promise.resolve({account: home, candidates: twins})
    const result = await survey({matchers: [{...everything, types: ['rds']}], list, selects})
    expect(result.found).toHaveLength(1)
    expect(result.clashes).toEqual([
      {name: `orders-rds-${region}-${home}`, uri: 'other.example:5432', holder: 'orders.example:5432'},
    ])
  })

  it('stays with a database that takes no connections for now, and leaves one that is being deleted', async () => {
    const standing = async (obstacle: Candidate['obstacle'], more: Partial<Candidate> = {}) => {
      const list = () => Promise.resolve({account: home, candidates: [{...candidate, ...more, obstacle}]})
      const result = await survey({matchers: [{...everything, types: ['rds'], tags: {env: ['x']}}], list, selects})
      const database = toResource(candidate, {})
      return database && result.standingOf(database)
    }
    expect(await standing({lasts: 'now', reason: 'its status is "stopped"'})).toBe('unknown')
    expect(await standing({lasts: 'never', reason: 'it is being deleted'})).toBe('unwanted')
    expect(await standing(undefined)).toBe('unwanted')
    expect(await standing(undefined, {tagsDenied: true})).toBe('unknown')
  })
})

it('a matcher has one fingerprint, whatever the order it is written in', () => {
  const one: Matcher = {types: ['rds', 'redshift'], regions: ['a', 'b'], tags: {x: ['1', '2'], y: ['3']}}
  const other: Matcher = {types: ['redshift', 'rds'], regions: ['b', 'a'], tags: {y: ['3'], x: ['2', '1']}}
  expect(fingerprintOf(one)).toBe(fingerprintOf(other))
  expect(fingerprintOf(one)).not.toBe(fingerprintOf({...one, assumeRoleArn: finder}))
})
