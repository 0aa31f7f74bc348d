import {createHash, randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {afterEach, describe, expect, it} from '@jest/globals'
import {databaseServerName} from '../../../src/lib/resources/route.js'
import {cluster, issueAgent} from '../tunnel/certificates.js'
import {closeOpened, until} from '../tunnel/sockets.js'
import {closed, echo, firstHost, Rig, secondHost} from './rig.js'

let rig: Rig

afterEach(async () => {
  closeOpened()
  await rig.close()
})

describe('a session through the proxy', () => {
  it('runs on a pooled connection, and the pool is filled again', async () => {
    rig = await Rig.start()
    const agent = await rig.agent(firstHost)
    const client = rig.clientOf(firstHost)
    expect(await echo(client, 'hello')).toBe('hello')
    expect(agent.sources).toEqual([`127.0.0.1:${client.localPort ?? 0}`])
    await until(() => rig.proxy.statistics().spareConnections === 4)
    expect(rig.proxy.statistics()).toMatchObject({sessions: 1, sessionsOpened: 1, helloReplays: 0, agents: 1})
  })

  it('runs on a connection dialled for it when there is no pool', async () => {
    rig = await Rig.start()
    const agent = await rig.agent(firstHost, {poolSize: 0})
    const client = rig.clientOf(firstHost)
    expect(await echo(client, 'hello')).toBe('hello')
    expect(agent.sources).toEqual([`127.0.0.1:${client.localPort ?? 0}`])
    expect(rig.proxy.statistics()).toMatchObject({sessions: 1, spareConnections: 0})
  })

  it('reaches an agent by the database it serves, letter case aside', async () => {
    const asked: string[] = []
    rig = await Rig.start({
      agentsFor: (database) => {
        asked.push(database)
        return [secondHost, firstHost]
      },
    })
    await rig.agent(firstHost)
    expect(await echo(rig.client('Orders.db.Example.com'), 'hello')).toBe('hello')
    expect(asked).toEqual(['orders'])
  })

  it('carries PostgreSQL clients that ask for TLS first', async () => {
    rig = await Rig.start({agentsFor: () => [firstHost]})
    await rig.agent(firstHost)
    const raw = rig.raw()
    raw.write(Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]))
    expect(String((await once(raw, 'data'))[0])).toBe('S')
    const client = rig.client(databaseServerName('orders', cluster), {socket: raw})
    expect(await echo(client, 'hello')).toBe('hello')
  })

  it('serves 50 clients at once, more than the pool holds', async () => {
    rig = await Rig.start()
    const agent = await rig.agent(firstHost)
    const answers = await Promise.all(
      Array.from({length: 50}, async (_, index) => {
        const client = rig.clientOf(firstHost)
        return echo(client, `${await echo(client, `client ${index}`)} again`)
      }),
    )
    expect(answers).toEqual(Array.from({length: 50}, (_, index) => `client ${index} again`))
    expect(new Set(agent.sources).size).toBe(50)
    expect(new Set(agent.nonces).size).toBe(50)
    expect(rig.proxy.statistics()).toMatchObject({sessions: 50, helloReplays: 0})
  })

  it('carries 10 MB both ways intact and counts the bytes', async () => {
    rig = await Rig.start()
    await rig.agent(firstHost)
    const client = rig.clientOf(firstHost)
    const bytes = randomBytes(10 * 1024 * 1024)
    const hash = createHash('sha256')
    let received = 0
    client.on('data', (chunk: Buffer) => {
      hash.update(chunk)
      received += chunk.length
    })
    client.write(bytes)
    await until(() => received === bytes.length)
    expect(hash.digest('hex')).toBe(createHash('sha256').update(bytes).digest('hex'))
    client.end()
    await until(() => rig.proxy.statistics().sessions === 0)
    expect(rig.proxy.statistics().bytesToAgents).toBeGreaterThan(bytes.length)
    expect(rig.proxy.statistics().bytesToClients).toBeGreaterThan(bytes.length)
  })

  it('ends at the agent when the client goes, and at the client when the agent goes', async () => {
    rig = await Rig.start()
    const agent = await rig.agent(firstHost)
    const client = rig.clientOf(firstHost)
    await echo(client, 'hello')
    client.destroy()
    await until(() => agent.sockets.size === 0 && rig.proxy.statistics().sessions === 0)

    const other = rig.clientOf(firstHost)
    await echo(other, 'hello')
    for (const socket of agent.sockets) socket.destroy()
    await closed(other)
    await until(() => rig.proxy.statistics().sessions === 0)
  })

  it('is closed with one log line when no agent is there', async () => {
    rig = await Rig.start({agentsFor: () => [firstHost, secondHost]})
    for (const name of [`${firstHost}.agent.${cluster}`, `orders.db.${cluster}`]) {
      await closed(rig.client(name))
    }
    expect(rig.refusals()).toEqual(['no agent for it is connected', 'no agent for it is connected'])
  })

  it('lives on when the control connection is lost, which comes back', async () => {
    rig = await Rig.start()
    const states: string[] = []
    const agent = await rig.agent(firstHost, {onState: (state) => states.push(state)})
    const client = rig.clientOf(firstHost)
    await echo(client, 'before')
    expect(rig.lines.filter(({message}) => message === 'Agent connected.')).toHaveLength(1)
    // A second proxy connection of the same host takes the place of the first one, and loses it to the one that comes back.
    const impostor = rig.manualAgent(await issueAgent(rig.authority, firstHost))
    await impostor.next('welcome')
    await until(() => states.filter((state) => state === 'connected').length >= 2)
    await closed(impostor.socket)
    expect(states).toContain('disconnected')
    expect(await echo(client, 'after')).toBe('after')
    await until(() => rig.proxy.statistics().spareConnections === 4)
    expect(await echo(rig.clientOf(firstHost), 'new')).toBe('new')
    expect(agent.sources).toHaveLength(2)
  })

  it('drops a dialer’s idle connections when it closes, and keeps its sessions', async () => {
    rig = await Rig.start()
    const agent = await rig.agent(firstHost)
    const client = rig.clientOf(firstHost)
    await echo(client, 'before')
    agent.tunnel.close()
    await until(() => rig.proxy.agents().length === 0)
    expect(await echo(client, 'after')).toBe('after')
    expect(rig.proxy.statistics()).toMatchObject({spareConnections: 0, sessions: 1})
  })

  it('recycles idle connections without losing a session', async () => {
    rig = await Rig.start()
    await rig.agent(firstHost, {poolSize: 2, recycleMilliseconds: 30})
    const accepted = rig.proxy.statistics().connectionsAccepted
    await until(() => rig.proxy.statistics().connectionsAccepted > accepted + 6)
    for (let round = 0; round < 20; round += 1) {
      const client = rig.clientOf(firstHost)
      expect(await echo(client, 'hello')).toBe('hello')
      client.destroy()
    }
    expect(rig.proxy.statistics().helloReplays).toBe(0)
  })
})
