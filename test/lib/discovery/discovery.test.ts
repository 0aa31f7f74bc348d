import {afterAll, afterEach, beforeAll, describe, expect, it} from '@jest/globals'
import {Aws} from '../../../src/lib/aws/aws.js'
import type {Matcher} from '../../../src/lib/aws/survey.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {silentLogger, type Logger} from '../../../src/lib/core/log.js'
import {startDiscovery, type Discovery} from '../../../src/lib/discovery/discovery.js'
import type {Database} from '../../../src/lib/resources/database.js'
import {startTestAuth, type TestAuth, type TestHost} from '../../helpers/auth.js'
import {abroad, allow, home, region, startRig, trust, type Rig} from '../sandbox/rig.js'

const finder = `arn:aws:iam::${abroad}:role/finder`
const nameOf = (id: string, account = home): string => `${id}-rds-${region}-${account}`
const matcher = (tags: Matcher['tags'] = {'*': ['*']}, more: Partial<Matcher> = {}): Matcher => ({
  types: ['rds'],
  regions: [region],
  tags,
  ...more,
})

let rig: Rig
let auth: TestAuth
let hosts: readonly [TestHost, TestHost]
let running: Discovery[] = []
let warnings: string[] = []
let writes = 0

beforeAll(async () => {
  rig = await startRig({
    accounts: [
      {
        id: home,
        users: [{name: 'agent', inline: {look: allow(['rds:*', 'sts:*'])}}],
        instances: [
          {id: 'orders', region, tags: {env: 'prod'}},
          {id: 'ledger', region, tags: {env: 'dev'}},
        ],
      },
      {
        id: abroad,
        roles: [{name: 'finder', trust: trust({AWS: home}), inline: {look: allow('rds:*')}}],
        instances: [{id: 'orders', region}],
      },
    ],
  })
  auth = await startTestAuth()
  hosts = [await auth.joinHost('Discovery'), await auth.joinHost('Discovery')]
})

afterEach(async () => {
  await Promise.all(running.map((one) => one.close()))
  running = []
  warnings = []
  rig.sandbox.world.switches.outages.clear()
  for (const {metadata} of await databases()) await auth.admin.deleteResource('db', metadata.name)
})

afterAll(async () => {
  await auth.stop()
  await rig.close()
})

const logger: Logger = {
  ...silentLogger,
  warn: (message, fields) => warnings.push(`${message} ${JSON.stringify(fields)}`),
}

/** A service on one of the two hosts, with clients of AWS of its own; it looks when the test says so. */
async function start(host: TestHost, group: string, ...matchers: Matcher[]): Promise<Discovery> {
  const {accessKeyId, secretAccessKey} = rig.keyOf('agent')
  const environment = {
    ...rig.sandbox.environment,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_REGION: region,
  }
  const aws = new Aws({environment, clock: systemClock})
  const api = {
    discoveredDatabases: host.client.discoveredDatabases.bind(host.client),
    putDiscovered: (request: Parameters<typeof host.client.putDiscovered>[0]) => {
      writes += 1
      return host.client.putDiscovered(request)
    },
    removeDiscovered: (request: Parameters<typeof host.client.removeDiscovered>[0]) => {
      writes += 1
      return host.client.removeDiscovered(request)
    },
  }
  const service = startDiscovery({
    api,
    list: (scope) => aws.list(scope),
    matchers,
    group,
    pollMilliseconds: 3_600_000,
    logger,
  })
  running.push(service)
  await service.poll()
  return service
}

const databases = async (): Promise<Database[]> => (await auth.admin.listResources('db')).items
const names = async (): Promise<string[]> => (await databases()).map(({metadata}) => metadata.name).sort()
/** Names and revisions: equal as long as nobody has written anything. */
const state = async (): Promise<unknown> =>
  (await databases()).map(({metadata}) => [metadata.name, metadata.revision]).sort()

async function withInstance(id: string, change: (tags: Map<string, string>) => void): Promise<void> {
  const instance = rig.sandbox.world.accounts.get(home)?.instances.find((one) => one.id === id)
  if (!instance) throw new Error(`there is no ${id}`)
  change(instance.tags)
  await Promise.resolve()
}

/** AWS without the instance, for as long as the work takes. */
async function without(id: string, work: () => Promise<void>): Promise<void> {
  const instances = rig.sandbox.world.accounts.get(home)?.instances ?? []
  const index = instances.findIndex((one) => one.id === id)
  const [gone] = instances.splice(index, 1)
  try {
    await work()
  } finally {
    if (gone) instances.push(gone)
  }
}

describe('a discovery service', () => {
  it('registers what it finds, with its group, and says so in the audit log', async () => {
    const service = await start(hosts[0], 'blue', matcher())
    expect(service.ready()).toBe(true)
    expect(service.databases()).toBe(2)
    expect(await names()).toEqual([nameOf('ledger'), nameOf('orders')])
    const {items} = await auth.admin.getResource('db', nameOf('orders'))
    expect(items[0]?.metadata.labels).toMatchObject({
      'postern.dev/origin': 'cloud',
      'postern.internal/discovery-group-name': 'blue',
      env: 'prod',
    })
    const {events} = await auth.admin.events({event: 'db.create', limit: 10})
    expect(events.at(-1)).toMatchObject({user: hosts[0].joined.hostId, user_kind: 3})
  })

  it('follows tags, and removes what AWS says is gone', async () => {
    const service = await start(hosts[0], 'blue', matcher({env: ['prod']}))
    expect(await names()).toEqual([nameOf('orders')])
    await withInstance('ledger', (tags) => tags.set('env', 'prod'))
    await service.poll()
    expect(await names()).toEqual([nameOf('ledger'), nameOf('orders')])
    await withInstance('ledger', (tags) => tags.set('env', 'dev'))
    await service.poll()
    expect(await names()).toEqual([nameOf('orders')])
    await without('orders', () => service.poll())
    expect(await names()).toEqual([])
    expect(service.databases()).toBe(0)
  })

  it('keeps what it knows of an account that does not answer, and goes on with the other', async () => {
    const both = [matcher(), matcher({'*': ['*']}, {assumeRoleArn: finder})]
    const service = await start(hosts[0], 'blue', ...both)
    const before = await names()
    expect(before).toEqual([nameOf('ledger'), nameOf('orders'), nameOf('orders', abroad)])
    const role = rig.sandbox.world.accounts.get(abroad)?.roles.get('finder')
    const grants = role?.grants.latest
    if (grants) role.grants.set({...grants, inline: new Map()}, 0)
    await without('ledger', () => service.poll())
    expect(await names()).toEqual([nameOf('orders'), nameOf('orders', abroad)])
    expect(warnings).toEqual([expect.stringMatching(/those that are known stay.*rds:DescribeDBInstances/)])
    rig.sandbox.world.switches.outages.add('rds')
    await service.poll()
    expect(await names()).toEqual([nameOf('orders'), nameOf('orders', abroad)])
    rig.sandbox.world.switches.outages.clear()
    if (grants) role.grants.set(grants, 0)
    await service.poll()
    expect(await names()).toEqual(before)
  })

  it('leaves alone what somebody else has under the name, and says whose it is', async () => {
    const mine: Database = {
      kind: 'db',
      version: 'v3',
      metadata: {name: nameOf('orders')},
      spec: {protocol: 'postgres', uri: 'orders.internal:5432'},
    }
    await auth.admin.createResource(mine)
    const service = await start(hosts[0], 'blue', matcher())
    await service.poll()
    const {items} = await auth.admin.getResource('db', nameOf('orders'))
    expect(items[0]?.spec.uri).toBe('orders.internal:5432')
    expect(warnings).toEqual([expect.stringContaining('it belongs to somebody who created it')])
  })
})

describe('two discovery services', () => {
  /** Both look again and again, in turn and at the same moment, and nothing is written. */
  async function rest(...services: readonly Discovery[]): Promise<void> {
    const before = await state()
    writes = 0
    for (let round = 0; round < 3; round += 1) {
      for (const service of services) await service.poll()
      await Promise.all(services.map((service) => service.poll()))
    }
    expect(await state()).toEqual(before)
    expect(warnings.filter((text) => !text.includes('belongs to'))).toEqual([])
  }

  it('in one group keep the same databases, whoever was first', async () => {
    const services = await Promise.all(hosts.map((host) => start(host, 'blue', matcher())))
    await rest(...services)
    expect(writes).toBe(0)
    await without('ledger', async () => {
      await Promise.all(services.map((service) => service.poll()))
      expect(await names()).toEqual([nameOf('orders')])
      await rest(...services)
    })
  })

  it('in one group with different matchers remove nothing of each other and change nothing back and forth', async () => {
    const one = await start(hosts[0], 'blue', matcher({env: ['prod']}))
    const other = await start(hosts[1], 'blue', matcher({env: ['dev']}))
    expect(await names()).toEqual([nameOf('ledger'), nameOf('orders')])
    await rest(one, other)
    const all = await start(hosts[1], 'blue', matcher(undefined, {externalId: 'unused', assumeRoleArn: finder}))
    const same = await start(hosts[0], 'blue', matcher({'*': ['*']}))
    await rest(one, other, all, same)
    expect(writes).toBe(0)
  })

  it('in different groups over one account leave each other alone', async () => {
    const blue = await start(hosts[0], 'blue', matcher())
    const green = await start(hosts[1], 'green', matcher())
    await rest(blue, green)
    const groups = (await databases()).map(({metadata}) => metadata.labels?.['postern.internal/discovery-group-name'])
    expect(groups).toEqual(['blue', 'blue'])
    expect(warnings.filter((text) => text.includes('the discovery group \\"blue\\"'))).toHaveLength(2)
    await without('ledger', async () => {
      await green.poll()
      expect(await names()).toContain(nameOf('ledger'))
      await blue.poll()
      expect(await names()).not.toContain(nameOf('ledger'))
    })
  })
})

describe('the control plane', () => {
  const found = (change: Partial<Database['metadata']> = {}, spec: Partial<Database['spec']> = {}): Database => ({
    kind: 'db',
    version: 'v3',
    metadata: {name: 'x', labels: {'postern.dev/origin': 'config-file'}, ...change},
    spec: {protocol: 'postgres', uri: `x.abc.${region}.rds.amazonaws.com:5432`, ...spec},
  })

  it('lets nobody else register for discovery, and discovery nothing else', async () => {
    const agent = await auth.joinHost('Db')
    await expect(agent.client.putDiscovered({group: '', database: found()})).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
    })
    const {client} = hosts[0]
    const inside = found({}, {uri: 'db.internal:5432'})
    await expect(client.putDiscovered({group: '', database: inside})).rejects.toMatchObject({code: 'INVALID'})
    const insecure = found({}, {tls: {mode: 'insecure'}})
    await expect(client.putDiscovered({group: '', database: insecure})).rejects.toMatchObject({code: 'INVALID'})
    await expect(client.createResource(found())).rejects.toMatchObject({code: 'ACCESS_DENIED'})
  })

  it('says itself where a database comes from and whose it is', async () => {
    const {client} = hosts[0]
    const labels = {'postern.dev/origin': 'dynamic', 'postern.internal/discovery-group-name': 'other'}
    await client.putDiscovered({group: 'blue', database: found({labels})})
    const {items} = await auth.admin.getResource('db', 'x')
    expect(items[0]?.metadata.labels).toEqual({
      'postern.dev/origin': 'cloud',
      'postern.internal/discovery-group-name': 'blue',
    })
    await client.removeDiscovered({group: 'green', name: 'x'})
    expect(await names()).toEqual(['x'])
    await client.removeDiscovered({group: 'blue', name: 'X'})
    expect(await names()).toEqual([])
  })
})
