import net from 'node:net'
import type {TLSSocket} from 'node:tls'
import {afterEach, describe, expect, it} from '@jest/globals'
import {systemClock} from '../../../src/lib/core/clock.js'
import {silentLogger} from '../../../src/lib/core/log.js'
import {startProxy} from '../../../src/lib/proxy/proxy.js'
import {cluster, issueProxy} from '../tunnel/certificates.js'
import {closeOpened, track, until} from '../tunnel/sockets.js'
import {closed, echo, firstHost, Rig, secondHost} from './rig.js'

let rig: Rig

afterEach(async () => {
  closeOpened()
  await rig.close()
})

describe('drain', () => {
  it('names each agent its sessions, takes no new connections, and ends with the last session', async () => {
    rig = await Rig.start()
    const [first, second] = [await rig.agent(firstHost), await rig.agent(secondHost)]
    const clients: TLSSocket[] = []
    // One after the other: the agent's order is the proxy's.
    for (const host of [firstHost, firstHost, secondHost]) {
      const client = rig.clientOf(host)
      await echo(client, 'hello')
      clients.push(client)
    }
    let drained = false
    const draining = rig.proxy.drain(120_000).then(() => (drained = true))
    await until(() => first.drains.length === 1 && second.drains.length === 1)
    expect(first.drains[0]).toEqual({nonces: first.nonces, deadline: 120_000})
    expect(second.drains[0]).toEqual({nonces: second.nonces, deadline: 120_000})
    const refused = track(net.connect(rig.proxy.address))
    await closed(refused)
    expect(await echo(clients[0] ?? rig.clientOf(firstHost), 'still served')).toBe('still served')
    for (const client of clients) {
      expect(drained).toBe(false)
      client.destroy()
      await closed(client)
    }
    await draining
    expect(rig.proxy.statistics().sessions).toBe(0)
  })

  it('ends at the deadline when sessions do not', async () => {
    rig = await Rig.start()
    await rig.agent(firstHost)
    await echo(rig.clientOf(firstHost), 'hello')
    await rig.proxy.drain(30)
    expect(rig.proxy.statistics().sessions).toBe(1)
  })

  it('ends at once when there are no sessions', async () => {
    rig = await Rig.start()
    await rig.agent(firstHost)
    await rig.proxy.drain(60_000)
    expect(rig.proxy.agents()).toEqual([firstHost])
  })

  it('reaches an agent that has connected again since the session began', async () => {
    rig = await Rig.start()
    const old = await rig.agent(firstHost)
    await echo(rig.clientOf(firstHost), 'hello')
    old.tunnel.close()
    await until(() => rig.proxy.agents().length === 0)
    const again = await rig.agent(firstHost)
    void rig.proxy.drain(1000)
    await until(() => again.drains.length === 1)
    expect(again.drains[0]?.nonces).toEqual(old.nonces)
  })
})

describe('close', () => {
  it('ends sessions, control connections and the port', async () => {
    rig = await Rig.start()
    const agent = await rig.agent(firstHost)
    const client = rig.clientOf(firstHost)
    await echo(client, 'hello')
    await rig.proxy.close()
    await until(() => client.destroyed && agent.tunnel.state === 'disconnected' && agent.sockets.size === 0)
    expect(rig.proxy.agents()).toEqual([])
    await closed(rig.raw())
  })
})

describe('startProxy', () => {
  it('says which address it cannot listen on', async () => {
    rig = await Rig.start()
    const credentials = await issueProxy(rig.authority)
    const starting = startProxy({
      cluster,
      listen: rig.proxy.address,
      proxyId: 'proxy-2',
      credentials: () => credentials,
      hostAuthorities: () => [rig.authority.certificate],
      upstream: {kind: 'local', accept: (socket) => socket.destroy()},
      agentsFor: () => [],
      logger: silentLogger,
      clock: systemClock,
    })
    await expect(starting).rejects.toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringContaining(`127.0.0.1:${rig.proxy.address.port}`),
    })
  })
})
