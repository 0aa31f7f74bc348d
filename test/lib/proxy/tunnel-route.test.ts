import {once} from 'node:events'
import type tls from 'node:tls'
import {afterEach, describe, expect, it} from '@jest/globals'
import {tunnelServerName} from '../../../src/lib/resources/route.js'
import {cluster, issue, issueAgent, issueProxy, issueUser, newAuthority} from '../tunnel/certificates.js'
import {captureClientHello, closeOpened, until} from '../tunnel/sockets.js'
import {closed, firstHost, Rig, secondHost} from './rig.js'

let rig: Rig

afterEach(async () => {
  closeOpened()
  await rig.close()
})

/** Checks often, and gives nobody up. */
const fast = {pingMilliseconds: 20, deadMilliseconds: 120_000}

describe('the tunnel route', () => {
  it('welcomes a Database Service and orders the spares it wants', async () => {
    rig = await Rig.start()
    const agent = rig.manualAgent(await issueAgent(rig.authority, firstHost))
    expect(await agent.next('welcome')).toEqual({welcome: 'proxy-1.0'})
    expect(agent.socket.getProtocol()).toBe('TLSv1.3')
    agent.send({spares: 2, recycle: 60_000})
    expect(await agent.next('spare')).toMatchObject({at: 'proxy-1.0'})
    await agent.next('spare')
    expect(rig.proxy.agents()).toEqual([firstHost])
  })

  it.each([
    ['without the role for it', () => issueAgent(rig.authority, firstHost, ['Proxy', 'Auth'])],
    ['of a user', async () => issueUser(await newAuthority('user'))],
    ['of a user, from the host authority', () => issueUser(rig.authority)],
    ['from another authority', async () => issueAgent(await newAuthority(), firstHost)],
    ['that is expired', () => issueAgent(rig.authority, firstHost, ['Db'], {notAfter: Date.now() - 1000})],
    ['for servers only', () => issueAgent(rig.authority, firstHost, ['Db'], {purposes: ['server']})],
    ['of a database server', async () => issue(await newAuthority('db'), 'db', {hosts: ['db.example.com']})],
    ['without identity', () => issue(rig.authority, firstHost, {hosts: ['a.example.com']})],
  ])('D04: refuses a certificate %s, and says so', async (_, credentials) => {
    rig = await Rig.start()
    const agent = rig.manualAgent(await credentials())
    expect(await agent.next('refused')).toMatchObject({message: expect.stringContaining('certificate')})
    await closed(agent.socket)
    expect(rig.proxy.agents()).toEqual([])
    expect(rig.refusals()).toHaveLength(1)
  })

  it('refuses a connection without certificate', async () => {
    rig = await Rig.start()
    const socket = rig.client(tunnelServerName(cluster))
    expect(String((await once(socket, 'data'))[0])).toContain('without a certificate')
    await closed(socket)
  })

  it('refuses TLS 1.2', async () => {
    rig = await Rig.start()
    const credentials = await issueAgent(rig.authority, firstHost)
    const agent = rig.manualAgent(credentials, {minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2'})
    await closed(agent.socket)
    expect(agent.messages).toEqual([])
    expect(rig.refusals()).toHaveLength(1)
  })

  it('resumes no session', async () => {
    rig = await Rig.start()
    const credentials = await issueAgent(rig.authority, firstHost)
    const first = rig.manualAgent(credentials)
    await first.next('welcome')
    const session = first.socket.getSession()
    expect(session).toBeDefined()
    const again = rig.manualAgent(credentials, {session})
    await again.next('welcome')
    expect(again.socket.isSessionReused()).toBe(false)
  })

  it('closes a handshake that stands still', async () => {
    rig = await Rig.start({timing: {handshakeMilliseconds: 50}})
    const socket = rig.raw()
    socket.write(await captureClientHello({servername: tunnelServerName(cluster)}))
    await closed(socket)
    await until(() => rig.refusals().length === 1)
  })

  it('refuses a host that may not serve, and drops it once it may not any more', async () => {
    let allowed = false
    rig = await Rig.start({mayServe: () => allowed, timing: {pulse: fast}})
    const credentials = await issueAgent(rig.authority, firstHost)
    const locked = rig.manualAgent(credentials)
    expect(await locked.next('refused')).toMatchObject({message: expect.stringContaining('locked')})
    allowed = true
    const agent = await rig.agent(firstHost, {poolSize: 1})
    allowed = false
    await until(() => agent.tunnel.state === 'disconnected')
    expect(rig.proxy.agents()).toEqual([])
  })

  it('drops a control connection whose certificate has expired', async () => {
    let now = Date.now()
    rig = await Rig.start({
      clock: {now: () => now, monotonic: () => performance.now()},
      timing: {pulse: fast},
    })
    const agent = await rig.agent(firstHost, {poolSize: 0, pulse: fast})
    now += 2 * 3_600_000
    await until(() => agent.tunnel.state === 'disconnected')
  })

  it('shows a renewed certificate, and trusts a new authority, from the next connection on', async () => {
    let [credentials, authority] = [await issueProxy(await newAuthority()), await newAuthority()]
    rig = await Rig.start({credentials: () => credentials, hostAuthorities: () => [authority.certificate]})
    const agentCredentials = await issueAgent(rig.authority, firstHost)
    await closed(rig.manualAgent(agentCredentials).socket)
    expect(rig.proxy.agents()).toEqual([])
    credentials = await issueProxy(rig.authority)
    authority = rig.authority
    await rig.manualAgent(agentCredentials).next('welcome')
  })

  it('gives a host id’s route to its newest connection', async () => {
    rig = await Rig.start()
    const credentials = await issueAgent(rig.authority, firstHost)
    const older = rig.manualAgent(credentials)
    await older.next('welcome')
    const newer = rig.manualAgent(credentials)
    await newer.next('welcome')
    await closed(older.socket)
    void rig.clientOf(firstHost)
    expect(await newer.next('open')).toMatchObject({at: 'proxy-1.0'})
  })

  it('takes the host id from the certificate only', async () => {
    rig = await Rig.start()
    const agent = rig.manualAgent(await issueAgent(rig.authority, firstHost))
    await agent.next('welcome')
    expect(rig.proxy.agents()).toEqual([firstHost])
    await closed(rig.clientOf(secondHost))
    expect(rig.refusals()).toEqual(['no agent for it is connected'])
  })

  it('keeps an agent, which keeps the proxy, when their processes are held up for longer than an answer may take', async () => {
    const pulse = {pingMilliseconds: 50, deadMilliseconds: 500}
    rig = await Rig.start({timing: {pulse}})
    await rig.agent(firstHost, {pulse})
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1500)
    await new Promise((resolve) => setTimeout(resolve, 3 * pulse.pingMilliseconds))
    expect(rig.lines).not.toContainEqual(expect.objectContaining({message: 'Agent disconnected.'}))
    expect(rig.proxy.agents()).toEqual([firstHost])
  })

  it('drops an agent that answers no pings, though it keeps sending', async () => {
    rig = await Rig.start({timing: {pulse: {...fast, deadMilliseconds: 200}}})
    const agent = rig.manualAgent(await issueAgent(rig.authority, firstHost))
    const drip = setInterval(() => {
      agent.send({ping: 1})
    }, 10)
    await closed(agent.socket)
    clearInterval(drip)
    expect(rig.lines).toContainEqual(expect.objectContaining({reason: 'the other end no longer answers'}))
  })

  it.each([
    ['an unknown message', (socket: tls.TLSSocket) => socket.write('{"hello": 1}\n')],
    ['no JSON', (socket: tls.TLSSocket) => socket.write('hello\n')],
    ['more spares than there may be', (socket: tls.TLSSocket) => socket.write('{"spares": 65, "recycle": 1}\n')],
    ['a key too many', (socket: tls.TLSSocket) => socket.write('{"spares": 1, "recycle": 1, "x": 1}\n')],
    ['a line above 64 KiB', (socket: tls.TLSSocket) => socket.write('x'.repeat(64 * 1024 + 1))],
  ])('drops an agent that sends %s', async (_, send) => {
    rig = await Rig.start()
    const agent = rig.manualAgent(await issueAgent(rig.authority, firstHost))
    await agent.next('welcome')
    send(agent.socket)
    await closed(agent.socket)
    await until(() => rig.proxy.agents().length === 0)
  })
})
