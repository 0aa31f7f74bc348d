import {once} from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import {afterEach, describe, expect, it} from '@jest/globals'
import {authServerName, tunnelServerName} from '../../../src/lib/resources/route.js'
import {handOver} from '../../../src/lib/tunnel/hand-over.js'
import {cluster, issue, newAuthority} from '../tunnel/certificates.js'
import {captureClientHello, closeOpened, listen, readAll, track, until} from '../tunnel/sockets.js'
import {closed, echo, firstHost, Rig} from './rig.js'

let rig: Rig

afterEach(async () => {
  closeOpened()
  await rig.close()
})

/** An Auth Service: TLS with a certificate for these names, that echoes. */
async function authServer(): Promise<{server: tls.Server; ca: string}> {
  const authority = await newAuthority()
  const {certificate, privateKey} = await issue(authority, 'auth', {hosts: [authServerName(cluster), 'public.test']})
  const server = tls.createServer({cert: certificate, key: privateKey.reveal()}, (socket) => track(socket).pipe(socket))
  return {server, ca: authority.certificate}
}

describe('connections that are for no agent', () => {
  it.each([authServerName(cluster), 'public.test', undefined, `a.b.agent.${cluster}`, `agent.${cluster}`])(
    'go to the Auth Service of the same process: %s',
    async (servername) => {
      const {server, ca} = await authServer()
      rig = await Rig.start({
        upstream: {
          kind: 'local',
          accept: (socket, head) => {
            handOver(socket, head, server)
          },
        },
      })
      const checkServerIdentity = (): undefined => undefined
      const client = track(
        tls.connect({...rig.proxy.address, ca, checkServerIdentity, ...(servername ? {servername} : {})}),
      )
      expect(await echo(client, 'hello')).toBe('hello')
    },
  )

  it('go to an Auth Service elsewhere', async () => {
    const {server, ca} = await authServer()
    const seen: net.Socket[] = []
    const upstream = await listen((socket) => {
      seen.push(socket)
      server.emit('connection', socket)
    })
    rig = await Rig.start({upstream: {kind: 'address', ...upstream}})
    const client = track(tls.connect({...rig.proxy.address, ca, servername: 'public.test'}))
    expect(await echo(client, 'hello')).toBe('hello')
    expect(seen).toHaveLength(1)
    client.end()
    await until(() => seen[0]?.destroyed === true)
  })

  it('are closed with a reason in the log when the Auth Service is down', async () => {
    rig = await Rig.start({upstream: {kind: 'address', host: '127.0.0.1', port: 1}})
    await closed(rig.client('public.test'))
    expect(rig.refusals()).toEqual([expect.stringContaining('the Auth Service cannot be reached')])
  })
})

describe('connections that make no sense', () => {
  it.each([
    ['HTTP', 'GET / HTTP/1.1\r\n\r\n', 'it is not TLS'],
    ['a PostgreSQL startup', Buffer.from([0, 0, 0, 9, 0, 3, 0, 0, 0]), 'it speaks PostgreSQL without encryption'],
  ])('are closed: %s', async (_, bytes, reason) => {
    rig = await Rig.start()
    const socket = rig.raw()
    socket.write(bytes)
    expect((await readAll(socket)).length).toBe(0)
    expect(rig.refusals()).toEqual([reason])
  })

  it('are closed when they stay silent', async () => {
    rig = await Rig.start({timing: {peekMilliseconds: 30}})
    await closed(rig.raw())
    expect(rig.refusals()).toEqual(['it stayed silent'])
  })

  it('are logged by one line each, without their bytes', async () => {
    rig = await Rig.start()
    const socket = rig.raw()
    socket.write('GET /secret-marker HTTP/1.1\r\n\r\n')
    await closed(socket)
    expect(rig.lines).toHaveLength(1)
    expect(JSON.stringify(rig.lines)).not.toContain('secret-marker')
  })

  it('cannot put bytes before TLS', async () => {
    rig = await Rig.start({agentsFor: () => [firstHost]})
    await rig.agent(firstHost)
    const hello = await captureClientHello({servername: `orders.db.${cluster}`})
    const socket = rig.raw()
    socket.write(Buffer.concat([Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]), hello]))
    expect((await readAll(socket)).length).toBe(0)
    expect(rig.refusals()).toEqual([`${hello.length} bytes came before TLS was agreed`])
  })
})

describe('limits', () => {
  it('close the oldest silent connection when there are too many', async () => {
    rig = await Rig.start({limits: {undecided: 3}})
    const silent = [rig.raw(), rig.raw(), rig.raw()]
    await until(() => rig.proxy.statistics().connectionsAccepted === 3)
    const client = rig.client('public.test')
    await closed(silent[0] ?? client)
    expect(silent.map((socket) => socket.destroyed)).toEqual([true, false, false])
    await until(() => rig.handedOver.length === 1)
  })

  it('A09: close the oldest silent connection of an address that has too many', async () => {
    rig = await Rig.start({limits: {undecidedPerAddress: 2}})
    const other = track(net.connect({...rig.proxy.address, localAddress: '127.0.0.2'}))
    await until(() => rig.proxy.statistics().connectionsAccepted === 1)
    const silent = [rig.raw(), rig.raw(), rig.raw()]
    await closed(silent[0] ?? other)
    expect([other, ...silent].map((socket) => socket.destroyed)).toEqual([false, true, false, false])
  })

  it('hold for unanswered ClientHellos of one address', async () => {
    rig = await Rig.start({limits: {hellosPerAddress: 2}, timing: {waitMilliseconds: 20}})
    await rig.agent(firstHost, {poolSize: 0, onConnection: (socket) => track(socket)})
    const clients = [rig.clientOf(firstHost), rig.clientOf(firstHost), rig.clientOf(firstHost)]
    await Promise.race(clients.map(closed))
    expect(rig.refusals()).toEqual(['its address has too many unanswered connections'])
  })

  it('hold for unanswered ClientHellos of one agent', async () => {
    rig = await Rig.start({limits: {hellosPerAgent: 1}, timing: {waitMilliseconds: 20}})
    await rig.agent(firstHost, {poolSize: 0, onConnection: (socket) => track(socket)})
    await Promise.race([rig.clientOf(firstHost), rig.clientOf(firstHost)].map(closed))
    expect(rig.refusals()).toEqual(['its agent has too many unanswered connections'])
  })

  it('let a burst wait its turn', async () => {
    rig = await Rig.start({limits: {hellosPerAddress: 5, hellosPerAgent: 2}})
    await rig.agent(firstHost, {poolSize: 0})
    const answers = await Promise.all(Array.from({length: 10}, () => echo(rig.clientOf(firstHost), 'hello')))
    expect(answers).toEqual(Array.from({length: 10}, () => 'hello'))
  })

  it('turn a flood away at once', async () => {
    rig = await Rig.start({limits: {hellosPerAddress: 1}, timing: {waitMilliseconds: 60_000}})
    await rig.agent(firstHost, {poolSize: 0, onConnection: (socket) => track(socket)})
    // One is under way, and 16 may wait; some more, for none counts against its address for ever.
    const flood = Array.from({length: 24}, () => rig.clientOf(firstHost))
    await Promise.race(flood.map(closed))
    expect(new Set(rig.refusals())).toEqual(new Set(['its address has too many unanswered connections']))
  })

  it('count a connection only until it is answered', async () => {
    rig = await Rig.start({limits: {hellosPerAddress: 1, hellosPerAgent: 1}})
    await rig.agent(firstHost)
    const clients = [rig.clientOf(firstHost)]
    for (const client of clients) expect(await echo(client, 'one')).toBe('one')
    expect(await echo(rig.clientOf(firstHost), 'two')).toBe('two')
  })

  it('hold for handshakes on the tunnel route, but not for agents that were let in', async () => {
    rig = await Rig.start({limits: {hellosPerAddress: 1}, timing: {waitMilliseconds: 20}})
    await rig.agent(firstHost)
    const hello = await captureClientHello({servername: tunnelServerName(cluster)})
    const first = rig.raw()
    first.write(hello)
    await once(first, 'data')
    const second = rig.raw()
    second.write(hello)
    await closed(second)
    expect(rig.refusals()).toEqual(['its address has too many unanswered connections'])
  })
})
