/** What a client with a good certificate may send to the agent in the place of a startup message, and around it. */
import type {TLSSocket} from 'node:tls'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import {encodeStartup, gssencRequest, sslRequest} from '../../../src/lib/pgwire/first-packet.js'
import {cstring, encodeMessage, encodeUntyped, int32} from '../../../src/lib/pgwire/message.js'
import {frontend} from '../../../src/lib/pgwire/message-types.js'
import {decodeNegotiateProtocolVersion} from '../../../src/lib/pgwire/protocol-version.js'
import type {ServerError} from '../../../src/lib/pgwire/server-error.js'
import {Plane} from '../../lib/agent/plane.js'
import {
  accessRole,
  greet,
  guestIdentity,
  MessageReader,
  openSession,
  refusal,
  role,
  sessionEvents,
  startPostgresFor,
  startRig,
  startup,
  until,
  type Rig,
} from '../../lib/agent/rig.js'

let plane: Plane
let postgres: PostgresServer
let rig: Rig

beforeAll(async () => {
  plane = await Plane.create()
  postgres = await startPostgresFor(plane, 'CREATE ROLE alice LOGIN')
  rig = await startRig({plane, uri: `127.0.0.1:${postgres.port}`})
})

/** Whatever was sent, the agent serves the next one. */
afterAll(async () => {
  expect(await whoAmI()).toBe('alice')
  await rig.stop()
  await postgres.stop()
})

const query = (sql: string): Buffer => encodeMessage(frontend.query, cstring(sql))
const version = (major: number, minor: number): Buffer => int32(major * 65_536 + minor)
const body = (text: string): Buffer => encodeUntyped(version(3, 0), Buffer.from(text, 'latin1'))

async function whoAmI(): Promise<string> {
  const {socket, reader} = await openSession(rig, await rig.guest())
  socket.write(query('select current_user'))
  const row = (await reader.until('Z')).find(({type}) => type === 'D')
  socket.destroy()
  return row?.payload.subarray(6).toString() ?? ''
}

/** A connection that the agent has welcomed. */
async function welcomed(): Promise<{socket: TLSSocket; reader: MessageReader}> {
  const socket = await rig.dial(await rig.guest())
  expect(await greet(socket)).toEqual({ok: true})
  return {socket, reader: new MessageReader(socket)}
}

/** The error that these bytes are answered with, and that nothing comes after it. */
async function answerTo(bytes: Buffer): Promise<ServerError | undefined> {
  const {socket, reader} = await welcomed()
  socket.write(bytes)
  const error = await reader.error()
  expect(await reader.next()).toBeUndefined()
  return error
}

/** TDB00W with this sentence. */
async function audited(message: string | undefined): Promise<Readonly<Record<string, unknown>>> {
  const find = (): Readonly<Record<string, unknown>> | undefined =>
    plane.events.find((event) => event.code === 'TDB00W' && event.error === message)
  await until(() => find() !== undefined, 'the refusal is audited')
  return find() ?? {}
}

describe('inside of TLS', () => {
  it.each([
    ['SSLRequest', [sslRequest]],
    ['GSSENCRequest twice', [gssencRequest, gssencRequest]],
    ['GSSENCRequest, then SSLRequest', [gssencRequest, sslRequest]],
  ])('A05: %s is FATAL 08P01 and the end', async (_, requests) => {
    const {socket} = await welcomed()
    const answer = new Promise<Buffer>((resolve) => {
      const chunks: Buffer[] = []
      socket.on('data', (chunk: Buffer) => chunks.push(chunk))
      socket.once('close', () => {
        resolve(Buffer.concat(chunks))
      })
    })
    socket.write(Buffer.concat(requests))
    const text = (await answer).toString('latin1')
    expect(text.startsWith('N'.repeat(requests.length - 1) + 'E')).toBe(true)
    expect(text).toContain('FATAL\0C08P01\0')
  })

  it('A04: GSSENCRequest is answered N, once, and the session goes on', async () => {
    const {socket, reader} = await welcomed()
    const answer = new Promise<Buffer>((resolve) => socket.prependOnceListener('data', resolve))
    socket.write(gssencRequest)
    expect(String(await answer)).toBe('N')
    reader.skip(1)
    socket.write(startup())
    expect((await reader.until('Z')).at(-1)?.type).toBe('Z')
    socket.destroy()
  })
})

describe('the protocol version', () => {
  it.each<[string, number, string[], number | undefined]>([
    ['3.0', 0, [], undefined],
    ['3.2', 2, [], undefined],
    ['3.9999 with _pq_.test_protocol_negotiation', 9999, ['_pq_.test_protocol_negotiation'], 2],
    ['3.0 with _pq_.foo', 0, ['_pq_.foo'], 0],
    ['3.2 with two extensions', 2, ['_pq_.foo', '_pq_.bar'], 2],
  ])('A07: %s is negotiated and runs', async (_, minor, extensions, offered) => {
    const options = Object.fromEntries(extensions.map((name) => [name, '1']))
    const {socket, reader, opening} = await openSession(rig, await rig.guest(), options, minor)
    const payload = opening.find(({type}) => type === 'v')?.payload
    const offer = payload && decodeNegotiateProtocolVersion({payload, size: payload.length})
    expect(offer).toEqual(offered === undefined ? undefined : {minor: offered, unknownOptions: extensions})
    // It comes first, or the client has passed the place where it looks for it.
    if (offer) expect(opening[0]?.type).toBe('v')
    const key = opening.find(({type}) => type === 'K')?.payload
    expect(key?.length).toBe(Math.min(minor, 2) === 2 ? 4 + 32 : 4 + 4)
    socket.write(query('select 1'))
    expect((await reader.until('Z')).map(({type}) => type).join('')).toBe('TDCZ')
    socket.destroy()
  })

  it.each([
    [2, 0],
    [4, 0],
    [0, 0],
  ])('A07: %d.%d is FATAL 0A000', async (major, minor) => {
    const packet = encodeUntyped(version(major, minor), Buffer.from('user\0alice\0\0'))
    expect(await answerTo(packet)).toMatchObject({severity: 'FATAL', code: '0A000'})
  })
})

describe('a first packet that cannot be', () => {
  it.each([
    ['length 0', '\0\0\0\0\0\x03\0\0'],
    ['length 3', '\0\0\0\x03\0\x03\0\0'],
    ['length 8 with junk', '\0\0\0\x08junk'],
    ['length 10,001', '\0\0\x27\x11\0\x03\0\0'],
    ['length 2^31', '\x80\0\0\0\0\x03\0\0'],
    ['length 2^32-1', '\xff\xff\xff\xff\0\x03\0\0'],
    ['HTTP', 'GET / HTTP/1.1\r\n\r\n'],
    ['TLS in TLS', '\x16\x03\x01\0\x05\x01\0\0\x01\0'],
  ])('A08: %s is refused at once', async (_, bytes) => {
    const before = performance.now()
    expect(await answerTo(Buffer.from(bytes, 'latin1'))).toMatchObject({severity: 'FATAL'})
    // The connection itself takes most of it; the agent waits a minute and a half for an honest client.
    expect(performance.now() - before).toBeLessThan(60_000)
  })

  it('A08: no room is made for the longest announcement', async () => {
    const connections = await Promise.all(Array.from({length: 20}, () => welcomed()))
    const before = process.memoryUsage().arrayBuffers
    for (const {socket} of connections) socket.write(Buffer.from([0, 0, 0x27, 0x10, 0, 3, 0, 0]))
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(connections.length * 160 * 1024)
    for (const {socket} of connections) socket.destroy()
  })
})

describe('parameters', () => {
  it.each([
    ['without the final NUL', body('user\0alice\0'), '08P01'],
    ['without a NUL at all', body('user'), '08P01'],
    ['a key without a value', body('user\0alice\0database\0\0'), '08P01'],
    ['two users', body('user\0alice\0user\0postgres\0\0'), '08P01'],
    ['an empty user', body('user\0\0database\0postgres\0\0'), '28000'],
    ['no user', body('database\0postgres\0\0'), '28000'],
    ['invalid UTF-8', body('user\0al\xffce\0\0'), '08P01'],
    ['a user behind the end', body('user\0alice\0\0user\0postgres\0\0'), '08P01'],
    ['another user with the same beginning', startup({user: `alice${'x'.repeat(60)}`}), '28000'],
  ])('A10: %s is refused', async (_, packet, code) => {
    const error = await answerTo(packet)
    expect(error).toMatchObject({severity: 'FATAL', code})
    expect((await audited(error?.message)).user).toBe('alice')
  })

  it('A10: names that objects give a meaning are plain parameters, which the server refuses', async () => {
    const packet = encodeStartup(
      0,
      new Map([...Object.entries({user: 'alice', database: 'postgres'}), ['__proto__', 'x']]),
    )
    expect(await answerTo(packet)).toMatchObject({severity: 'FATAL'})
    expect(({} as Record<string, unknown>).x).toBeUndefined()
    expect(Object.keys(Object.prototype)).toEqual([])
  })

  it('A10: a user name beyond PostgreSQL’s 63 bytes is not cut down to somebody else', async () => {
    const short = 'v'.repeat(63)
    const long = `${short}x`
    await postgres.execute(`CREATE ROLE ${short} LOGIN`)
    plane.put({
      kind: 'role',
      name: 'access',
      item: role('access', {db_labels: {'*': ['*']}, db_users: ['*'], db_names: ['*']}),
    })
    const {route} = guestIdentity()
    if (!route) throw new Error('no route')
    const guest = (dbUser: string) => rig.guest({route: {...route, dbUser}})
    expect(await refusal(rig, await guest(short), {user: long})).toMatchObject({code: '28000'})
    expect(await refusal(rig, await guest(long), {user: long})).toMatchObject({code: '28000'})
    plane.put({kind: 'role', name: 'access', item: accessRole})
  })

  it('A10: a database name beyond PostgreSQL’s 63 bytes is not cut down to another one', async () => {
    const short = 'd'.repeat(63)
    const long = `${short}x`
    await postgres.execute(`CREATE DATABASE ${short}`)
    plane.put({
      kind: 'role',
      name: 'access',
      item: role('access', {db_labels: {'*': ['*']}, db_users: ['*'], db_names: ['*']}),
    })
    const {route} = guestIdentity()
    if (!route) throw new Error('no route')
    const guest = await rig.guest({route: {...route, dbName: long}})
    const error = await refusal(rig, guest, {database: long})
    expect(error).toMatchObject({
      code: '28000',
      message: expect.stringContaining('longer than the 63 bytes') as unknown as string,
    })
    plane.put({kind: 'role', name: 'access', item: accessRole})
  })
})

describe('options', () => {
  it.each([
    ['an empty name', '-c='],
    ['a name without a value', '-c a'],
    ['-c alone', '-c'],
    ['-- alone', '--'],
    ['a value without a name', '-c =x'],
    ['a word more', '-c a=b\\ -c role=postgres extra'],
    ['thousands of backslashes', '\\'.repeat(4001)],
    ['thousands of dashes', '-'.repeat(9000)],
  ])('A11: %s is refused in no time', async (_, options) => {
    const before = performance.now()
    const error = await refusal(rig, await rig.guest(), {options})
    expect(error).toMatchObject({severity: 'FATAL', code: '42601'})
    expect(performance.now() - before).toBeLessThan(60_000)
    await audited(error?.message)
  })

  it('A11: three hundred options are read like PostgreSQL reads them, the last one counts', async () => {
    const options = Array.from({length: 300}, (_, number) => `-c statement_timeout=${1000 + number}`).join(' ')
    const {socket, reader} = await openSession(rig, await rig.guest(), {options})
    socket.write(query('show statement_timeout'))
    expect((await reader.until('Z'))[1]?.payload.toString()).toContain('1299ms')
    socket.destroy()
  })

  it('A11: ten thousand are more than a startup message may hold', async () => {
    const options = '-c a=b '.repeat(10_000)
    expect(await answerTo(startup({options}))).toMatchObject({severity: 'FATAL', code: '08P01'})
  })
})

describe('one identity for one connection', () => {
  const postgresUser = startup({user: 'postgres'})
  const sasl = encodeMessage(frontend.password, cstring('SCRAM-SHA-256'), int32(8), Buffer.from('n,,n=,r=x'))

  it('A12: a second startup message right behind the first is no message, and its user nobody', async () => {
    const {socket, reader} = await welcomed()
    socket.write(Buffer.concat([startup({application_name: 'behind'}), postgresUser]))
    expect(await reader.error()).toMatchObject({severity: 'FATAL', code: '08P01'})
    expect(await reader.next()).toBeUndefined()
    const events = await sessionEvents(plane, 'behind')
    expect(events.map(({db_user}) => db_user)).toEqual(events.map(() => 'alice'))
    expect(events.at(-1)?.reason).toContain('unknown type')
  })

  it.each([
    ['a second startup message', postgresUser],
    ['the same startup message again', startup()],
    ['a password', encodeMessage(frontend.password, cstring('secret'))],
    ['a SASL message', sasl],
    ['an SSLRequest', sslRequest],
  ])('A12: %s after sign-in ends the session', async (what, bytes) => {
    const {socket, reader} = await openSession(rig, await rig.guest(), {application_name: what})
    socket.write(Buffer.concat([query('select current_user'), bytes]))
    const answers = await reader.until('E')
    // What came before counts, and was alice's.
    expect(answers.find(({type}) => type === 'D')?.payload.toString() ?? 'alice').toContain('alice')
    expect(answers.at(-1)?.payload.toString('latin1')).toContain('C08P01')
    expect(await reader.next()).toBeUndefined()
    expect((await sessionEvents(plane, what)).at(-1)?.reason).toContain('unknown type')
    const sql = `select 1 from pg_stat_activity where application_name = '${what}'`
    await until(async () => (await postgres.execute(sql)).length === 0, 'the database session is gone')
  })

  it.each([
    ['a password', encodeMessage(frontend.password, cstring('secret'))],
    ['a SASL message', sasl],
    ['a query', query('select 1')],
  ])('A12: %s before the startup message is refused', async (_, bytes) => {
    expect(await answerTo(bytes)).toMatchObject({severity: 'FATAL', code: '08P01'})
  })
})

describe('settings that would change whose session it is', () => {
  it.each([
    [{role: 'postgres'}, '42501'],
    [{session_authorization: 'postgres'}, '42501'],
    [{options: '-c ROLE=postgres'}, '42501'],
    [{options: '--session-authorization=postgres'}, '42501'],
    [{replication: 'database'}, '28000'],
    [{replication: 'true'}, '28000'],
  ])('A13: %j is refused and audited', async (parameters: Record<string, string>, code) => {
    const error = await refusal(rig, await rig.guest(), parameters)
    expect(error).toMatchObject({severity: 'FATAL', code})
    expect(await audited(error?.message)).toMatchObject({user: 'alice', db_user: 'alice', success: false})
  })

  it('A13: search_path reaches the user’s own session and no other', async () => {
    const {socket, reader} = await openSession(rig, await rig.guest(), {search_path: 'evil'})
    socket.write(query('show search_path'))
    expect((await reader.until('Z'))[1]?.payload.toString()).toContain('evil')
    const other = await openSession(rig, await rig.guest())
    other.socket.write(query('show search_path'))
    expect((await other.reader.until('Z'))[1]?.payload.toString()).not.toContain('evil')
    socket.destroy()
    other.socket.destroy()
  })
})
