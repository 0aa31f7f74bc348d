import {once} from 'node:events'
import tls from 'node:tls'
import {afterEach, describe, expect, it} from '@jest/globals'
import {afterRunning} from '../../../src/lib/core/running-time.js'
import {newNonce} from '../../../src/lib/tunnel/preamble.js'
import {handOver} from '../../../src/lib/tunnel/hand-over.js'
import {cluster, issueAgent} from '../tunnel/certificates.js'
import {closeOpened, track, until} from '../tunnel/sockets.js'
import {closed, echo, echoAtLast, firstHost, type ManualAgent, Rig, secondHost} from './rig.js'

let rig: Rig

afterEach(async () => {
  closeOpened()
  await rig.close()
})

const notExpected = 'no one waits for this data connection'
const brief = {openMilliseconds: 100, answerMilliseconds: 100}

async function manualAgent(spares: number): Promise<ManualAgent> {
  const agent = rig.manualAgent(await issueAgent(rig.authority, firstHost))
  await agent.next('welcome')
  agent.send({spares, recycle: 60_000})
  return agent
}

describe('a data connection', () => {
  it('with an unknown nonce is closed without a word', async () => {
    rig = await Rig.start()
    const socket = rig.dataConnection(newNonce())
    const received: Buffer[] = []
    socket.on('data', (bytes: Buffer) => received.push(bytes))
    await closed(socket)
    expect(received).toEqual([])
    expect(rig.refusals()).toEqual([notExpected])
  })

  it('uses its nonce up', async () => {
    rig = await Rig.start()
    const agent = await manualAgent(1)
    const {spare} = await agent.next('spare')
    rig.dataConnection(spare)
    await until(() => rig.proxy.statistics().spareConnections === 1)
    await closed(rig.dataConnection(spare))
    expect(rig.refusals()).toEqual([notExpected])
    expect(rig.proxy.statistics().spareConnections).toBe(1)
  })

  it('of a session cannot be opened again with the session’s nonce', async () => {
    rig = await Rig.start()
    const agent = await rig.agent(firstHost)
    const client = rig.clientOf(firstHost)
    await echo(client, 'hello')
    await closed(rig.dataConnection(agent.nonces[0]))
    expect(rig.refusals()).toEqual([notExpected])
    expect(await echo(client, 'still here')).toBe('still here')
  })

  it('for another proxy or worker is closed', async () => {
    rig = await Rig.start()
    const agent = await manualAgent(1)
    const {spare} = await agent.next('spare')
    await closed(rig.dataConnection(spare, 'proxy-2.0'))
    await closed(rig.dataConnection(spare, 'proxy-1.1'))
    expect(rig.refusals()).toEqual([notExpected, notExpected])
  })

  it('that speaks first is closed', async () => {
    rig = await Rig.start()
    const agent = await manualAgent(1)
    const {spare} = await agent.next('spare')
    const socket = rig.dataConnection(spare)
    await until(() => rig.proxy.statistics().spareConnections === 1)
    socket.write('x')
    await closed(socket)
    expect(rig.proxy.statistics().spareConnections).toBe(0)
  })

  it('is announced as in use, with its client, before the session begins', async () => {
    rig = await Rig.start()
    const agent = await manualAgent(1)
    const {spare} = await agent.next('spare')
    const socket = rig.dataConnection(spare)
    await until(() => rig.proxy.statistics().spareConnections === 1)
    const client = rig.clientOf(firstHost)
    expect(await agent.next('use')).toEqual({use: spare, src: `127.0.0.1:${client.localPort ?? 0}`})
    const [first] = (await once(socket, 'data')) as [Buffer]
    expect(first[0]).toBe(0x16)
  })

  it('that a thief opened with a stolen nonce gets a ClientHello, and the client gets its session elsewhere', async () => {
    rig = await Rig.start({timing: {...brief, lastMilliseconds: 100}, agentsFor: () => [firstHost, secondHost]})
    const agent = await manualAgent(1)
    const {spare} = await agent.next('spare')
    const thief = rig.dataConnection(spare)
    await until(() => rig.proxy.statistics().spareConnections === 1)
    await rig.agent(secondHost)
    expect(await echoAtLast(() => rig.client(`orders.db.${cluster}`), 'hello')).toBe('hello')
    await closed(thief)
    await closed(rig.dataConnection(spare))
    expect(rig.proxy.statistics().helloReplays).toBeGreaterThanOrEqual(1)
  })
})

describe('a ClientHello that is not answered', () => {
  it('is replayed once on a fresh connection to the same agent, and given up when that is closed', async () => {
    rig = await Rig.start({timing: brief})
    const agent = await manualAgent(1)
    const {spare} = await agent.next('spare')
    const hung = rig.dataConnection(spare)
    await until(() => rig.proxy.statistics().spareConnections === 1)
    const client = rig.clientOf(firstHost)
    await agent.next('use')
    const [hello] = (await once(hung, 'data')) as [Buffer]
    const {open, src} = await agent.next('open')
    expect(src).toBe(`127.0.0.1:${client.localPort ?? 0}`)
    const fresh = rig.dataConnection(open)
    expect((await once(fresh, 'data'))[0]).toEqual(hello)
    fresh.destroy()
    await closed(client)
    expect(rig.refusals()).toEqual(['its agent did not answer'])
    expect(agent.messages.filter((message) => 'open' in message)).toEqual([])
    expect(rig.proxy.statistics().helloReplays).toBe(1)
  })

  it('is given up when the second connection stays silent as well', async () => {
    rig = await Rig.start({timing: {...brief, lastMilliseconds: 100}})
    await rig.agent(firstHost, {onConnection: (socket) => track(socket)})
    await closed(rig.clientOf(firstHost))
    expect(rig.refusals()).toEqual([expect.stringMatching(/its agent did not (answer|dial back)/)])
    expect(rig.proxy.statistics().helloReplays).toBe(1)
  })

  it('is answered on the second connection when the agent hangs once', async () => {
    rig = await Rig.start({timing: brief})
    const {certificate, privateKey} = await issueAgent(rig.authority, firstHost)
    const server = tls.createServer({cert: certificate, key: privateKey.reveal()}, (socket) => {
      track(socket).pipe(socket)
    })
    let hang = true
    await rig.agent(firstHost, {
      onConnection: (socket) => {
        track(socket)
        if (!hang) handOver(socket, Buffer.alloc(0), server)
        hang = false
      },
    })
    expect(await echo(rig.clientOf(firstHost), 'hello')).toBe('hello')
    expect(rig.proxy.statistics().helloReplays).toBe(1)
  })

  it('waits for the last agent that is left, which may only be slow', async () => {
    rig = await Rig.start({timing: brief})
    const {certificate, privateKey} = await issueAgent(rig.authority, firstHost)
    const server = tls.createServer({cert: certificate, key: privateKey.reveal()}, (socket) => {
      track(socket).pipe(socket)
    })
    await rig.agent(firstHost, {
      onConnection: (socket) => {
        track(socket)
        // By the clock of the proxy's deadlines.
        afterRunning(5 * brief.answerMilliseconds, () => {
          handOver(socket, Buffer.alloc(0), server)
        })
      },
    })
    expect(await echo(rig.clientOf(firstHost), 'hello')).toBe('hello')
    expect(rig.proxy.statistics().helloReplays).toBe(1)
    // Now it is known to be slow: its next session needs no second attempt, unless it has become slower still.
    let before = 0
    for (let round = 0; round < 20 && before < rig.proxy.statistics().helloReplays; round += 1) {
      before = rig.proxy.statistics().helloReplays
      expect(await echo(rig.clientOf(firstHost), 'hello')).toBe('hello')
    }
    expect(rig.proxy.statistics().helloReplays).toBe(before)
  })

  it('goes to another agent of the database when one hangs, closes, or does not dial back', async () => {
    rig = await Rig.start({timing: {...brief, lastMilliseconds: 100}, agentsFor: () => [firstHost, secondHost]})
    const dial = () => rig.client(`orders.db.${cluster}`)
    await rig.agent(secondHost)
    let behave: 'hang' | 'close' = 'hang'
    const failing = await rig.agent(firstHost, {
      onConnection: (socket) => {
        track(socket)
        if (behave === 'close') socket.destroy()
      },
    })
    expect(await echoAtLast(dial, 'hello')).toBe('hello')
    behave = 'close'
    expect(await echoAtLast(dial, 'hello')).toBe('hello')
    failing.tunnel.close()
    const silent = await manualAgent(0)
    expect(await echoAtLast(dial, 'hello')).toBe('hello')
    await silent.next('open')
    expect(rig.proxy.statistics().helloReplays).toBeGreaterThanOrEqual(3)
    expect(rig.proxy.statistics().sessionsOpened).toBe(3)
  })

  it('costs nothing when the agent’s control connection ends meanwhile', async () => {
    rig = await Rig.start({timing: {openMilliseconds: 60_000}, agentsFor: () => [firstHost, secondHost]})
    await rig.agent(secondHost)
    const agent = await manualAgent(0)
    const client = rig.client(`orders.db.${cluster}`)
    await agent.next('open')
    agent.socket.destroy()
    expect(await echo(client, 'hello')).toBe('hello')
  })
})
