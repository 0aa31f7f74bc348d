import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import type {PostgresServer} from '../../src/lib/cluster/postgres.js'
import {cli, freePort, runCli, startService, type Service} from '../helpers/cli.js'
import {addPerson, guideRole} from '../helpers/three-hosts.js'
import {realPostgres, startOpenPostgres} from '../lib/sandbox/databases.js'
import {allow, home, region, startRig, type Rig} from '../lib/sandbox/rig.js'

/** Everything in one process, its agent with two workers: one database is found by the agent, one by the Discovery Service. */
const nameOf = (id: string): string => `${id}-rds-${region}-${home}`

let directory: string
let postgres: PostgresServer
let rig: Rig
let service: Service
let admin: readonly string[]
let alice: NodeJS.ProcessEnv

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-discovery-'))
  postgres = await startOpenPostgres()
  rig = await startRig(
    {
      accounts: [
        {
          id: home,
          users: [{name: 'agent', inline: {all: allow(['rds:Describe*', 'rds-db:connect', 'sts:*'])}}],
          instances: [
            {id: 'orders', region, tags: {via: 'agent'}},
            {id: 'ledger', region, tags: {via: 'service'}},
          ],
        },
      ],
      agent: {kind: 'access-key', account: home, user: 'agent', region},
    },
    realPostgres(postgres),
  )
  await postgres.execute('create role alice login; grant rds_iam to alice')
  const authPort = await freePort()
  const port = await freePort()
  const config = join(directory, 'postern.yaml')
  await writeFile(
    config,
    `version: v3
postern: {data_dir: '${directory}/data'}
auth_service: {enabled: yes, cluster_name: postern.example.com, listen_addr: '127.0.0.1:${authPort}'}
proxy_service: {enabled: yes, web_listen_addr: '127.0.0.1:${port}', public_addr: '127.0.0.1:${port}'}
db_service:
  enabled: yes
  workers: 2
  resources: [{labels: {via: service}}]
  aws:
  - {types: [rds], regions: [${region}], tags: {via: agent}}
discovery_service:
  enabled: yes
  discovery_group: all
  poll_interval: 1s
  aws:
  - {types: [rds], regions: [${region}], tags: {via: service}}
`,
  )
  service = await startService(['-c', config, '--drain=1s'], rig.sandbox.environment)
  admin = ['--config', config]
  const caPin = /sha256:[0-9a-f]{64}/.exec(await cli(['status', ...admin]))?.[0] ?? ''
  await cli(['create', ...admin], {input: guideRole})
  const person = (name: string): NodeJS.ProcessEnv => ({POSTERN_HOME: join(directory, 'homes', name)})
  alice = await addPerson({proxy: `127.0.0.1:${port}`, caPin, admin, person}, 'alice')
})

afterAll(async () => {
  await service.stop()
  await rig.close()
  await postgres.stop()
  await rm(directory, {recursive: true, force: true})
})

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 800; attempt += 1) {
    if (await holds()) return
    await new Promise((wake) => setTimeout(wake, 200))
  }
  throw new Error(`waited in vain: ${what}\n${service.log()}`)
}

const listed = async (): Promise<string> => cli(['db', 'ls'], {environment: alice})

/** A worker may hear of a database a moment after the control plane does. */
async function connects(name: string): Promise<void> {
  const words = ['db', 'connect', name, '--db-user=alice', '--db-name=postgres', '--', '-Atc', 'select current_user']
  let last = ''
  await until(`${name} lets alice in`, async () => {
    const {stdout, stderr} = await runCli(words, {environment: alice})
    last = stderr
    return stdout.trim() === 'alice'
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${last}`)
  })
}

describe('databases that are found', () => {
  it('are listed and let people in, through workers, whoever found them', async () => {
    for (const id of ['orders', 'ledger']) {
      await until(`${id} is listed`, async () => (await listed()).includes(nameOf(id)))
      await connects(nameOf(id))
    }
    const [ledger] = JSON.parse(await cli(['get', `db/${nameOf('ledger')}`, '--format=json', ...admin])) as {
      readonly metadata: {readonly labels: Readonly<Record<string, string>>}
    }[]
    expect(ledger?.metadata.labels).toMatchObject({
      'postern.dev/origin': 'cloud',
      'postern.internal/discovery-group-name': 'all',
    })
    expect((await runCli(['get', `db/${nameOf('orders')}`, ...admin])).code).toBe(5)
  })

  it('go when they are gone', async () => {
    rig.sandbox.world.accounts.get(home)?.instances.splice(1, 1)
    await until('the ledger is gone', async () => !(await listed()).includes(nameOf('ledger')))
    expect(await listed()).toContain(nameOf('orders'))
  })
})
