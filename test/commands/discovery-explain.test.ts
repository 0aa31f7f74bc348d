import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {agentFileHead} from '../helpers/agent-file.js'
import {runCli, type Finished} from '../helpers/cli.js'
import {abroad, allow, home, region, startRig, trust, type Rig} from '../lib/sandbox/rig.js'

const far = 'eu-west-1'
let rig: Rig
let directory: string
let config: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-discovery-'))
  config = join(directory, 'postern.yaml')
  rig = await startRig({
    accounts: [
      {
        id: home,
        endpointId: 'abcdefghijklm',
        users: [
          {name: 'agent', inline: {look: allow(['rds:*', 'redshift*:*', 'sts:*'])}},
          {name: 'blind', inline: {look: allow('sts:*')}},
          {name: 'untagged', inline: {look: allow(['rds:Describe*', 'sts:*'])}},
        ],
        instances: [
          {id: 'orders', region, tags: {env: 'prod'}},
          {id: 'scratch', region},
          {id: 'away', region: far},
        ],
        clusters: [{id: 'main', region, customEndpoints: ['reports'], tags: {env: 'prod'}}],
        proxies: [{name: 'pool', region, secrets: [], tags: {env: 'prod'}}],
        redshiftClusters: [{id: 'warehouse', region, tags: {env: 'prod'}}],
      },
      {
        id: abroad,
        roles: [{name: 'finder', trust: trust({AWS: home}), inline: {look: allow('rds:*')}}],
        instances: [{id: 'orders', region, tags: {env: 'prod'}}],
      },
    ],
  })
  await writeFile(
    config,
    `${agentFileHead}  aws:
  - {types: [rds, redshift], regions: [${region}], tags: {env: prod}}
discovery_service:
  enabled: yes
  aws:
  - {types: [rdsproxy], regions: [${region}, ${far}], tags: {env: [prod, dev]}}
  - {types: [rds], regions: [${region}], assume_role_arn: "arn:aws:iam::${abroad}:role/finder"}
`,
  )
})

afterAll(async () => {
  await rig.close()
  await rm(directory, {recursive: true})
})

function explain(arn: string, words: readonly string[] = [], user = 'agent'): Promise<Finished> {
  const {accessKeyId, secretAccessKey} = rig.keyOf(user)
  return runCli(['discovery', 'explain', '-c', config, arn, ...words], {
    environment: {
      ...rig.sandbox.environment,
      AWS_REGION: region,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
    },
  })
}

const rds = (resource: string, account = home, where = region): string => `arn:aws:rds:${where}:${account}:${resource}`

describe('discovery explain', () => {
  it('says what finds a database, and why the other matchers do not', async () => {
    expect(await explain(rds('db:orders'))).toEqual({
      code: 0,
      stderr: '',
      stdout: `db_service.aws[0]: found, as "orders-rds-${region}-${home}" (orders.abcdefghijklm.${region}.rds.amazonaws.com:5432).
discovery_service.aws[0]: not found: this is of the type rds; the matcher is for rdsproxy.
discovery_service.aws[1]: not found: this is in account ${home}; the matcher looks into ${abroad}.
`,
    })
  })

  it.each([
    [rds('db:scratch'), 'its tags are none; the matcher demands env=prod'],
    [rds('db:away', home, far), `this is in ${far}; the matcher is for ${region}`],
    [rds('db:nothing'), `AWS lists no such database in ${region}`],
    [rds('db:main-instance-1'), 'it is a member of the cluster main, whose endpoints are registered in its place'],
  ])('%s: %s', async (arn, reason) => {
    const {code, stdout} = await explain(arn)
    expect(code).toBe(1)
    expect(stdout).toContain(`db_service.aws[0]: not found: ${reason}.`)
    expect(stdout).not.toContain(': found')
  })

  it('names each endpoint of a cluster', async () => {
    const {stdout} = await explain(rds('cluster:main'))
    expect(stdout).toContain(`found, as "main-rds-aurora-${region}-${home}"`)
    expect(stdout).toContain(`found, as "main-custom-reports-rds-aurora-${region}-${home}"`)
  })

  it('knows a Redshift cluster by its ARN, and other accounts by their role', async () => {
    const warehouse = `arn:aws:redshift:${region}:${home}:cluster:warehouse`
    expect((await explain(warehouse)).stdout).toContain(`found, as "warehouse-redshift-${region}-${home}"`)
    const {stdout} = await explain(rds('db:orders', abroad))
    expect(stdout).toContain(`discovery_service.aws[1]: found, as "orders-rds-${region}-${abroad}"`)
  })

  it('says what AWS refuses', async () => {
    const denied = await explain(rds('db:orders'), [], 'blind')
    expect(denied.code).toBe(1)
    expect(denied.stdout).toMatch(/db_service.aws\[0\]: not found: AWS does not list them: .*rds:DescribeDBInstances/)
    const proxy = rig.sandbox.world.accounts.get(home)?.proxies[0]?.arn ?? ''
    expect((await explain(proxy, [], 'untagged')).stdout).toContain('AWS does not let its tags be read')
    expect((await explain(proxy)).code).toBe(0)
  })

  it('answers as JSON', async () => {
    const {stdout} = await explain(rds('db:orders'), ['--format=json'])
    expect(JSON.parse(stdout)).toMatchObject([
      {place: 'db_service.aws[0]', found: [{name: `orders-rds-${region}-${home}`}], reasons: []},
      {found: [], reasons: [expect.any(String)]},
      {found: [], reasons: [expect.any(String)]},
    ])
  })

  it.each(['orders', 'arn:aws:s3:::bucket', rds('snapshot:x'), 'arn:aws:rds:us-west-1:1:db:x'])(
    '%s is a mistake of usage',
    async (arn) => {
      const {code, stderr} = await explain(arn)
      expect(code).toBe(2)
      expect(stderr).toContain('is not the ARN of a database')
    },
  )
})
