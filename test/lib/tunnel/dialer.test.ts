import type net from 'node:net'
import tls from 'node:tls'
import {afterEach, beforeAll, describe, expect, it} from '@jest/globals'
import {systemClock} from '../../../src/lib/core/clock.js'
import {silentLogger, type Logger} from '../../../src/lib/core/log.js'
import type {Credentials} from '../../../src/lib/pki/credentials.js'
import type {Authority} from '../../../src/lib/pki/issuing.js'
import {tunnelServerName} from '../../../src/lib/resources/route.js'
import {startTunnel, type Tunnel, type TunnelOptions} from '../../../src/lib/tunnel/dialer.js'
import type {SessionSource} from '../../../src/lib/tunnel/data-connections.js'
import {handOver} from '../../../src/lib/tunnel/hand-over.js'
import {peek} from '../../../src/lib/tunnel/peek.js'
import {newNonce} from '../../../src/lib/tunnel/preamble.js'
import {cluster, issue, issueAgent, issueProxy, newAuthority} from './certificates.js'
import {closeOpened, listen, track, until} from './sockets.js'

const hostId = '11111111-1111-4111-8111-111111111111'
let tunnel: Tunnel | undefined

afterEach(() => {
  tunnel?.close()
  closeOpened()
})

/** A proxy played by hand. */
interface FakeProxy {
  readonly address: {host: string; port: number}
  readonly control: tls.TLSSocket[]
  readonly lines: Record<string, unknown>[]
  readonly data: Map<string, net.Socket>
  send(...messages: unknown[]): void
}

/** @param greeting said to each agent at once */
async function fakeProxy(
  credentials: Credentials,
  options: tls.TlsOptions = {},
  greeting?: object,
): Promise<FakeProxy> {
  const control: tls.TLSSocket[] = []
  const lines: Record<string, unknown>[] = []
  const data = new Map<string, net.Socket>()
  const server = tls.createServer(
    {
      cert: credentials.certificate,
      key: credentials.privateKey.reveal(),
      requestCert: true,
      rejectUnauthorized: false,
      ...options,
    },
    (socket) => {
      control.push(track(socket))
      if (greeting) socket.write(`${JSON.stringify(greeting)}\n`)
      socket.on('data', (bytes: Buffer) => {
        for (const line of String(bytes).trim().split('\n')) lines.push(JSON.parse(line) as Record<string, unknown>)
      })
    },
  )
  const address = await listen((socket) => {
    void peek(socket, {preamble: true}).then((first) => {
      if (first.kind === 'tls') handOver(socket, first.head, server)
      else if (first.kind === 'preamble') data.set(first.nonce, socket)
    })
  })
  const send = (...messages: unknown[]): void => {
    control.at(-1)?.write(messages.map((message) => `${JSON.stringify(message)}\n`).join(''))
  }
  return {address, control, lines, data, send}
}

describe('startTunnel', () => {
  let authority: Authority
  let proxyCredentials: Credentials
  let agentCredentials: Credentials
  const sessions: (SessionSource & {bytes: string})[] = []
  const reasons: unknown[] = []

  beforeAll(async () => {
    authority = await newAuthority()
    proxyCredentials = await issueProxy(authority)
    agentCredentials = await issueAgent(authority, hostId)
  })

  function start(proxy: FakeProxy, options: Partial<TunnelOptions> = {}): Tunnel {
    sessions.length = 0
    reasons.length = 0
    const logger: Logger = {
      ...silentLogger,
      warn: (_, fields) => reasons.push(fields?.reason),
      with: () => logger,
    }
    tunnel = startTunnel({
      proxyAddress: proxy.address,
      cluster,
      credentials: () => agentCredentials,
      hostAuthorities: () => [authority.certificate],
      onConnection: (socket, session) => {
        track(socket).once('data', (bytes: Buffer) => sessions.push({...session, bytes: String(bytes)}))
        socket.resume()
      },
      onDrain: () => undefined,
      logger,
      clock: systemClock,
      backoff: {firstMilliseconds: 10, mostMilliseconds: 20},
      // The proxy here answers no pings.
      pulse: {pingMilliseconds: 5000, deadMilliseconds: 600_000},
      ...options,
    })
    return tunnel
  }

  async function welcomed(options: Partial<TunnelOptions> = {}): Promise<FakeProxy> {
    const proxy = await fakeProxy(proxyCredentials)
    start(proxy, options)
    await until(() => proxy.control.length >= 1)
    proxy.send({welcome: 'p.0'})
    await until(() => tunnel?.state === 'connected')
    return proxy
  }

  it('shows its certificate to the tunnel route and asks for its pool', async () => {
    const proxy = await welcomed({poolSize: 3, recycleMilliseconds: 1234})
    expect(proxy.control[0]?.getProtocol()).toBe('TLSv1.3')
    expect((proxy.control[0] as {servername?: string} | undefined)?.servername).toBe(tunnelServerName(cluster))
    expect(proxy.control[0]?.getPeerX509Certificate()?.subject).toContain(hostId)
    await until(() => proxy.lines.some((line) => 'spares' in line))
    expect(proxy.lines).toContainEqual({spares: 3, recycle: 1234})
  })

  it.each([
    ['from another authority', async () => issueProxy(await newAuthority())],
    ['with another name', () => issue(authority, tunnelServerName(cluster), {hosts: [`auth.${cluster}`]})],
    ['without names', () => issue(authority, tunnelServerName(cluster), {})],
    ['for clients only', () => issue(authority, 'x', {hosts: [tunnelServerName(cluster)], purposes: ['client']})],
  ])('says nothing to a proxy with a certificate %s, and tries again', async (_, credentials) => {
    const proxy = await fakeProxy(await credentials())
    start(proxy)
    await until(() => reasons.length >= 2)
    expect(proxy.lines).toEqual([])
    expect(tunnel?.state).toBe('disconnected')
  })

  it('does not speak TLS 1.2', async () => {
    const proxy = await fakeProxy(proxyCredentials, {maxVersion: 'TLSv1.2'})
    start(proxy)
    await until(() => reasons.length >= 1)
    expect(proxy.control).toEqual([])
  })

  it('logs why the proxy refused it', async () => {
    const proxy = await fakeProxy(proxyCredentials)
    start(proxy)
    await until(() => proxy.control.length >= 1)
    proxy.send({refused: 'ACCESS_DENIED', message: 'The certificate is odd.'})
    await until(() => reasons.length >= 1)
    expect(reasons[0]).toBe('the proxy refused this agent: The certificate is odd.')
  })

  it('starts a session on an opened connection at its first byte', async () => {
    const proxy = await welcomed()
    const nonce = newNonce()
    proxy.send({open: nonce, at: 'p.0', src: '192.0.2.1:5000'})
    await until(() => proxy.data.has(nonce))
    expect(sessions).toEqual([])
    proxy.data.get(nonce)?.write('hello')
    await until(() => sessions.length === 1)
    expect(sessions).toEqual([{source: '192.0.2.1:5000', nonce, bytes: 'hello'}])
  })

  it('starts a session on a spare once both its use and its first byte are there, in either order', async () => {
    const proxy = await welcomed()
    const [one, two] = [newNonce(), newNonce()]
    proxy.send({spare: one, at: 'p.0'}, {spare: two, at: 'p.0'})
    await until(() => proxy.data.size === 2)
    proxy.send({use: one, src: '192.0.2.1:1'})
    proxy.data.get(one)?.write('use first')
    await until(() => sessions.length === 1)

    proxy.data.get(two)?.write('byte first')
    proxy.send({use: newNonce(), src: '192.0.2.1:2'}, {use: one, src: '192.0.2.1:2'})
    proxy.send({ping: 7})
    await until(() => proxy.lines.some(({pong}) => pong === 7))
    expect(sessions).toHaveLength(1)
    proxy.send({use: two, src: '192.0.2.1:3'})
    await until(() => sessions.length === 2)
    expect(sessions.map(({source, bytes}) => [source, bytes])).toEqual([
      ['192.0.2.1:1', 'use first'],
      ['192.0.2.1:3', 'byte first'],
    ])
  })

  it('keeps idle connections idle and closes them with the control connection', async () => {
    const proxy = await welcomed()
    const [idle, used] = [newNonce(), newNonce()]
    proxy.send({spare: idle, at: 'p.0'}, {open: used, at: 'p.0', src: '192.0.2.1:1'})
    await until(() => proxy.data.size === 2)
    proxy.data.get(used)?.write('x')
    await until(() => sessions.length === 1)
    proxy.data.get(idle)?.resume()
    proxy.control[0]?.destroy()
    await until(() => proxy.data.get(idle)?.readableEnded === true)
    expect(proxy.data.get(used)?.readableEnded).toBe(false)
    await until(() => proxy.control.length >= 2)
  })

  it('passes drains on', async () => {
    const drains: unknown[] = []
    const proxy = await welcomed({onDrain: (nonces, deadline) => drains.push([nonces, deadline])})
    const nonce = newNonce()
    proxy.send({drain: [nonce], deadline: 30_000})
    await until(() => drains.length === 1)
    expect(drains).toEqual([[[nonce], 30_000]])
  })

  it.each([
    ['orders before the welcome', [{open: newNonce(), at: 'p.0', src: 'a:1'}]],
    ['a nonce that is none', [{welcome: 'p.0'}, {spare: 'short', at: 'p.0'}]],
    ['a place that could break the preamble', [{welcome: 'p.0'}, {spare: newNonce(), at: 'p.0\nx'}]],
    ['no object', [[1]]],
  ])('hangs up on %s', async (_, messages) => {
    const proxy = await fakeProxy(proxyCredentials)
    start(proxy)
    await until(() => proxy.control.length >= 1)
    proxy.send(...messages)
    await until(() => reasons.length >= 1)
    expect(proxy.data.size).toBe(0)
  })

  it('leaves a proxy that no longer answers pings, and comes back', async () => {
    const states: string[] = []
    const proxy = await fakeProxy(proxyCredentials, {}, {welcome: 'p.0'})
    start(proxy, {
      pulse: {pingMilliseconds: 10, deadMilliseconds: 50},
      onState: (state) => states.push(state),
    })
    await until(() => states.length >= 3)
    expect(reasons).toContain('the other end no longer answers')
    expect(states.slice(0, 3)).toEqual(['connected', 'disconnected', 'connected'])
  })

  it('waits for credentials that are not there yet', async () => {
    const proxy = await fakeProxy(proxyCredentials)
    let ready = false
    start(proxy, {
      credentials: () => {
        if (!ready) throw new Error('not joined yet')
        return agentCredentials
      },
    })
    await until(() => reasons.length >= 2)
    ready = true
    await until(() => proxy.control.length >= 1)
    expect(reasons[0]).toBe('not joined yet')
  })

  it('stays closed once closed', async () => {
    const proxy = await welcomed()
    tunnel?.close()
    await until(() => tunnel?.state === 'disconnected')
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(proxy.control).toHaveLength(1)
  })
})
