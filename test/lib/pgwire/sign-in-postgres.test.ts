import {once} from 'node:events'
import {connect as connectTcp, type Socket} from 'node:net'
import type {Duplex} from 'node:stream'
import {connect as connectTls} from 'node:tls'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {Secret} from '../../../src/lib/core/secret.js'
import {createAuthority, issueCertificate, type Authority} from '../../../src/lib/pki/issuing.js'
import {generateKeys, type KeyPair} from '../../../src/lib/pki/keys.js'
import type {AuthenticationMethod} from '../../../src/lib/pgwire/authenticator.js'
import {encodeStartup, readFirstPacket} from '../../../src/lib/pgwire/first-packet.js'
import {cstring, encodeMessage, encodeUntyped, int32} from '../../../src/lib/pgwire/message.js'
import {backend, frontend} from '../../../src/lib/pgwire/message-types.js'
import {negotiateProtocol} from '../../../src/lib/pgwire/protocol-version.js'
import {decodeServerError} from '../../../src/lib/pgwire/server-error.js'
import {
  decodeCommandComplete,
  decodeReadyForQuery,
  decodeRowDescription,
} from '../../../src/lib/pgwire/server-messages.js'
import {walkServer} from '../../../src/lib/pgwire/server-stream.js'
import {signIn, type SignedIn, type SignInRefused} from '../../../src/lib/pgwire/sign-in.js'
import {parseOptions} from '../../../src/lib/pgwire/startup-options.js'
import {requestTls} from '../../../src/lib/pgwire/tls-request.js'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import {startTestPostgres} from '../../helpers/postgres.js'

const timeout = 60_000
let server: PostgresServer
let authority: Authority
let client: {keys: KeyPair; certificate: string}

async function issue(commonName: string, purpose: 'server' | 'client') {
  const keys = await generateKeys()
  const hosts = purpose === 'server' ? ['127.0.0.1'] : []
  const now = Date.now()
  const validity = {notBefore: now - 60_000, notAfter: now + 3_600_000}
  const {publicKey} = keys
  const request = {authority, publicKey, commonName, purposes: [purpose], hosts, ...validity}
  return {keys, certificate: await issueCertificate(request)}
}

beforeAll(async () => {
  authority = await createAuthority({cluster: 'test', type: 'db', now: Date.now()})
  const own = await issue('127.0.0.1', 'server')
  client = await issue('certificate_user', 'client')
  server = await startTestPostgres({
    hbaLines: [
      'host all postgres 127.0.0.1/32 trust',
      'host all clear_user 127.0.0.1/32 password',
      'host all md5_user 127.0.0.1/32 md5',
      'host all scram_user,prepared_user 127.0.0.1/32 scram-sha-256',
      'hostssl all certificate_user 127.0.0.1/32 cert',
    ],
    tls: {
      certificate: own.certificate,
      privateKey: own.keys.privateKey,
      clientAuthorities: authority.certificate,
    },
    settings: {md5_password_warnings: 'off'},
  })
  await server.execute(`
    create role clear_user login password 'pencil';
    create role scram_user login password 'pencil';
    create role prepared_user login password E'I\\u00adX \\u2168 \\u00e9';
    create role certificate_user login;
    set password_encryption = 'md5'; create role md5_user login password 'pencil'`)
})

afterAll(async () => {
  await server.stop()
})

async function connect(): Promise<Socket> {
  const socket = connectTcp(server.port, server.host).setNoDelay(true)
  await once(socket, 'connect')
  return socket.on('error', () => undefined)
}

async function enter(user: string, authenticator: AuthenticationMethod, parameters = new Map<string, string>()) {
  const socket = await connect()
  const request = {user, database: 'postgres', parameters, authenticator, allowCleartext: true}
  return {socket, result: await signIn(socket, request, {timeout})}
}

function signedIn(result: SignedIn | SignInRefused): SignedIn {
  if (!result.ok) throw new Error(result.error.message)
  return result
}

/** Runs a simple query through our own walker and gives what it saw. */
async function run(socket: Duplex, sql: string): Promise<{seen: string[]; bytes: Buffer}> {
  const seen: string[] = []
  const bytes: Buffer[] = []
  const {commandComplete, dataRow, errorResponse, readyForQuery, rowDescription} = backend
  const walker = walkServer([commandComplete, dataRow, errorResponse, readyForQuery, rowDescription])
  socket.write(encodeMessage(frontend.query, cstring(sql)))
  while (!seen.at(-1)?.startsWith('ready')) {
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    bytes.push(chunk)
    walker.walk(chunk, (frame) => {
      if (frame.type === rowDescription) seen.push(`columns ${JSON.stringify(decodeRowDescription(frame))}`)
      else if (frame.type === dataRow) seen.push(`row ${frame.payload.subarray(6).toString()}`)
      else if (frame.type === commandComplete) seen.push(`done ${JSON.stringify(decodeCommandComplete(frame))}`)
      else if (frame.type === errorResponse) seen.push(`error ${decodeServerError(frame).code}`)
      else seen.push(`ready ${decodeReadyForQuery(frame) ?? ''}`)
    })
  }
  expect(walker.atBoundary).toBe(true)
  return {seen, bytes: Buffer.concat(bytes)}
}

const pencil = new Secret('pencil')

describe('a real PostgreSQL server lets in', () => {
  it.each<[string, AuthenticationMethod]>([
    ['postgres', {kind: 'none'}],
    ['postgres', {kind: 'password', password: pencil}],
    ['clear_user', {kind: 'cleartext', password: pencil}],
    ['clear_user', {kind: 'password', password: pencil}],
    ['md5_user', {kind: 'md5', password: pencil}],
    ['md5_user', {kind: 'password', password: pencil}],
    ['scram_user', {kind: 'scram', password: pencil}],
    ['scram_user', {kind: 'password', password: pencil}],
    ['prepared_user', {kind: 'scram', password: new Secret('IX\u00a0IX e\u0301')}],
  ])('%s by %j, and the stream is ready for a query', async (user, method) => {
    const {socket, result} = await enter(user, method, new Map([['application_name', 'postern']]))
    const {parameterStatus, backendKey, transactionStatus} = signedIn(result)
    expect(Object.fromEntries(parameterStatus)).toMatchObject({application_name: 'postern', client_encoding: 'UTF8'})
    expect(backendKey?.secret).toHaveLength(4)
    expect(transactionStatus).toBe('I')
    expect((await run(socket, 'select current_user')).seen).toContain(`row ${user}`)
    socket.destroy()
  })

  it('a client certificate over TLS that was asked for', async () => {
    const raw = await connect()
    await requestTls(raw, {timeout})
    const {keys, certificate} = client
    const credentials = {key: keys.privateKey.reveal(), cert: certificate, ca: authority.certificate}
    const socket = connectTls({socket: raw, host: '127.0.0.1', ...credentials})
    await once(socket, 'secureConnect')
    const parameters = new Map<string, string>()
    const request = {user: 'certificate_user', database: 'postgres', parameters, allowCleartext: false}
    const result = await signIn(socket, {...request, authenticator: {kind: 'none'}}, {timeout})
    expect(signedIn(result).transactionStatus).toBe('I')
    expect((await run(socket, 'select 1')).seen).toContain('done {"command":"SELECT","rows":1}')
    socket.destroy()
  })
})

describe('a real PostgreSQL server refuses', () => {
  it.each([
    ['clear_user', '28P01'],
    ['md5_user', '28P01'],
    ['scram_user', '28P01'],
    ['certificate_user', '28000'],
  ])('%s with the wrong password', async (user, code) => {
    const {result} = await enter(user, {kind: 'password', password: new Secret('pen')})
    expect(result).toMatchObject({ok: false, error: {severity: 'FATAL', code}})
  })

  it('a database that is not there, after the password', async () => {
    const request = {
      user: 'scram_user',
      database: 'nowhere',
      parameters: new Map<string, string>(),
      authenticator: {kind: 'scram', password: pencil},
      allowCleartext: false,
    } as const
    const result = await signIn(await connect(), request, {timeout})
    expect(result).toMatchObject({ok: false, error: {code: '3D000'}})
  })
})

it('what a real PostgreSQL server sends is walked without a loss', async () => {
  const {socket} = await enter('postgres', {kind: 'none'})
  const {seen} = await run(socket, `begin; select 7 as id, 'x' as name; create temp table t(); select * from nowhere`)
  expect(seen).toEqual([
    'done {"command":"BEGIN"}',
    'columns [{"name":"id","type":23},{"name":"name","type":25}]',
    expect.stringContaining('row '),
    'done {"command":"SELECT","rows":1}',
    'done {"command":"CREATE TABLE"}',
    'error 42P01',
    'ready E',
  ])
  const large = await run(socket, `rollback; select repeat('x', 300000) from generate_series(1, 20)`)
  expect(large.seen.filter((line) => line.startsWith('row'))).toHaveLength(20)
  expect(large.bytes.length).toBeGreaterThan(6_000_000)
  socket.destroy()
})

/** Sends a first packet and gives the server's first message. */
async function firstAnswer(packet: Buffer): Promise<Buffer> {
  const socket = await connect()
  socket.end(packet)
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  const bytes = Buffer.concat(chunks)
  return bytes.length === 0 ? bytes : bytes.subarray(0, 1 + bytes.readUInt32BE(1))
}

describe('we read first packets as a real PostgreSQL server does', () => {
  const startup = (body: string): Buffer => encodeUntyped(int32(3 * 65_536), Buffer.from(body))

  it.each([
    ['protocol 4.0', encodeUntyped(int32(4 * 65_536), Buffer.from('user\0postgres\0\0'))],
    ['no terminator', startup('user\0postgres\0')],
    ['a key without a value', startup('user\0postgres\0database\0\0')],
    ['something behind the terminator', startup('user\0postgres\0\0x\0y\0\0')],
    ['no user', startup('database\0postgres\0\0')],
    ['an empty user', startup('user\0\0\0')],
  ])('%s: the same SQLSTATE', async (_, packet) => {
    const answer = await firstAnswer(packet)
    const own = readFirstPacket(packet)
    const {code} = decodeServerError({payload: answer.subarray(5), size: answer.length - 5})
    expect(own).toMatchObject({kind: 'invalid', sqlState: code})
  })

  it.each([
    [9999, '_pq_.test_protocol_negotiation'],
    [0, '_pq_.foo'],
    [3, undefined],
  ])('protocol 3.%d with %s: the same offer, byte for byte', async (minor, extension) => {
    const parameters = new Map([['user', 'postgres'], ...(extension ? [[extension, '1'] as const] : [])])
    const packet = encodeStartup(minor, parameters)
    const own = readFirstPacket(packet)
    const offer = own.kind === 'startup' ? negotiateProtocol(own.message).answer : undefined
    expect((await firstAnswer(packet)).toString('hex')).toBe(offer?.toString('hex'))
  })
})

describe('we read startup options as a real PostgreSQL server does', () => {
  it.each([
    '-c application_name=a',
    '-capplication_name=a=b',
    '--application-name=A\\ b\\\\c',
    ' \t-c\n  APPLICATION_NAME=x\\',
    '-c application_name=1 --application_name=2',
    '-c appl\\ication_name=e',
  ])('%j', async (options) => {
    const {socket, result} = await enter('postgres', {kind: 'none'}, new Map([['options', options]]))
    const parsed = parseOptions(options)
    const own = parsed.ok ? parsed.settings.findLast(({name}) => name === 'application_name')?.value : undefined
    expect(Object.fromEntries(signedIn(result).parameterStatus).application_name).toBe(own)
    socket.destroy()
  })

  it.each(['-c', '-c a', '-c=', '--a', 'role=x', '-c application_name=b extra', '\\'])(
    '%j is refused',
    async (options) => {
      const {result} = await enter('postgres', {kind: 'none'}, new Map([['options', options]]))
      expect(result.ok).toBe(false)
      expect(parseOptions(options).ok).toBe(false)
    },
  )
})
