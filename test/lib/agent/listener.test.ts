import {connect as tcpConnect, type Socket} from 'node:net'
import type {ConnectionOptions, TLSSocket} from 'node:tls'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import {encodeCancel, sslRequest} from '../../../src/lib/pgwire/first-packet.js'
import {cstring, encodeMessage} from '../../../src/lib/pgwire/message.js'
import {frontend} from '../../../src/lib/pgwire/message-types.js'
import {agentServerName, databaseServerName, tunnelServerName} from '../../../src/lib/resources/route.js'
import {greetingProtocol} from '../../../src/lib/tunnel/greeting.js'
import {cluster, Plane} from './plane.js'
import {
  database,
  dialTls,
  greet,
  MessageReader,
  openSession,
  sessionEvents,
  startPostgresFor,
  startRig,
  startup,
  until,
  type Rig,
} from './rig.js'

let plane: Plane
let postgres: PostgresServer
let rig: Rig
let port: number

beforeAll(async () => {
  plane = await Plane.create()
  postgres = await startPostgresFor(plane, 'CREATE ROLE alice LOGIN')
  const anywhere = {host: '127.0.0.1', port: 0}
  rig = await startRig({
    plane,
    uri: `127.0.0.1:${postgres.port}`,
    agent: {direct: {listen: {host: '0.0.0.0', port: 0}, announce: anywhere}},
  })
  await until(() => plane.heartbeats.at(-1)?.directAddress !== undefined, 'the address is announced')
  port = Number(plane.heartbeats.at(-1)?.directAddress?.split(':')[1])
})

afterAll(async () => {
  await rig.stop()
  await postgres.stop()
})

const query = (sql: string): Buffer => encodeMessage(frontend.query, cstring(sql))

async function dial(options: ConnectionOptions = {}): Promise<TLSSocket> {
  const {certificate, privateKey} = await rig.guest()
  return dialTls({
    host: '127.0.0.1',
    port,
    servername: agentServerName(rig.agent.hostId, cluster),
    ca: [plane.host.certificate],
    minVersion: 'TLSv1.3',
    ALPNProtocols: [greetingProtocol],
    cert: certificate,
    key: privateKey.reveal(),
    ...options,
  })
}

async function session(application: string): Promise<{socket: TLSSocket; reader: MessageReader; key: Buffer}> {
  const socket = await dial()
  expect(await greet(socket)).toEqual({ok: true})
  const reader = new MessageReader(socket)
  socket.write(startup({application_name: application}))
  const opening = await reader.until('Z')
  return {socket, reader, key: opening.find(({type}) => type === 'K')?.payload ?? Buffer.alloc(0)}
}

describe('a client that comes without the proxy', () => {
  it('has its session, and its own address in the audit', async () => {
    await until(() => rig.agent.statistics().sessions === 0, 'nobody else is there')
    const before = rig.proxy.statistics().sessionsOpened
    const {socket, reader} = await session('direct')
    const source = `127.0.0.1:${socket.localPort}`
    socket.write(query('select 6 * 7'))
    const row = (await reader.until('Z')).find(({type}) => type === 'D')
    expect(row?.payload.subarray(6).toString()).toBe('42')
    expect(rig.agent.statistics().sessions).toBe(1)
    socket.write(encodeMessage(frontend.terminate))
    const events = await sessionEvents(plane, 'direct')
    expect(JSON.stringify(events[0])).toContain(source)
    expect(rig.proxy.statistics().sessionsOpened).toBe(before)
  })

  it('can cancel its query, on either way', async () => {
    for (const reach of [dial, async () => rig.dial(await rig.guest())]) {
      const {socket, reader, key} = await session('cancelled')
      socket.write(query('select pg_sleep(600)'))
      const pid = key.readUInt32BE(0)
      const running = `select 1 from pg_stat_activity where pid = ${pid} and state = 'active'`
      await until(async () => (await postgres.execute(running)).length > 0, 'the query runs')
      const other = await reach()
      await greet(other)
      other.end(encodeCancel({pid, secret: key.subarray(4)}))
      expect((await reader.error())?.code).toBe('57014')
      socket.destroy()
    }
  })

  it('is refused like anybody: without a certificate of its own, and when it is locked', async () => {
    expect(await greet(await dial({cert: undefined, key: undefined}))).toMatchObject({ok: false, code: 'denied'})
    plane.put({
      kind: 'lock',
      name: 'l1',
      item: {kind: 'lock', version: 'v2', metadata: {name: 'l1'}, spec: {target: {user: 'alice'}}},
    })
    await until(async () => !(await greet(await dial())).ok, 'the lock has arrived')
    plane.delete('lock', 'l1')
    await until(async () => (await greet(await dial())).ok, 'the lock is gone')
  })
})

/** What comes back until the connection is closed. */
async function answerTo(bytes: Buffer | string): Promise<Buffer> {
  const socket = tcpConnect(port, '127.0.0.1')
  const received: Buffer[] = []
  socket.on('data', (chunk: Buffer) => received.push(chunk)).on('error', () => undefined)
  socket.write(bytes)
  await new Promise((resolve) => socket.once('close', resolve))
  return Buffer.concat(received)
}

describe('the port of an agent', () => {
  it.each([
    ['of another agent', agentServerName('11111111-1111-4111-8111-111111111111', cluster)],
    ['of a database', databaseServerName(database, cluster)],
    ['of the tunnel', tunnelServerName(cluster)],
    ['of the control plane', `auth.${cluster}`],
  ])('is closed to the name %s', async (_what, servername) => {
    // Whatever certificate it would show.
    await expect(dial({servername, rejectUnauthorized: false})).rejects.toThrow()
  })

  it.each([
    ['PostgreSQL', sslRequest],
    ['an agent', 'POSTERN/1 p1.0.0123456789abcdef0123456789abcdef\n'],
    ['HTTP', 'GET / HTTP/1.1\r\n\r\n'],
  ])('says nothing to %s', async (_what, bytes) => {
    const before = rig.agent.statistics().connectionsTurnedAway
    expect(await answerTo(bytes)).toEqual(Buffer.alloc(0))
    expect(rig.agent.statistics().connectionsTurnedAway).toBe(before + 1)
  })

  it('lets others in while one address floods it with silence', async () => {
    const silent: Socket[] = []
    try {
      for (let count = 0; count < 400; count += 1) {
        silent.push(tcpConnect({port, host: '127.0.0.1', localAddress: '127.0.0.1'}).on('error', () => undefined))
      }
      // 64 are looked at and 256 wait; the others are turned away.
      await until(() => silent.filter((socket) => socket.destroyed).length >= 80, 'the flood is cut')
      const other = await dial({localAddress: '127.0.0.3'} as ConnectionOptions)
      expect(await greet(other)).toEqual({ok: true})
      other.destroy()
      const {socket} = await openSession(rig, await rig.guest())
      socket.destroy()
    } finally {
      for (const socket of silent) socket.destroy()
    }
  })

  it('turns clients away while the agent drains, and is gone with it', async () => {
    const {socket, reader} = await session('draining')
    const drained = rig.agent.drain(500)
    expect(await greet(await dial())).toMatchObject({ok: false, code: 'draining'})
    expect((await reader.error())?.code).toBe('57P01')
    socket.destroy()
    await drained
    await rig.agent.close()
    await expect(dialTls({host: '127.0.0.1', port})).rejects.toThrow('ECONNREFUSED')
  })
})
