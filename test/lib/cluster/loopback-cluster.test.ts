import {mkdtemp, rm} from 'node:fs/promises'
import {Server, type ListenOptions} from 'node:net'
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
  let found = 0
  let gone: number | undefined
  jest.spyOn(Server.prototype, 'listen').mockImplementation(function (this: Server, ...words: unknown[]) {
    const [{port}] = words as [ListenOptions]
    if (port) found += 1
    if (found !== which || gone !== undefined) return listen.call(this, ...words)
    gone = port
    const taken = Object.assign(new Error(`listen EADDRINUSE: address already in use 127.0.0.1:${port}`), {
      code: 'EADDRINUSE',
    })
    process.nextTick(() => this.emit('error', taken))
    return this
  })
  const options = {directory, clusterName: 'loopback', version: '0.1.0', logger: silentLogger, clock: systemClock}
  const cluster = await startLoopbackCluster(options)
  try {
    expect(gone).toBeDefined()
    expect(cluster.proxy).not.toBe(`127.0.0.1:${gone}`)
    await expect(cluster.admin.status()).resolves.toMatchObject({cluster: 'loopback'})
  } finally {
    await cluster.stop()
  }
})
