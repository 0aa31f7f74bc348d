import {describe, expect, it, jest} from '@jest/globals'
import {execFile, spawnSync} from 'node:child_process'
import {mkdtemp, rm} from 'node:fs/promises'
import {connect, createServer, Server, type AddressInfo, type ListenOptions, type Socket} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {Secret} from '../../../src/lib/core/secret.js'
import {startLocalProxy} from '../../../src/lib/localproxy/local-proxy.js'
import {encodeCancel, gssencRequest, sslRequest} from '../../../src/lib/pgwire/first-packet.js'
import {encodeMessage} from '../../../src/lib/pgwire/message.js'
import {frontend} from '../../../src/lib/pgwire/message-types.js'
import {encodeErrorResponse} from '../../../src/lib/pgwire/server-error.js'
import {openingPulse, stillOpening} from '../../../src/lib/tunnel/greeting.js'
import {cleanups, errorIn, holdTime, hostA, hostB, open, receive, setup, startup} from './rig.js'

describe('a local client', () => {
  it('is told N to SSLRequest and GSSENCRequest, and then carried to the agent', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: true})
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}])})
    const client = dial()
    client.write(gssencRequest)
    expect((await receive(client, 1)).toString()).toBe('N')
    client.write(sslRequest)
    expect((await receive(client, 1)).toString()).toBe('N')
    client.write(startup)
    expect((await receive(client, startup.length + 2)).subarray(2)).toEqual(startup)
    client.write('more')
    expect((await receive(client, 4)).toString()).toBe('more')
  })

  it('reaches the agent also over a UNIX socket', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: true})
    const directory = await mkdtemp(join(tmpdir(), 'postern-test-'))
    cleanups.push(() => rm(directory, {recursive: true}))
    const path = join(directory, '.s.PGSQL.5432')
    await open({listen: {kind: 'unix', path}, source: await source([{port: fake.port, hostId: hostA}])})
    const client = connect(path)
    client.write(startup)
    expect((await receive(client, startup.length + 2)).length).toBe(startup.length + 2)
    client.destroy()
  })

  it('gets megabytes through unchanged', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: true})
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}])})
    const client = dial()
    client.write(startup)
    await receive(client, startup.length + 2)
    const large = Buffer.alloc(8 * 1024 * 1024, 'postern')
    client.write(large)
    expect((await receive(client, large.length)).equals(large)).toBe(true)
  })

  it('hears a denial as FATAL 28000, and no second try is made', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: false, code: 'denied', message: 'Access is locked.', hint: 'Ask.'})
    let renewed = 0
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}], () => (renewed += 1))})
    const client = dial()
    client.write(startup)
    expect(errorIn(await receive(client))).toMatchObject({
      severity: 'FATAL',
      code: '28000',
      message: 'Access is locked.',
      hint: 'Ask.',
    })
    expect({connections: fake.connections, renewed}).toEqual({connections: 1, renewed: 0})
  })

  it.each(['draining', 'stale', 'unreachable'] as const)(
    'is tried again with a fresh list after "%s"',
    async (code) => {
      const {agent, source} = await setup()
      const fake = await agent(hostA, {ok: false, code, message: 'Not now.'})
      let renewed = 0
      const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}], () => (renewed += 1))})
      const client = dial()
      client.write(startup)
      expect(errorIn(await receive(client))).toMatchObject({severity: 'FATAL', code: '08006', message: 'Not now.'})
      expect({connections: fake.connections, renewed}).toEqual({connections: 2, renewed: 1})
    },
  )

  it('is tried elsewhere when an agent cannot reach the database, and hears the reason when none can', async () => {
    const {agent, source} = await setup()
    const answer = encodeErrorResponse({severity: 'FATAL', code: '08001', message: 'db:5432 refused the connection.'})
    const fake = await agent(hostA, {ok: true}, (socket) => {
      socket.end(answer)
    })
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}])})
    const client = dial()
    client.write(startup)
    expect(errorIn(await receive(client)).message).toBe('db:5432 refused the connection.')
    expect(fake.connections).toBe(2)
  })

  it.each([
    ['closes', (client: Socket) => client.destroy()],
    ['closes its half', (client: Socket) => client.end()],
    ['resets the connection', (client: Socket) => client.resetAndDestroy()],
  ])('that %s while the agent opens the session is told to the agent, and there is no second try', async (_, leave) => {
    const {agent, source} = await setup()
    let renewed = 0
    const fake = await agent(hostA, {ok: true}, () => undefined)
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}], () => (renewed += 1))})
    const client = dial()
    client.write(startup)
    while (fake.sessions.length === 0) await sleep(5)
    leave(client)
    while (fake.sockets.length > 0) await sleep(5)
    expect({connections: fake.connections, renewed}).toEqual({connections: 1, renewed: 0})
  })

  it('is tried again when an agent falls silent while it opens the session', async () => {
    const {agent, source} = await setup()
    holdTime()
    const fake = await agent(hostA, {ok: true}, (socket, first) => {
      if (fake.sessions.length > 1) socket.write(first)
    })
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}])})
    const client = dial()
    client.write(startup)
    while (fake.sessions.length === 0) await sleep(5)
    jest.advanceTimersByTime(openingPulse.silence)
    expect(await receive(client, startup.length)).toEqual(startup)
    while (fake.sockets.length > 1) await sleep(5)
  })

  it('hears nothing of an agent that says again and again that it is still opening the session', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: true}, (socket, first) => {
      socket.write(Buffer.concat([stillOpening, stillOpening, stillOpening, first]))
    })
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}])})
    const client = dial()
    client.write(startup)
    expect(await receive(client, startup.length)).toEqual(startup)
  })

  it('gets any other error of the agent as it was sent', async () => {
    const {agent, source} = await setup()
    const answer = encodeErrorResponse({
      severity: 'FATAL',
      code: '42501',
      message: 'denied',
      detail: 'why',
      hint: 'how',
    })
    const fake = await agent(hostA, {ok: true}, (socket) => {
      socket.end(answer)
    })
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}])})
    const client = dial()
    client.write(startup)
    expect(await receive(client)).toEqual(answer)
    expect(fake.connections).toBe(1)
  })

  it('is not carried to a server that has the certificate of another agent', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostB, {ok: true})
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}])})
    const client = dial()
    client.write(startup)
    expect(errorIn(await receive(client)).code).toBe('08006')
    expect(fake.sessions).toEqual([])
  })

  it('has its cancel request carried to the agent on a connection of its own', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: true}, (socket) => {
      socket.end()
    })
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}])})
    const cancel = encodeCancel({pid: 7, secret: Buffer.from([1, 2, 3, 4])})
    const client = dial()
    client.write(cancel)
    expect((await receive(client)).length).toBe(0)
    while (fake.sessions.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(fake.sessions[0]).toEqual(cancel)
  })

  it.each([
    ['rubbish', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['TLS', Buffer.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0])],
    ['two SSLRequests', Buffer.concat([sslRequest, sslRequest])],
  ])('that sends %s gets FATAL 08P01', async (_what, bytes) => {
    const {source} = await setup()
    const {dial} = await open({source: await source([{port: 1, hostId: hostA}])})
    const client = dial()
    client.write(bytes)
    const answer = await receive(client)
    expect(errorIn(answer.subarray(answer.indexOf('E'))).code).toBe('08P01')
  })

  it('D09: needs the password where one is set', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: true})
    const {dial} = await open({
      source: await source([{port: fake.port, hostId: hostA}]),
      password: new Secret('opensesame'),
    })
    const attempt = async (password: string): Promise<Buffer> => {
      const client = dial()
      client.write(startup)
      expect((await receive(client, 9)).toString('hex')).toBe('520000000800000003')
      client.write(encodeMessage(frontend.password, Buffer.from(`${password}\0`)))
      return receive(client, startup.length + 2)
    }
    expect(errorIn(await attempt('wrong'))).toMatchObject({code: '28000'})
    expect(fake.connections).toBe(0)
    expect((await attempt('opensesame')).subarray(2)).toEqual(startup)
  })
})

describe('the loopback port', () => {
  it('is refused by name when it is taken', async () => {
    const {source} = await setup()
    const made = await source([])
    const {proxy} = await open({source: made})
    await expect(startLocalProxy({listen: {kind: 'loopback', port: proxy.port}, source: made})).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
      message: expect.stringContaining(String(proxy.port)) as unknown as string,
    })
  })

  it('is another one where any will do and only ::1 has it taken', async () => {
    const {source} = await setup()
    const listen = Object.getOwnPropertyDescriptor(Server.prototype, 'listen')?.value as (...words: unknown[]) => Server
    const others: Server[] = []
    const spy = jest.spyOn(Server.prototype, 'listen').mockImplementation(function (this: Server, ...words: unknown[]) {
      const [at] = words as [ListenOptions]
      if (at.host === '::1' && others.length === 0) {
        // There may be no ::1.
        const other = createServer().on('error', () => undefined)
        others.push(listen.call(other, at))
      }
      return listen.call(this, ...words)
    })
    cleanups.push(() => {
      for (const other of others) other.close()
    })
    const made = await source([])
    const {proxy} = await open({source: made}).finally(() => {
      spy.mockRestore()
    })
    expect(others).toHaveLength(1)
    const [taken] = others.map((other) => (other.address() as AddressInfo | null)?.port)
    expect(proxy.port).not.toBe(taken)
  })

  // Only root can become somebody else, who may not get to this Node, and only Linux tells who connects.
  const nobody = {uid: 65_534, gid: 65_534}
  const canBecomeNobody =
    process.platform === 'linux' &&
    process.getuid?.() === 0 &&
    spawnSync(process.execPath, ['-e', ''], {cwd: '/', ...nobody}).status === 0
  const otherUser = canBecomeNobody ? nobody : {}

  it('D09: serves only the user it belongs to', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: true})
    const {proxy} = await open({
      source: await source([{port: fake.port, hostId: hostA}]),
      // Without root we cannot connect as another user, so the tunnel is made to belong to one.
      onlyUid: canBecomeNobody ? process.getuid?.() : (process.getuid?.() ?? 0) + 1,
    })
    const script = `const s=require('net').connect(${proxy.port},'127.0.0.1');s.write(Buffer.from('${startup.toString('hex')}','hex'));s.on('data',(d)=>process.stdout.write(d)).on('end',()=>process.exit())`
    const answer = await new Promise<string>((resolve, reject) => {
      execFile(process.execPath, ['-e', script], {cwd: '/', ...otherUser}, (error, stdout) => {
        if (error) reject(new Error(error.message))
        else resolve(stdout)
      })
    })
    expect(answer).toContain('28000')
    expect({connections: fake.connections, sessions: fake.sessions}).toEqual({connections: 0, sessions: []})
  })

  it('lets go of a client that is refused and does not close its end', async () => {
    const {source} = await setup()
    const {proxy} = await open({
      source: await source([{port: 1, hostId: hostA}]),
      onlyUid: (process.getuid?.() ?? 0) + 1,
    })
    const client = connect({port: proxy.port, host: '127.0.0.1', allowHalfOpen: true})
    cleanups.push(() => {
      client.destroy()
    })
    client.write(startup)
    expect(errorIn(await receive(client)).code).toBe('28000')
    while (proxy.connections() > 0) await new Promise((wake) => setTimeout(wake, 20))
  })

  it('serves its own user', async () => {
    const {agent, source} = await setup()
    const fake = await agent(hostA, {ok: true})
    const {dial} = await open({source: await source([{port: fake.port, hostId: hostA}]), onlyUid: process.getuid?.()})
    const client = dial()
    client.write(startup)
    expect((await receive(client, startup.length + 2)).length).toBe(startup.length + 2)
  })
})
