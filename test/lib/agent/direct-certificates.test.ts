import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {DirectCertificates} from '../../../src/lib/agent/direct-certificates.js'
import {silentLogger} from '../../../src/lib/core/log.js'
import {databaseServerName} from '../../../src/lib/resources/route.js'
import {cluster, minute, Plane} from './plane.js'
import {databaseResource, dialTls, startRig, until, type Rig} from './rig.js'

let plane: Plane

beforeAll(async () => {
  plane = await Plane.create()
})

describe('certificates of the direct route', () => {
  const requested: string[] = []
  let away = false
  let now = Date.now()
  let monotonic = 0
  const certificates = (serves: (database: string) => boolean = () => true): DirectCertificates =>
    new DirectCertificates({
      api: {
        directServerCertificate: (body) => {
          requested.push(body.database)
          return away ? Promise.reject(new Error('away')) : plane.api.directServerCertificate(body)
        },
      },
      clock: {now: () => now, monotonic: () => monotonic},
      logger: silentLogger,
      serves,
    })

  it('are asked for once for clients that come together, and only for what is served', async () => {
    requested.length = 0
    const asked = certificates((database) => database !== 'billing')
    const [one, two, none] = await Promise.all(['orders', 'orders', 'billing'].map((name) => asked.contextFor(name)))
    expect(one).toBeDefined()
    expect(two).toBe(one)
    expect(none).toBeUndefined()
    expect(requested).toEqual(['orders'])
  })

  it('are renewed at half of their life, and the old one serves until the control plane answers', async () => {
    requested.length = 0
    now = Date.now()
    const asked = certificates()
    const first = await asked.contextFor('orders')
    now += 31 * minute
    away = true
    try {
      expect(await asked.contextFor('orders')).toBe(first)
      await until(() => requested.length === 2, 'a new one is asked for')
      now += 30 * minute
      expect(await asked.contextFor('orders')).toBeUndefined()
      expect(requested).toHaveLength(2)
    } finally {
      away = false
      now = Date.now()
    }
    monotonic += 1000
    now += 61 * minute
    expect(await asked.contextFor('orders')).not.toBe(first)
    now = Date.now()
  })
})

describe('the direct route', () => {
  let rig: Rig

  beforeAll(async () => {
    const databases = ['example', 'Other', 'refused'].map((name) => databaseResource(name, '127.0.0.1:1'))
    plane.refused = [{name: 'refused', reason: 'another agent serves it'}]
    rig = await startRig({plane, uri: '', agent: {databases}})
  })

  afterAll(async () => {
    await rig.stop()
  })

  const namesShownFor = async (servername: string): Promise<string | undefined> => {
    const {host, port} = rig.proxy.address
    const socket = await dialTls({
      ...{host, port, servername, ca: [plane.host.certificate]},
      ALPNProtocols: ['postgresql'],
    })
    const names = socket.getPeerX509Certificate()?.subjectAltName
    socket.destroy()
    return names
  }

  it('shows a certificate that names the one database that is asked for, whatever its case', async () => {
    expect(await namesShownFor('example.db.example.com')).toBe('DNS:example.db.example.com')
    expect(await namesShownFor('OTHER.db.example.com')).toBe('DNS:other.db.example.com')
    expect(await namesShownFor('Example.DB.example.com')).toBe('DNS:example.db.example.com')
  })

  it('is closed for a database that the agent does not serve, or may not', async () => {
    for (const name of ['elsewhere', 'refused']) {
      await expect(namesShownFor(databaseServerName(name, cluster))).rejects.toThrow()
    }
  })
})
