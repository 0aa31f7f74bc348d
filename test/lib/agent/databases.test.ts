import {createServer, type Server, type Socket} from 'node:net'
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import {Catalog} from '../../../src/lib/agent/catalog.js'
import {isForbiddenAddress, resolveTarget} from '../../../src/lib/agent/target-address.js'
import type {HeartbeatRequest} from '../../../src/lib/api/requests.js'
import {silentLogger} from '../../../src/lib/core/log.js'
import {afterRunning} from '../../../src/lib/core/running-time.js'
import type {TargetHealth} from '../../../src/lib/resources/database-server.js'
import {freePort} from '../../helpers/cli.js'
import {healthCheckConfig, Plane} from './plane.js'
import {database, databaseResource, refusal, startRig, until, type Rig, type RigOptions} from './rig.js'

/** Something that can be connected to. */
class Target {
  port = 0
  accepted = 0
  readonly #sockets = new Set<Socket>()
  readonly #server: Server = createServer((socket) => {
    this.accepted += 1
    this.#sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => this.#sockets.delete(socket))
  })

  async open(): Promise<void> {
    if (this.port === 0) this.port = await freePort()
    await new Promise<void>((resolve) => this.#server.listen(this.port, '127.0.0.1', resolve))
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

let target: Target
let rig: Rig
const rigs: Rig[] = []

beforeEach(async () => {
  target = new Target()
  await target.open()
})

afterEach(async () => {
  for (const started of rigs.splice(0)) await started.stop()
  await target.close()
})

async function start(options: RigOptions): Promise<Rig> {
  const started = await startRig(options)
  rigs.push(started)
  return started
}

const uri = (): string => `127.0.0.1:${target.port}`
const names = (catalog: Catalog): string[] => catalog.served.map(({database: {metadata}}) => metadata.name).sort()

function newest(agent: Rig): HeartbeatRequest['databases'] {
  return agent.plane.heartbeats.at(-1)?.databases ?? []
}

describe('the databases of an agent', () => {
  const changes: string[] = []
  const catalogOf = (): Catalog =>
    new Catalog({
      databases: [databaseResource('fixed', 'db1:5432')],
      selectors: [{env: ['dev']}],
      logger: silentLogger,
      onChange: (name, served) => {
        changes.push(`${name} ${served?.database.spec.uri ?? 'gone'}`)
      },
    })

  beforeEach(() => {
    changes.length = 0
  })

  it('are those of its configuration and the resources that its selectors match', () => {
    const catalog = catalogOf()
    const other = {...databaseResource('other', 'db3:5432'), metadata: {name: 'other', labels: {env: 'prod'}}}
    catalog.reconcile([databaseResource('moving', 'db2:5432'), other])
    expect(names(catalog)).toEqual(['fixed', 'moving'])
    expect(catalog.find('FIXED')?.origin).toBe('config-file')
    expect(catalog.find('Moving')?.origin).toBe('dynamic')
    catalog.reconcile([])
    expect(names(catalog)).toEqual(['fixed'])
    expect(changes).toEqual(['moving db2:5432', 'moving gone'])
  })

  it('stay those of the configuration when a resource takes their name in other letters', () => {
    const catalog = catalogOf()
    catalog.reconcile([databaseResource('Fixed', 'evil:5432')])
    expect(catalog.find('fixed')?.database.spec.uri).toBe('db1:5432')
    expect(changes).toEqual([])
  })

  it('change only when their definition does', () => {
    const catalog = catalogOf()
    catalog.reconcile([databaseResource('moving', 'db2:5432')])
    catalog.reconcile([databaseResource('moving', 'db2:5432')])
    catalog.reconcile([databaseResource('moving', 'db4:5432')])
    expect(changes).toEqual(['moving db2:5432', 'moving db4:5432'])
  })
})

describe('the address of a database that a user created', () => {
  it.each([
    ['127.0.0.1', '127.8.9.1', '0.0.0.0', '169.254.169.254', '168.63.129.16', '100.100.100.200'],
    ['::1', '::', 'fe80::1', 'fd00:ec2::254', '::ffff:127.0.0.1', '::ffff:169.254.169.254', '64:ff9b::7f00:1'],
  ])('must not be %s and its like', (...addresses: string[]) => {
    for (const address of addresses) expect([address, isForbiddenAddress(address)]).toEqual([address, true])
  })

  it('may be anywhere else', () => {
    for (const address of ['10.0.0.1', '192.168.1.1', '8.8.8.8', '2001:db8::1', 'fd12::1', '::ffff:10.0.0.1']) {
      expect([address, isForbiddenAddress(address)]).toEqual([address, false])
    }
  })

  it('is resolved before it is judged', async () => {
    const dynamic = {database: databaseResource('moving', 'localhost:5432'), origin: 'dynamic' as const}
    const rules = {allowLoopback: false, connectAddresses: new Map()}
    await expect(resolveTarget(dynamic, rules)).rejects.toThrow('"localhost" leads to a loopback')
    expect((await resolveTarget(dynamic, {...rules, allowLoopback: true})).host).toBe('localhost')
    const fixed = {...dynamic, origin: 'config-file' as const}
    expect((await resolveTarget(fixed, rules)).port).toBe(5432)
  })

  it('is not even tried by health checks when it must not be', async () => {
    rig = await start({uri: uri(), agent: {databases: [], selectors: [{'*': ['*']}]}})
    rig.plane.put({kind: 'db', name: database, item: databaseResource(database, uri())})
    await until(() => rig.agent.databases()[0]?.health.status === 'unhealthy', 'the check was made')
    expect(rig.agent.databases()[0]?.health.transition_error).toContain('loopback')
    const error = await refusal(rig, await rig.guest())
    expect(error).toMatchObject({severity: 'FATAL', code: '28000'})
    expect(target.accepted).toBe(0)
  })
})

describe('heartbeats', () => {
  it('tell the databases and their health, soon after each change', async () => {
    // None but those of changes.
    rig = await start({uri: uri(), agent: {heartbeatMilliseconds: 3_600_000}})
    await until(() => newest(rig)[0]?.health.status === 'healthy', 'the first check is told')
    expect(rig.plane.heartbeats[0]).toMatchObject({hostname: 'db-host', version: '0.1.0'})
    expect(newest(rig)).toMatchObject([
      {
        database: {metadata: {name: database}},
        health: {
          address: uri(),
          protocol: 'TCP',
          transition_reason: 'threshold_reached',
          message: '1 health check passed',
        },
      },
    ])
    // Longer than changes are gathered: all of them are told.
    const allTold = (): Promise<void> => new Promise((resolve) => afterRunning(500, resolve))
    await allTold()
    const beats = rig.plane.heartbeats.length
    rig.plane.put({kind: 'db', name: 'ignored', item: databaseResource('ignored', uri())})
    await allTold()
    expect(rig.plane.heartbeats).toHaveLength(beats)
  })

  it('come again and again', async () => {
    rig = await start({uri: uri(), agent: {heartbeatMilliseconds: 50}})
    await until(() => rig.plane.heartbeats.length > 5, 'several heartbeats')
  })

  it('may be answered with a refusal, and then the database is not served', async () => {
    rig = await start({uri: uri(), agent: {heartbeatMilliseconds: 50}})
    rig.plane.refused = [{name: database, reason: 'it is outside the scope of the join token'}]
    await until(async () => {
      const socket = await rig.dial(await rig.guest())
      const line = await new Promise<Buffer>((resolve) => socket.once('data', resolve))
      socket.destroy()
      return line.toString().includes('"unreachable"')
    }, 'the agent sends clients elsewhere')
  })
})

describe('health checks', () => {
  const often = {interval: '20ms', timeout: '60s', healthy_threshold: 3, unhealthy_threshold: 2} as const
  const configure = (name: string, spec: Parameters<typeof healthCheckConfig>[1]): void => {
    rig.plane.put({kind: 'health_check_config', name, item: healthCheckConfig(name, spec)})
  }
  const health = (): TargetHealth => {
    const first = rig.agent.databases()[0]
    if (!first) throw new Error('no database')
    return first.health
  }

  it('change the status after as many results in a row as the threshold says', async () => {
    rig = await start({uri: uri()})
    await until(() => health().status === 'healthy', 'the first check decides')
    configure('default', often)
    expect(health().message).toBe('1 health check passed')
    await until(() => rig.plane.heard(), 'the agent knows how often')
    await target.close()
    await until(() => health().status === 'unhealthy', 'two checks failed')
    expect(health()).toMatchObject({message: '2 health checks failed', transition_reason: 'threshold_reached'})
    expect(health()).toHaveProperty('transition_error')
    await target.open()
    await until(() => health().status === 'healthy', 'three checks passed')
    expect(health().message).toBe('3 health checks passed')
    expect(health()).not.toHaveProperty('transition_error')
  })

  it('are for databases by their labels, and the first configuration by name counts', async () => {
    rig = await start({uri: uri()})
    await until(() => health().status === 'healthy', 'the first check decides')
    await target.close()
    configure('default', {...often, match: {db_labels: [{name: 'env', values: ['pro*']}]}})
    await until(() => health().transition_reason === 'disabled', 'nothing is for this database any more')
    expect(health()).toMatchObject({status: 'unknown', address: uri()})
    expect(health()).not.toHaveProperty('message')
    configure('by-expression', {...often, match: {db_labels_expression: 'labels["env"] == "dev"'}})
    await until(() => health().status === 'unhealthy', 'it is checked again')
    // Of two the first by name counts: this one takes more passes than there will be.
    const never = {...often, healthy_threshold: 1_000_000}
    configure('a-first', {...never, match: {db_labels: [{name: 'env', values: ['dev']}]}})
    await until(() => rig.plane.heard(), 'the agent knows it')
    target.accepted = 0
    await target.open()
    await until(() => target.accepted > 10, 'it is checked by the first')
    expect(health().status).toBe('unhealthy')
    rig.plane.delete('health_check_config', 'by-expression')
    rig.plane.delete('health_check_config', 'a-first')
    await until(() => health().status === 'unknown', 'nothing is for this database any more')
    await until(() => rig.plane.heartbeats.at(-1)?.databases[0]?.health.transition_reason === 'disabled', 'it is told')
  })

  it('begin only when the control plane has said how', async () => {
    const plane = await Plane.create()
    plane.delete('health_check_config', 'default')
    rig = await start({plane, uri: uri()})
    await until(() => health().transition_reason === 'disabled', 'there is no configuration')
    plane.put({kind: 'health_check_config', name: 'late', item: healthCheckConfig('late', often)})
    await until(() => health().status === 'healthy', 'it is switched on')
  })

  it('take a lower threshold at once', async () => {
    await target.close()
    rig = await start({uri: uri()})
    await until(() => health().status === 'unhealthy', 'the first check decides')
    configure('default', {...often, healthy_threshold: 1_000_000})
    target.accepted = 0
    await target.open()
    await until(() => target.accepted > 3, 'it is checked')
    expect(health().status).toBe('unhealthy')
    // No other check comes before the end of the test.
    configure('default', {...often, healthy_threshold: 2, interval: '1h'})
    await until(() => health().status === 'healthy', 'the streak is judged anew')
    expect(health()).not.toHaveProperty('transition_error')
  })
})
