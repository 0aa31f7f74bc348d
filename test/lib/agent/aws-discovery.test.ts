import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {silentLogger, type Logger} from '../../../src/lib/core/log.js'
import {abroad, allow, home, region, trust} from '../sandbox/rig.js'
import {startAwsRig, type AwsRig} from './aws-rig.js'
import {databaseResource, until} from './rig.js'

const nameOf = (id: string, account = home): string => `${id}-rds-${region}-${account}`
const access = `arn:aws:iam::${abroad}:role/access`

let rig: AwsRig
const warnings: string[] = []
const logger: Logger = {...silentLogger, warn: (message) => warnings.push(message), with: () => logger}

beforeAll(async () => {
  const everything = allow(['rds-db:connect', 'rds:Describe*', 'sts:*'])
  rig = await startAwsRig(
    {
      accounts: [
        {
          id: home,
          endpointId: 'abcdefghijklm',
          users: [{name: 'agent', inline: {everything}}],
          instances: [
            {id: 'orders', region, tags: {env: 'prod'}},
            {id: 'ledger', region, tags: {env: 'prod', PosternDatabaseName: 'configured'}},
            {id: 'scratch', region, tags: {env: 'dev'}},
          ],
        },
        {
          id: abroad,
          endpointId: 'zyxwvutsrqpo',
          roles: [{name: 'access', trust: trust({AWS: home}), inline: {everything}}],
          instances: [{id: 'orders', region, tags: {env: 'prod'}}],
        },
      ],
      agent: {kind: 'access-key', account: home, user: 'agent', region},
    },
    [{name: 'configured', uri: `orders.abcdefghijklm.${region}.rds.amazonaws.com:5432`}],
    {
      sql: ['create role alice login', 'grant rds_iam to alice'],
      agent: {
        logger,
        selectors: [{'*': ['*']}],
        discovery: {
          matchers: [
            {types: ['rds'], regions: [region], tags: {env: ['prod']}},
            {types: ['rds'], regions: [region], tags: {env: ['prod']}, assumeRoleArn: access},
          ],
          pollMilliseconds: 200,
        },
      },
    },
  )
})

afterAll(() => rig.stop())

const served = (): readonly string[] =>
  rig.agents.agent
    .databases()
    .map(({database}) => database.metadata.name)
    .sort()
const serves = (...names: readonly string[]): Promise<void> =>
  until(() => served().join() === [...names].sort().join(), `it serves ${names.join()}`)
const who = 'select current_user'

describe('an agent with matchers', () => {
  it('serves what it finds, as itself and as a role, and leaves the names of its configuration alone', async () => {
    await serves('configured', nameOf('orders'), nameOf('orders', abroad))
    expect(await rig.psql({database: nameOf('orders'), dbUser: 'alice'}, who)).toBe('alice')
    expect(await rig.psql({database: nameOf('orders', abroad), dbUser: 'alice'}, who)).toBe('alice')
    const configured = rig.agents.agent.databases().find(({database}) => database.metadata.name === 'configured')
    expect(configured?.database.spec.uri).toMatch(/^orders\./)
  })

  it('announces them with their labels', async () => {
    await until(() => rig.agents.plane.heartbeats.at(-1)?.databases.length === 3, 'the heartbeat has them')
    const found = rig.agents.plane.heartbeats
      .at(-1)
      ?.databases.find(({database}) => database.metadata.name === nameOf('orders'))
    expect(found?.database.metadata.labels).toMatchObject({
      'postern.dev/origin': 'cloud',
      env: 'prod',
      engine: 'postgres',
    })
  })

  it('follows AWS: what comes, what changes its tags, what goes', async () => {
    const {instances = []} = rig.sandbox.sandbox.world.accounts.get(home) ?? {}
    const scratch = instances.find(({id}) => id === 'scratch')
    scratch?.tags.set('env', 'prod')
    await serves('configured', nameOf('orders'), nameOf('orders', abroad), nameOf('scratch'))
    scratch?.tags.set('env', 'dev')
    await serves('configured', nameOf('orders'), nameOf('orders', abroad))
    const [gone] = instances.splice(
      instances.findIndex(({id}) => id === 'orders'),
      1,
    )
    await serves('configured', nameOf('orders', abroad))
    if (gone) instances.push(gone)
    await serves('configured', nameOf('orders'), nameOf('orders', abroad))
  })

  it('E11: keeps what it knows while AWS fails, and lets clients in', async () => {
    const {switches} = rig.sandbox.sandbox.world
    switches.outages.add('rds')
    try {
      await until(() => warnings.some((text) => text.includes('those that are known stay')), 'it has looked')
      expect(served()).toEqual(['configured', nameOf('orders'), nameOf('orders', abroad)].sort())
      expect(await rig.psql({database: nameOf('orders'), dbUser: 'alice'}, who)).toBe('alice')
    } finally {
      switches.outages.clear()
    }
  })

  it('leaves a name to what has it, and gives it to a resource that waits when it is free', async () => {
    const name = nameOf('orders')
    const uriOf = (wanted: string): string | undefined =>
      rig.agents.agent.databases().find(({database}) => database.metadata.name === wanted)?.database.spec.uri
    for (const one of [name, 'sentinel']) {
      rig.agents.plane.put({kind: 'db', name: one, item: databaseResource(one, `${one}.example.com:5432`)})
    }
    await until(() => uriOf('sentinel') !== undefined, 'resources have arrived')
    expect(uriOf(name)).toMatch(/^orders\.abc/)
    const {instances = []} = rig.sandbox.sandbox.world.accounts.get(home) ?? {}
    const [gone] = instances.splice(
      instances.findIndex(({id}) => id === 'orders'),
      1,
    )
    await until(() => uriOf(name) === `${name}.example.com:5432`, 'the resource has the name')
    if (gone) instances.push(gone)
  })
})
