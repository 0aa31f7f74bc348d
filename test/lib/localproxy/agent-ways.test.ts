import {describe, expect, it} from '@jest/globals'
import {once} from 'node:events'
import {createServer, type AddressInfo} from 'node:net'
import type {Upstream, UpstreamSource} from '../../../src/lib/localproxy/upstream.js'
import {
  cleanups,
  errorIn,
  holdTime,
  hostA,
  hostB,
  open,
  receive,
  setup,
  startup,
  type FakeAgent,
  type Setup,
} from './rig.js'

const unanswered = 'connections that were accepted and never answered'

/** A tunnel whose agent A says that it is also at `direct`. */
async function tunnel(
  {source}: Setup,
  proxied: FakeAgent,
  direct: string,
  changes: Partial<Upstream> = {},
): Promise<{connect: () => Promise<Buffer>}> {
  const upstream = await (await source([{port: proxied.port, hostId: hostA}])).current()
  const offering = {...upstream, directAddresses: {[hostA]: direct}, ...changes}
  const fixed: UpstreamSource = {current: () => Promise.resolve(offering), refreshed: () => Promise.resolve(offering)}
  const {dial} = await open({source: fixed})
  return {
    connect: async () => {
      const client = dial()
      client.write(startup)
      return receive(client, startup.length + 2)
    },
  }
}

const carried = Buffer.concat([Buffer.from('R:'), startup])

/** Accepts, and says nothing. */
async function blackHole(): Promise<{address: string; count: () => number; open: () => number}> {
  let count = 0
  let left = 0
  const server = createServer((socket) => {
    count += 1
    left += 1
    socket.on('error', () => undefined).on('close', () => (left -= 1))
    socket.resume()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => server.close())
  return {address: `127.0.0.1:${(server.address() as AddressInfo).port}`, count: () => count, open: () => left}
}

describe('an agent that can be reached without the proxy', () => {
  it('is, and the proxy is not asked', async () => {
    holdTime()
    const rig = await setup()
    const [proxied, direct] = [await rig.agent(hostA, {ok: true}), await rig.agent(hostA, {ok: true})]
    const {connect} = await tunnel(rig, proxied, `127.0.0.1:${direct.port}`)
    expect(await connect()).toEqual(carried)
    expect({proxied: proxied.connections, direct: direct.sessions}).toEqual({proxied: 0, direct: [startup]})
  })

  it('is reached through the proxy when nobody answers there, which is asked only once', async () => {
    const rig = await setup()
    const proxied = await rig.agent(hostA, {ok: true})
    const hole = await blackHole()
    const {connect} = await tunnel(rig, proxied, hole.address)
    for (let time = 0; time < 3; time += 1) expect(await connect()).toEqual(carried)
    while (hole.open() > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    expect({proxied: proxied.connections, [unanswered]: hole.count()}).toEqual({proxied: 3, [unanswered]: 1})
  })

  it('is reached through the proxy when the connection there is refused', async () => {
    const rig = await setup()
    const proxied = await rig.agent(hostA, {ok: true})
    const {connect} = await tunnel(rig, proxied, '127.0.0.1:1')
    expect(await connect()).toEqual(carried)
    expect(proxied.sessions).toEqual([startup])
  })

  it('is final in its denial', async () => {
    holdTime()
    const rig = await setup()
    const proxied = await rig.agent(hostA, {ok: true})
    const direct = await rig.agent(hostA, {ok: false, code: 'denied', message: 'Access is locked.'})
    const {connect} = await tunnel(rig, proxied, `127.0.0.1:${direct.port}`)
    expect(errorIn(await connect())).toMatchObject({code: '28000', message: 'Access is locked.'})
    expect({proxied: proxied.connections, direct: direct.connections}).toEqual({proxied: 0, direct: 1})
  })

  it('may be denied by the proxied way too, while the other is silent', async () => {
    const rig = await setup()
    const proxied = await rig.agent(hostA, {ok: false, code: 'denied', message: 'Access is locked.'})
    const {connect} = await tunnel(rig, proxied, (await blackHole()).address)
    expect(errorIn(await connect())).toMatchObject({code: '28000', message: 'Access is locked.'})
    expect(proxied.connections).toBe(1)
  })
})

describe('an agent that names an address of somebody else', () => {
  it('gets no byte of PostgreSQL there, for who is there is another', async () => {
    const rig = await setup()
    const [proxied, other] = [await rig.agent(hostA, {ok: true}), await rig.agent(hostB, {ok: true})]
    const {connect} = await tunnel(rig, proxied, `127.0.0.1:${other.port}`)
    expect(await connect()).toEqual(carried)
    expect(other.sessions).toEqual([])
  })

  it.each(['127.0.0.1', 'localhost', '127.1'])(
    'does not lead its clients into themselves at %s, when the proxy is elsewhere',
    async (host) => {
      const rig = await setup()
      const [proxied, direct] = [await rig.agent(hostA, {ok: true}), await rig.agent(hostA, {ok: true})]
      // This name is not known as one of this machine, and yet leads here.
      const proxy = {host: '127.1', port: proxied.port}
      const {connect} = await tunnel(rig, proxied, `${host}:${direct.port}`, {proxy})
      expect(await connect()).toEqual(carried)
      expect({proxied: proxied.connections, direct: direct.connections}).toEqual({proxied: 1, direct: 0})
    },
  )

  it.each(['169.254.169.254:80', '0.0.0.0:80', 'no address'])('is not followed to %s', async (address) => {
    const rig = await setup()
    const proxied = await rig.agent(hostA, {ok: true})
    const {connect} = await tunnel(rig, proxied, address)
    expect(await connect()).toEqual(carried)
  })
})
