import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {once} from 'node:events'
import {writeFile} from 'node:fs/promises'
import {createServer, type AddressInfo, type Server} from 'node:net'
import {join} from 'node:path'
import {contactCluster} from '../../../src/lib/api/contact.js'
import {Transport} from '../../../src/lib/api/transport.js'
import {WatchClient} from '../../../src/lib/api/watch-client.js'
import type {WatchEvent} from '../../../src/lib/api/watch-event.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {silentLogger} from '../../../src/lib/core/log.js'
import {createAuthority} from '../../../src/lib/pki/issuing.js'
import {pinOf} from '../../../src/lib/pki/pin.js'
import {startTestAuth, testCluster, type TestAuth} from '../../helpers/auth.js'

let plane: TestAuth

beforeAll(async () => {
  plane = await startTestAuth()
})

afterAll(() => plane.stop())

describe('the first contact', () => {
  const contact = (trust: Parameters<typeof contactCluster>[2]) =>
    contactCluster(plane.auth.address.host, plane.auth.address.port, trust)

  it('goes by the pin of the host CA, and is verified from there on', async () => {
    const {find, endpoint} = await contact({pins: plane.auth.caPins()})
    expect(find.cluster_name).toBe(testCluster)
    expect(endpoint).toMatchObject({serverName: `auth.${testCluster}`, authorities: [expect.stringContaining('BEGIN')]})
  })

  it('fails on another pin, before anything secret is sent', async () => {
    const other = await createAuthority({cluster: testCluster, type: 'host', now: Date.now()})
    await expect(contact({pins: [pinOf(other.certificate)]})).rejects.toMatchObject({code: 'UNTRUSTED'})
    await expect(contact({pins: ['sha256:abc']})).rejects.toMatchObject({code: 'INVALID'})
  })

  it('goes by a CA file, and not by the roots of the system for a certificate of our own', async () => {
    const {authorities} = await plane.clientOf().hostAuthorities()
    const file = join(plane.options.dataDir, 'ca.pem')
    await writeFile(file, authorities.join(''))
    expect((await contact({caFile: file})).find.cluster_name).toBe(testCluster)
    await expect(contact({})).rejects.toMatchObject({code: 'UNTRUSTED'})
    expect((await contact({insecure: true})).find.cluster_name).toBe(testCluster)
  })
})

describe('a request', () => {
  const listen = async (serve: Parameters<typeof createServer>[1]): Promise<{server: Server; port: number}> => {
    const server = createServer(serve).listen(0, '127.0.0.1')
    await once(server, 'listening')
    return {server, port: (server.address() as AddressInfo).port}
  }

  it('to nobody is UNREACHABLE, and so is one to a server that stays silent', async () => {
    const {server, port} = await listen((socket) => socket.on('error', () => undefined))
    const silent = new Transport({host: '127.0.0.1', port, authorities: 'unverified'}, {connectTimeoutMilliseconds: 50})
    await expect(silent.request('GET', '/')).rejects.toMatchObject({code: 'UNREACHABLE', exitCode: 7})
    await silent.close()
    server.close()
    const gone = new Transport({host: '127.0.0.1', port: 1, authorities: 'unverified'})
    await expect(gone.request('GET', '/')).rejects.toMatchObject({code: 'UNREACHABLE', exitCode: 7})
    await gone.close()
  })

  it('has its error told with the code and the hints of the control plane', async () => {
    await expect(plane.admin.getResource('role', 'nothing')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      exitCode: 5,
      hints: [expect.stringContaining('postern get role')],
    })
  })
})

it('a watch tells everything, then changes, and is fresh only by answered pings', async () => {
  const host = await plane.joinHost('Db')
  const events: WatchEvent[] = []
  let starts = 0
  const watch = new WatchClient({
    client: host.client,
    // Time stands still: however long this takes, no stream is given up.
    clock: {...systemClock, monotonic: () => 0},
    logger: silentLogger,
    onStart: () => {
      starts += 1
    },
    onEvent: (event) => events.push(event),
  })
  try {
    expect(watch.staleness()).toBe(Infinity)
    const seen = async (check: () => boolean): Promise<void> => {
      while (!check()) await new Promise((resolve) => setTimeout(resolve, 10))
    }
    await seen(() => events.some(({type}) => type === 'ready') && watch.staleness() < Infinity)
    const kinds = new Set(events.flatMap((event) => (event.type === 'put' ? [event.kind] : [])))
    expect(kinds).toContain('role')
    expect(kinds).toContain('authority')
    expect(kinds).not.toContain('db_server')
    await plane.admin.createResource({
      kind: 'lock',
      version: 'v2',
      metadata: {name: 'one'},
      spec: {target: {user: 'x'}},
    })
    await plane.admin.deleteResource('lock', 'one')
    await seen(() => events.some((event) => event.type === 'delete' && event.name === 'one'))
    const changes = events.filter((event) => 'name' in event && event.name === 'one').map(({type}) => type)
    expect(changes).toEqual(['put', 'delete'])
    expect(starts).toBe(1)
  } finally {
    await watch.close()
  }
})
