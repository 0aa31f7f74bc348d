import {describe, expect, it, jest} from '@jest/globals'
import type {Socket} from 'node:net'
import {setTimeout as sleep} from 'node:timers/promises'
import type {TLSSocket} from 'node:tls'
import {encodeErrorResponse} from '../../../src/lib/pgwire/server-error.js'
import type {UpstreamSource} from '../../../src/lib/localproxy/upstream.js'
import {stillOpening} from '../../../src/lib/tunnel/greeting.js'
import {errorIn, holdTime, hostA, open, receive, setup, startup} from './rig.js'

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5)
}

async function session(dial: () => Socket): Promise<Socket> {
  const client = dial()
  client.write(startup)
  expect((await receive(client, startup.length + 2)).subarray(2)).toEqual(startup)
  return client
}

const settled = (): Promise<unknown> => sleep(50)

describe('a connection in reserve', () => {
  it('is made after one was used, serves the next client, and is gone when the tunnel closes', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: true})
    const {proxy, dial} = await open({
      source: await source([{port: fake.port, hostId: hostA}]),
      keepSpares: true,
    })
    await settled()
    expect(fake.connections).toBe(0)
    await session(dial)
    await until(() => fake.connections === 2)
    expect(fake.sessions.length).toBe(1)
    const [, spare] = fake.sockets
    let used = false
    spare?.once('data', () => (used = true))
    await session(dial)
    expect(used).toBe(true)
    await until(() => fake.connections === 3)
    await proxy.close()
    await until(() => fake.sockets.length === 0)
  })

  it('is not kept where clients do not come back', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: true})
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}])})
    await session(dial)
    await settled()
    expect(fake.connections).toBe(1)
  })

  it('is one of two at most, however many clients come at once', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: true})
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}]), keepSpares: true})
    await Promise.all(Array.from({length: 6}, () => session(dial)))
    await settled()
    await until(() => fake.sockets.length === 8)
  })

  it('goes on from an earlier handshake, and so does a fresh one', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: true})
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}])})
    await session(dial)
    await session(dial)
    expect({connections: fake.connections, resumed: fake.resumed}).toEqual({connections: 2, resumed: 1})
  })

  it('is given up when the agent does not answer on it, and the client gets its session on a fresh one', async () => {
    const {agent, source} = await setup()
    const startups: string[] = []
    const fake = await agent(hostA, {ok: true}, (socket: TLSSocket, first) => {
      startups.push(first.toString('hex'))
      // The second connection is the spare: a network that swallows everything looks like this.
      if (startups.length !== 2) socket.write(Buffer.concat([Buffer.from('R:'), first]))
    })
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}]), keepSpares: true})
    await session(dial)
    await until(() => fake.connections === 2)
    await session(dial)
    expect(startups).toEqual(Array(3).fill(startup.toString('hex')))
    // The silent one is closed, and there is no other for a while.
    await until(() => fake.sockets.length === 2)
    await settled()
    expect({connections: fake.connections, open: fake.sockets.length}).toEqual({connections: 3, open: 2})
  })

  it('is not given up when the agent says in time that it is still opening the session', async () => {
    const {agent, source} = await setup()
    let slow: TLSSocket | undefined
    const fake = await agent(hostA, {ok: true}, (socket, first) => {
      const answer = Buffer.concat([Buffer.from('R:'), first])
      if (fake.sessions.length === 1) {
        socket.write(answer)
        return
      }
      slow = socket
      socket.write(stillOpening)
      // Longer than a spare that says nothing is waited for.
      setTimeout(() => socket.write(answer), 1500)
    })
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}]), keepSpares: true})
    await session(dial)
    await until(() => fake.connections === 2)
    await session(dial)
    expect({sessions: fake.sessions.length, closed: slow?.destroyed}).toEqual({sessions: 2, closed: false})
  })

  it('that is lost after the agent has said so is replaced', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: true}, (socket, first) => {
      if (fake.sessions.length === 2) socket.end(stillOpening)
      else socket.write(Buffer.concat([Buffer.from('R:'), first]))
    })
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}]), keepSpares: true})
    await session(dial)
    await until(() => fake.connections === 2)
    await session(dial)
    expect(fake.sessions.length).toBe(3)
  })

  it('is forgotten when the agent closes it', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: true})
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}]), keepSpares: true})
    await session(dial)
    await until(() => fake.connections === 2)
    fake.sockets[1]?.end()
    await until(() => fake.sockets.length === 1)
    await session(dial)
    await until(() => fake.connections === 4)
  })

  it('is not used with another certificate, or for an agent that is no longer on the list', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: true})
    const one = await (await source([{port: fake.port, hostId: hostA}])).current()
    const other = await (await source([{port: fake.port, hostId: hostA}])).current()
    let upstream = one
    const changing: UpstreamSource = {
      current: () => Promise.resolve(upstream),
      refreshed: () => Promise.resolve(upstream),
    }
    const {dial} = await open({source: changing, keepSpares: true})
    await session(dial)
    await until(() => fake.connections === 2)
    upstream = {...one, credentials: other.credentials}
    await session(dial)
    await until(() => fake.connections === 4)
    upstream = {...upstream, agents: []}
    const lost = dial()
    lost.write(startup)
    expect(errorIn(await receive(lost)).message).toContain('No agent serves this database')
    await until(() => fake.sockets.length === 2)
  })

  it('brings the answer of an agent that refuses at startup, and no second try', async () => {
    const {agent, source} = await setup()
    const answer = encodeErrorResponse({severity: 'FATAL', code: '28000', message: 'Access is locked.'})
    let sessions = 0
    const fake = await agent(hostA, {ok: true}, (socket, first) => {
      sessions += 1
      if (sessions === 1) socket.write(Buffer.concat([Buffer.from('R:'), first]))
      else socket.end(answer)
    })
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}]), keepSpares: true})
    await session(dial)
    await until(() => fake.connections === 2)
    holdTime()
    const client = dial()
    client.write(startup)
    expect(await receive(client)).toEqual(answer)
    expect(sessions).toBe(2)
  })
})

describe('a connection for a client that is about to come', () => {
  it('is made before, and used by the first', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: true})
    const {proxy, dial} = await open({source: await source([{port: fake.port, hostId: hostA}])})
    proxy.prepare()
    await until(() => fake.connections === 1)
    holdTime()
    await session(dial)
    // Would another one be made, then by now.
    jest.advanceTimersByTime(100)
    await settled()
    expect(fake.connections).toBe(1)
  })

  it('tells the client of a denial that came before it, and asks only once', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: false, code: 'denied', message: 'Access is locked.'})
    const {proxy, dial} = await open({source: await source([{port: fake.port, hostId: hostA}])})
    proxy.prepare()
    await until(() => fake.connections === 1)
    await settled()
    const client = dial()
    client.write(startup)
    expect(errorIn(await receive(client))).toMatchObject({code: '28000', message: 'Access is locked.'})
    expect(fake.connections).toBe(1)
  })
})
