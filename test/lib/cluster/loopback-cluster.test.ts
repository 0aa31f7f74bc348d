import {once} from 'node:events'
import {mkdtemp, rm} from 'node:fs/promises'
import {createServer, Server, type AddressInfo, type ListenOptions} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, beforeEach, expect, it, jest} from '@jest/globals'
import {startLoopbackCluster} from '../../../src/lib/cluster/loopback-cluster.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {silentLogger} from '../../../src/lib/core/log.js'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'loopback-'))
})

afterEach(async () => {
  jest.restoreAllMocks()
  await rm(directory, {recursive: true})
})

it.each([
  ['Auth Service', 1],
  ['proxy', 2],
])('starts on other ports when that of the %s is gone since it was found', async (_, which) => {
  const listen = Object.getOwnPropertyDescriptor(Server.prototype, 'listen')?.value as (...words: unknown[]) => Server
  const others: Server[] = []
  let found = 0
  jest.spyOn(Server.prototype, 'listen').mockImplementation(function (this: Server, ...words: unknown[]) {
    const [at] = words as [ListenOptions]
    if (Number(at.port) > 0) found += 1
    if (found === which && others.length === 0) {
      // Somebody else is faster.
      others.push(listen.call(createServer(), at))
    }
    return listen.call(this, ...words)
  })
  const options = {directory, clusterName: 'loopback', version: '0.1.0', logger: silentLogger, clock: systemClock}
  const cluster = await startLoopbackCluster(options)
  try {
    expect(others).toHaveLength(1)
    expect(cluster.proxy).not.toBe(`127.0.0.1:${(others[0]?.address() as AddressInfo).port}`)
    await expect(cluster.admin.status()).resolves.toMatchObject({cluster: 'loopback'})
  } finally {
    await cluster.stop()
    for (const other of others) await once(other.close(), 'close')
  }
})
