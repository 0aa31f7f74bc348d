import {afterAll, beforeAll, expect, it} from '@jest/globals'
import {mkdtemp, readFile, rm, stat} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {contactCluster} from '../../../src/lib/api/contact.js'
import {HostIdentity, type HostOptions} from '../../../src/lib/cluster/host-identity.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {silentLogger} from '../../../src/lib/core/log.js'
import {Secret} from '../../../src/lib/core/secret.js'
import {startTestAuth, testCluster, type TestAuth} from '../../helpers/auth.js'

const day = 24 * 3_600_000
let plane: TestAuth
let dataDir: string
/** What the host's wall clock says beyond the truth, in milliseconds. */
let ahead = 0

beforeAll(async () => {
  plane = await startTestAuth()
  dataDir = await mkdtemp(join(tmpdir(), 'postern-host-'))
})

afterAll(async () => {
  await plane.stop()
  await rm(dataDir, {recursive: true, force: true})
})

function options(token?: string): HostOptions {
  const {host, port} = plane.auth.address
  return {
    dataDir,
    systemRole: 'Db',
    version: '0.1.0',
    token: () => Promise.resolve(token === undefined ? undefined : new Secret(token)),
    firstContact: async () => (await contactCluster(host, port, {pins: plane.auth.caPins()})).endpoint,
    address: plane.auth.address,
    clock: {...systemClock, now: () => Date.now() + ahead},
    logger: silentLogger,
  }
}

const stored = (): Promise<string> => readFile(join(dataDir, 'host', 'db.json'), 'utf8')

it('joins once, keeps its identity for its owner alone, and needs no token again', async () => {
  await expect(HostIdentity.open(options())).rejects.toMatchObject({code: 'INVALID'})
  await expect(HostIdentity.open(options('0123456789abcdef'))).rejects.toMatchObject({code: 'ACCESS_DENIED'})
  const {token} = await plane.admin.addToken({roles: ['Db']})
  const first = await HostIdentity.open(options(token))
  expect(first.cluster).toBe(testCluster)
  await first.api.heartbeat({hostname: 'x', version: '0.1.0', databases: []})
  await first.close()
  expect((await stat(join(dataDir, 'host', 'db.json'))).mode & 0o777).toBe(0o600)
  const again = await HostIdentity.open(options())
  expect(again.hostId).toBe(first.hostId)
  await again.close()
})

it('renews its certificate from half of its life on, with a key of its own, and keeps its id', async () => {
  const before = await stored()
  ahead = 44 * day
  const early = await HostIdentity.open(options())
  await early.close()
  expect(await stored()).toBe(before)

  ahead = 46 * day
  const host = await HostIdentity.open(options())
  try {
    while ((await stored()) === before) await new Promise((resolve) => setTimeout(resolve, 20))
    const [old, renewed] = [before, await stored()].map((text) => JSON.parse(text) as Record<string, string>)
    expect(renewed?.hostId).toBe(old?.hostId)
    expect(renewed?.certificate).not.toBe(old?.certificate)
    expect(renewed?.privateKey).not.toBe(old?.privateKey)
    expect(host.credentials().certificate).toBe(renewed?.certificate)
    await host.api.heartbeat({hostname: 'x', version: '0.1.0', databases: []})
  } finally {
    await host.close()
  }
})
