/** Messages inside of a session that lie about themselves: the agent between a real client and a real or a false server. */
import type {TLSSocket} from 'node:tls'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import {cstring, encodeMessage, int32} from '../../../src/lib/pgwire/message.js'
import {frontend} from '../../../src/lib/pgwire/message-types.js'
import {startTestPostgres} from '../../helpers/postgres.js'
import {Plane} from '../../lib/agent/plane.js'
import type {MessageReader} from '../../lib/agent/rig.js'
import {
  databaseResource,
  guestIdentity,
  openSession,
  refusal,
  serverCertificate,
  sessionEvents,
  startRig,
  until,
  type Rig,
} from '../../lib/agent/rig.js'
import {emptyAnswer, startFalseServer, type FalseServer, type Visit} from './false-server.js'

let plane: Plane
let postgres: PostgresServer
let rig: Rig
const servers: Record<string, FalseServer> = {}

beforeAll(async () => {
  plane = await Plane.create()
  const certificate = await serverCertificate(plane)
  postgres = await startTestPostgres({tls: {...certificate, clientAuthorities: plane.dbClient.certificate}})
  await postgres.execute('CREATE ROLE alice LOGIN; CREATE TABLE products (name text); GRANT ALL ON products TO alice')
  servers.listening = await startFalseServer(certificate)
  servers.injecting = await startFalseServer(certificate, {answer: 'Sinjected'})
  servers.late = await startFalseServer(certificate, {answer: 'S', afterAnswer: 'R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I'})
  servers.plain = await startFalseServer(certificate, {answer: 'N'})
  const databases = [
    databaseResource('example', `127.0.0.1:${postgres.port}`),
    ...Object.entries(servers).map(([name, {port}]) => databaseResource(name, `127.0.0.1:${port}`)),
  ]
  rig = await startRig({plane, uri: '', agent: {databases}})
})

afterAll(async () => {
  await rig.stop()
  await postgres.stop()
  for (const server of Object.values(servers)) await server.stop()
})

const query = (sql: string): Buffer => encodeMessage(frontend.query, cstring(sql))
const sync = encodeMessage(frontend.sync)
const int16 = (value: number): Buffer => int32(value).subarray(2)
const parse = encodeMessage(frontend.parse, cstring('s1'), cstring('insert into products values ($1)'), int16(0))
const execute = encodeMessage(frontend.execute, cstring(''), int32(0))

function bind(...parameters: readonly Buffer[]): Buffer {
  return encodeMessage(frontend.bind, cstring(''), cstring('s1'), int16(0), ...parameters, int16(0))
}

function message(type: number | string, length: number, payload = ''): Buffer {
  const header = Buffer.alloc(5)
  header[0] = typeof type === 'string' ? type.charCodeAt(0) : type
  header.writeUInt32BE(length, 1)
  return Buffer.concat([header, Buffer.from(payload, 'latin1')])
}

async function guestOf(database: string): ReturnType<Rig['guest']> {
  const {route} = guestIdentity()
  if (!route) throw new Error('no route')
  return rig.guest({route: {...route, database}})
}

async function sessionOf(
  database: string,
  application: string,
): Promise<{socket: TLSSocket; reader: MessageReader; server: FalseServer}> {
  const server = serverOf(database)
  const {socket, reader} = await openSession(rig, await guestOf(database), {application_name: application})
  return {socket, reader, server}
}

/** The newest session at the server; cancel requests and health checks come on connections of their own. */
function newest(server: FalseServer): Visit | undefined {
  return server.visits.findLast(({secured}) => secured.length > 6 && secured.readUInt16BE(4) === 3)
}

/** What the server was sent behind the startup message. */
function heard(server: FalseServer): Buffer {
  const bytes = newest(server)?.secured ?? Buffer.alloc(0)
  return bytes.subarray(bytes.length === 0 ? 0 : bytes.readUInt32BE(0))
}

function serverOf(name: string): FalseServer {
  const server = servers[name]
  if (!server) throw new Error(`there is no server "${name}"`)
  return server
}

const visitsOf = (name: string): Visit[] => serverOf(name).visits.filter(({clear}) => clear.length > 0)
const sslRequestHex = '0000000804d2162f'

describe('a server that does not agree to TLS as it should', () => {
  it.each([
    ['A02: bytes behind the S', 'injecting', 'a possible man in the middle'],
    ['A03: an N', 'plain', 'does not offer TLS, so nothing was sent to it'],
  ])('%s: the session is refused, and the server was sent nothing but the request', async (_, name, sentence) => {
    const error = await refusal(rig, await guestOf(name))
    expect(error?.severity).toBe('FATAL')
    expect(error?.message).toContain(sentence)
    expect(visitsOf(name).map(({clear}) => clear.toString('hex'))).toEqual([sslRequestHex])
    const audited = (): boolean =>
      plane.events.some((event) => event.code === 'TDB00W' && event.error === error?.message)
    await until(audited, 'the refusal is audited')
  })

  it('A02: clear text that comes when the handshake has begun is no part of the session', async () => {
    const error = await refusal(rig, await guestOf('late'))
    expect(error?.severity).toBe('FATAL')
    const [visit] = visitsOf('late')
    // A ClientHello is all that follows; in clear the agent says nothing.
    expect(visit?.clear.subarray(0, 8).toString('hex')).toBe(sslRequestHex)
    expect(visit?.clear.subarray(8, 10).toString('hex')).toMatch(/^(1603|1503)?$/)
    expect(visit?.clear.includes('alice')).toBe(false)
  })
})

describe('a message of a client that cannot be', () => {
  it.each([
    ['length 0', message('Q', 0)],
    ['length 3', message('Q', 3, 'x')],
    ['type 0', message(0, 4)],
    ['an unknown type', message('z', 4)],
    ['a type that only servers send', message('T', 6, '\0\0')],
    ['a Sync of 10,001 bytes', message('S', 10_001)],
  ])('B01: %s ends both legs with 08P01, and the audit says why', async (what, bytes) => {
    const {socket, reader} = await openSession(rig, await guestOf('example'), {application_name: what})
    const running = `select 1 from pg_stat_activity where application_name = '${what}'`
    expect(await postgres.execute(running)).toHaveLength(1)
    socket.write(bytes)
    expect(await reader.error()).toMatchObject({severity: 'FATAL', code: '08P01'})
    expect(await reader.next()).toBeUndefined()
    const end = (await sessionEvents(plane, what)).at(-1)
    expect(end?.reason).toMatch(/^The client sent a message of /)
    await until(async () => (await postgres.execute(running)).length === 0, 'the database leg is closed')
  })

  it('B01: an end in the middle of a message ends the other leg, unexecuted, and the audit says so', async () => {
    const {socket} = await openSession(rig, await guestOf('example'), {application_name: 'cut'})
    const whole = query("insert into products values ('cut')")
    socket.end(whole.subarray(0, -1))
    const events = await sessionEvents(plane, 'cut')
    expect(events.map(({code}) => code)).toEqual(['TDB00I', 'TDB01I'])
    expect(events.at(-1)?.reason).toBe('The client closed the connection, in the middle of a message.')
    expect(await postgres.execute("select 1 from products where name = 'cut'")).toEqual([])
  })

  it('B02: a query that announces 4 GiB is refused, and nothing of it reaches the server', async () => {
    const {socket, reader, server} = await sessionOf('listening', 'gigantic')
    socket.write(message('Q', 0xffff_ffff, 'select 1'))
    expect(await reader.error()).toMatchObject({severity: 'FATAL', code: '08P01'})
    expect((await sessionEvents(plane, 'gigantic')).at(-1)?.reason).toContain('impossible length 4294967295')
    expect(heard(server)).toHaveLength(0)
  })
})

describe('a message of a server that cannot be', () => {
  it.each([
    ['length 0', message('D', 0)],
    ['length 3', message('C', 3)],
    ['length 2^31', message('D', 2 ** 31)],
  ])('B01: %s ends both legs with 08P01, and the audit says why', async (what, bytes) => {
    const {socket, reader, server} = await sessionOf('listening', `server ${what}`)
    socket.write(query('select 1'))
    await until(() => heard(server).length > 0, 'the query is there')
    server.session?.write(bytes)
    expect(await reader.error()).toMatchObject({severity: 'FATAL', code: '08P01'})
    const end = (await sessionEvents(plane, `server ${what}`)).at(-1)
    expect(end?.reason).toMatch(/^The server sent a message of type '.' with the impossible length/)
    await until(() => newest(server)?.closed === true, 'the database leg is closed')
  })
})

describe('smuggling', () => {
  const smuggled = query('drop table products')

  it('B03: a parameter that looks like a message is a parameter to all', async () => {
    const {socket, reader} = await openSession(rig, await guestOf('example'), {application_name: 'looks'})
    const value = Buffer.concat(
      [Buffer.from('x'), smuggled, smuggled].map((part) => Buffer.from(part.map((byte) => byte || 1))),
    )
    const sent = Buffer.concat([parse, bind(int16(1), int32(value.length), value), execute, sync])
    // Cut where the parameter begins, as a reader that lost count would see it.
    const cut = sent.indexOf(value) + 1
    socket.write(sent.subarray(0, cut))
    await new Promise((resolve) => setTimeout(resolve, 20))
    socket.write(sent.subarray(cut))
    expect((await reader.until('Z')).map(({type}) => type).join('')).toBe('12CZ')
    socket.destroy()
    const events = await sessionEvents(plane, 'looks')
    expect(events.map(({code}) => code)).toEqual(['TDB00I', 'TDB02I', 'TDB01I'])
    expect(events[1]?.db_query_parameters).toEqual([value.toString()])
    expect(await postgres.execute('select name from products')).toEqual([{name: value.toString()}])
  })

  const lies: [string, Buffer][] = [
    ['a length of -2', bind(int16(1), int32(-2))],
    ['a length of -2^31', bind(int16(1), int32(-(2 ** 31)))],
    ['a length beyond the message', bind(int16(1), int32(1000), Buffer.from('x'))],
    ['a length that leaves bytes over', bind(int16(1), int32(1), Buffer.concat([Buffer.from('x'), smuggled]))],
    ['more parameters than there are', bind(int16(2), int32(1), Buffer.from('x'))],
    [
      'more formats than parameters',
      encodeMessage(
        frontend.bind,
        cstring(''),
        cstring('s1'),
        int16(2),
        int32(0),
        int16(1),
        int32(1),
        Buffer.from('x'),
        int16(0),
      ),
    ],
  ]

  it.each(lies)('B03: %s is refused before the server has the message', async (what, lie) => {
    const {socket, reader, server} = await sessionOf('listening', what)
    socket.write(parse)
    await until(() => heard(server).length === parse.length, 'the statement is there')
    socket.write(Buffer.concat([lie, sync]))
    expect(await reader.error()).toMatchObject({severity: 'FATAL', code: '08P01'})
    const events = await sessionEvents(plane, what)
    // The statement that was prepared is recorded as well, with the end of the session.
    expect(events.map(({code}) => code)).toEqual(['TDB00I', 'TDB06I', 'TDB02W', 'TDB01I'])
    expect(events[1]?.payload).toBe(lie.subarray(5).toString('base64'))
    expect(heard(server)).toEqual(parse)
  })

  it.each(lies)('B03: %s is refused before its last byte when it comes byte by byte', async (what, lie) => {
    const {socket, reader, server} = await sessionOf('listening', `slowly ${what}`)
    for (const byte of Buffer.concat([parse, lie])) {
      socket.write(Buffer.from([byte]))
      await new Promise(setImmediate)
    }
    expect(await reader.error()).toMatchObject({severity: 'FATAL', code: '08P01'})
    await sessionEvents(plane, `slowly ${what}`)
    expect(heard(server).length).toBeLessThan(parse.length + lie.length)
  })

  it('an honest message reaches the server byte for byte, and its answer the client', async () => {
    const {socket, reader, server} = await sessionOf('listening', 'honest')
    const sent = Buffer.concat([parse, bind(int16(1), int32(-1)), execute, sync])
    socket.write(sent)
    await until(() => heard(server).length >= sent.length, 'all of it is there')
    expect(heard(server)).toEqual(sent)
    server.session?.write(emptyAnswer)
    expect((await reader.until('Z')).map(({type}) => type).join('')).toBe('CZ')
    socket.destroy()
  })
})
