import {createHash, randomBytes} from 'node:crypto'
import {once} from 'node:events'
import tls, {type TLSSocket} from 'node:tls'
import {afterEach, describe, expect, it} from '@jest/globals'
import type {ProxyTiming} from '../../../src/lib/proxy/options.js'
import {handOver} from '../../../src/lib/tunnel/hand-over.js'
import {childrenOf} from '../../helpers/processes.js'
import {cluster, issueAgent} from '../tunnel/certificates.js'
import {closeOpened, track, until} from '../tunnel/sockets.js'
import {closed, echo, echoAtLast, firstHost, Rig, secondHost} from './rig.js'

/** Of the built program: a worker is a process of its own. */
const workerScript = new URL('../../../dist/lib/proxy/splice-worker.js', import.meta.url)

let rig: Rig

afterEach(async () => {
  closeOpened()
  await rig.close()
})

async function start(timing: Partial<ProxyTiming> = {}): Promise<void> {
  rig = await Rig.start({workers: 2, workerScript, agentsFor: () => [firstHost, secondHost], timing})
}

const workers = (): number[] => childrenOf(process.pid, 'splice-worker')

/** So many sessions, in which the agent echoes; the proxy knows of them from its workers by then. */
async function openSessions(count: number): Promise<TLSSocket[]> {
  const before = rig.proxy.statistics().sessionsOpened
  const clients: TLSSocket[] = []
  for (let index = 0; index < count; index += 1) {
    const client = rig.clientOf(firstHost)
    expect(await echo(client, `client ${index}`)).toBe(`client ${index}`)
    clients.push(client)
  }
  await until(() => rig.proxy.statistics().sessionsOpened === before + count)
  return clients
}

describe('a proxy with two splice workers', () => {
  it('carries bytes intact both ways, half-closes included, and counts them', async () => {
    await start()
    await rig.agent(firstHost)
    const [client] = await openSessions(1)
    if (!client) throw new Error('no session')
    const bytes = randomBytes(10 * 1024 * 1024)
    const hash = createHash('sha256')
    client.on('data', (chunk: Buffer) => hash.update(chunk))
    // The agent's last bytes come after the end of ours.
    client.end(bytes)
    await once(client, 'end')
    expect(hash.digest('hex')).toBe(createHash('sha256').update(bytes).digest('hex'))
    await until(() => rig.proxy.statistics().sessions === 0)
    const {bytesToAgents, bytesToClients, sessionsOpened, helloReplays} = rig.proxy.statistics()
    expect({sessionsOpened, helloReplays}).toEqual({sessionsOpened: 1, helloReplays: 0})
    for (const count of [bytesToAgents, bytesToClients]) {
      expect(count).toBeGreaterThan(bytes.length)
      expect(count).toBeLessThan(bytes.length * 1.1)
    }
  })

  it('shares sessions out evenly; one that is killed takes its own with it, and is replaced', async () => {
    await start()
    const agent = await rig.agent(firstHost)
    const clients = await openSessions(6)
    const [victim = 0, survivor] = workers()
    process.kill(victim, 'SIGKILL')
    await until(() => rig.proxy.statistics().sessions === 3 && agent.sockets.size === 3)
    await until(() => clients.filter((client) => client.closed).length === 3)
    for (const client of clients.filter((each) => !each.closed)) {
      expect(await echo(client, 'still here')).toBe('still here')
    }
    await until(() => workers().length === 2 && !workers().includes(victim))
    expect(workers()).toContain(survivor)
    expect(rig.lines).toContainEqual(expect.objectContaining({level: 'error', pid: victim}))
    await until(() => rig.lines.some(({message}) => message === 'A worker process was replaced.'))
    // The fresh one has the least to do.
    await openSessions(3)
    expect(rig.proxy.statistics().sessions).toBe(6)
    process.kill(survivor ?? 0, 'SIGKILL')
    await until(() => rig.proxy.statistics().sessions === 3)
  })

  it('replays a ClientHello to another agent when one hangs', async () => {
    await start({answerMilliseconds: 500, lastMilliseconds: 500})
    await rig.agent(secondHost)
    await rig.agent(firstHost, {onConnection: (socket) => track(socket)})
    expect(await echoAtLast(() => rig.client(`orders.db.${cluster}`), 'hello')).toBe('hello')
    await until(() => rig.proxy.statistics().sessionsOpened > 0)
    expect(rig.proxy.statistics()).toMatchObject({sessionsOpened: 1, sessions: 1})
    expect(rig.proxy.statistics().helloReplays).toBeGreaterThanOrEqual(1)
  })

  it('replays a ClientHello on a fresh connection to the same agent', async () => {
    await start({answerMilliseconds: 500})
    const {certificate, privateKey} = await issueAgent(rig.authority, firstHost)
    const server = tls.createServer({cert: certificate, key: privateKey.reveal()}, (socket) => {
      track(socket).pipe(socket)
    })
    let hangs = 1
    await rig.agent(firstHost, {
      onConnection: (socket) => {
        track(socket)
        hangs -= 1
        if (hangs < 0) handOver(socket, Buffer.alloc(0), server)
      },
    })
    expect(await echo(rig.clientOf(firstHost), 'hello')).toBe('hello')
    await until(() => rig.proxy.statistics().sessionsOpened > 0)
    expect(rig.proxy.statistics()).toMatchObject({helloReplays: 1, sessions: 1})
  })

  it('gives up when the fresh connection stays silent as well', async () => {
    await start({answerMilliseconds: 100, lastMilliseconds: 100})
    await rig.agent(firstHost, {onConnection: (socket) => track(socket)})
    await closed(rig.clientOf(firstHost))
    expect(rig.refusals()).toEqual([expect.stringMatching(/its agent did not (answer|dial back)/)])
  })

  it('kills a worker that hangs, and frees the place of the client that waited for it', async () => {
    await start({answerMilliseconds: 500})
    await rig.agent(firstHost)
    await openSessions(2)
    const [hung = 0, other = 0] = workers()
    for (const worker of [hung, other]) process.kill(worker, 'SIGSTOP')
    await closed(rig.clientOf(firstHost))
    // Whichever had the client; the one that nobody needed may sleep.
    await until(() => workers().some((worker) => worker !== hung && worker !== other))
    for (const worker of workers()) process.kill(worker, 'SIGCONT')
    expect(await echoAtLast(() => rig.clientOf(firstHost), 'hello')).toBe('hello')
  })

  it('drains, and ends its workers when it closes', async () => {
    await start()
    const agent = await rig.agent(firstHost)
    const clients = await openSessions(2)
    const draining = rig.proxy.drain(120_000)
    await until(() => agent.drains.length === 1)
    expect(agent.drains[0]?.nonces).toHaveLength(2)
    for (const client of clients) client.destroy()
    await draining
    await rig.close()
    expect(workers()).toEqual([])
  })
})
