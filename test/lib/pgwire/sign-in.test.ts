import {once} from 'node:events'
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import {PosternError} from '../../../src/lib/core/errors.js'
import {Secret} from '../../../src/lib/core/secret.js'
import type {AuthenticationMethod} from '../../../src/lib/pgwire/authenticator.js'
import {encodeStartup} from '../../../src/lib/pgwire/first-packet.js'
import {cstring, encodeMessage, int32} from '../../../src/lib/pgwire/message.js'
import {backend, frontend} from '../../../src/lib/pgwire/message-types.js'
import {encodeNegotiateProtocolVersion} from '../../../src/lib/pgwire/protocol-version.js'
import {encodeErrorResponse, encodeNoticeResponse} from '../../../src/lib/pgwire/server-error.js'
import {
  authenticationOk,
  encodeBackendKeyData,
  encodeParameterStatus,
  encodeReadyForQuery,
} from '../../../src/lib/pgwire/server-messages.js'
import {signIn, type SignedIn, type SignInRequest} from '../../../src/lib/pgwire/sign-in.js'
import {everySplit} from './chunks.js'
import {openSocketPair, playServer, type SocketPair, type Step} from './socket-pair.js'

let pair: SocketPair
beforeEach(async () => {
  pair = await openSocketPair()
})
afterEach(() => {
  pair.close()
})

const password = new Secret('correct horse')
const withPassword: AuthenticationMethod = {kind: 'password', password}

function requestWith(changes: Partial<SignInRequest> = {}): SignInRequest {
  const parameters = new Map([['application_name', 'postern']])
  return {user: 'alice', database: 'app', parameters, authenticator: withPassword, allowCleartext: true, ...changes}
}

async function play(steps: readonly Step[], request = requestWith(), timeout = 60_000) {
  const {heard} = playServer(pair.server, steps)
  return {result: await signIn(pair.client, request, {timeout}), heard}
}

async function failureOf(attempt: Promise<unknown>): Promise<PosternError> {
  const error = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof PosternError)) throw new Error('did not fail')
  return error
}

const ask = (code: number, ...rest: readonly Buffer[]): Buffer =>
  encodeMessage(backend.authentication, int32(code), ...rest)
const askCleartext = ask(3)
const askMd5 = ask(5, Buffer.from([1, 2, 3, 4]))
const askScram = ask(10, cstring('SCRAM-SHA-256'), Buffer.alloc(1))
const notice = {severity: 'WARNING', code: '01000', message: 'careful'}
const session = Buffer.concat([
  encodeParameterStatus('server_version', '18.4'),
  encodeParameterStatus('TimeZone', 'UTC'),
  encodeBackendKeyData({pid: 42, secret: Buffer.from('4444')}),
  encodeReadyForQuery('I'),
])
const welcome = Buffer.concat([authenticationOk, session])

describe('signing in', () => {
  it('gives what the server said, in its order', async () => {
    const {result, heard} = await play([Buffer.concat([encodeNoticeResponse(notice), welcome])])
    expect(result).toEqual({
      ok: true,
      parameterStatus: [
        ['server_version', '18.4'],
        ['TimeZone', 'UTC'],
      ],
      backendKey: {pid: 42, secret: Buffer.from('4444')},
      transactionStatus: 'I',
      notices: [{...notice, detail: undefined, hint: undefined}],
    })
    const sent = [
      ['application_name', 'postern'],
      ['user', 'alice'],
      ['database', 'app'],
    ] as const
    expect(heard().equals(encodeStartup(0, new Map(sent)))).toBe(true)
  })

  it('gives the same wherever the server’s bytes are cut', async () => {
    for (const [first = Buffer.alloc(0), second = Buffer.alloc(0)] of everySplit(welcome).slice(1, -1)) {
      const local = await openSocketPair()
      local.server.once('data', () => {
        local.server.write(first, () => setImmediate(() => local.server.write(second)))
      })
      const result = (await signIn(local.client, requestWith(), {timeout: 60_000})) as SignedIn
      expect(result.parameterStatus).toHaveLength(2)
      expect(result.backendKey?.pid).toBe(42)
      local.close()
    }
  })

  it('leaves what comes behind ReadyForQuery in the stream', async () => {
    await play([Buffer.concat([welcome, encodeNoticeResponse(notice)])])
    const [chunk] = (await once(pair.client, 'data')) as [Buffer]
    expect(chunk.equals(encodeNoticeResponse(notice))).toBe(true)
    expect(pair.client.listenerCount('error')).toBe(1)
  })

  it('goes without a cancel key where the server gives none', async () => {
    const {result} = await play([Buffer.concat([authenticationOk, encodeReadyForQuery('I')])])
    expect(result).not.toHaveProperty('backendKey')
  })

  it('answers a request for the password in clear with a token of any length up to 64 KiB', async () => {
    const token = 't'.repeat(65_536)
    const authenticator: AuthenticationMethod = {kind: 'cleartext', password: new Secret(token)}
    const local = await openSocketPair()
    const heard: Buffer[] = []
    let total = 0
    local.server.once('data', () => {
      local.server.write(askCleartext)
      local.server.on('data', (chunk: Buffer) => {
        heard.push(chunk)
        total += chunk.length
        if (total === token.length + 6) local.server.write(welcome)
      })
    })
    expect((await signIn(local.client, requestWith({authenticator}), {timeout: 60_000})).ok).toBe(true)
    expect(Buffer.concat(heard).equals(encodeMessage(frontend.password, cstring(token)))).toBe(true)
    local.close()
  })

  it('takes the server’s offer of the version we asked for', async () => {
    const offer = encodeNegotiateProtocolVersion({minor: 0, unknownOptions: []})
    expect((await play([Buffer.concat([offer, welcome])])).result.ok).toBe(true)
  })

  it.each([0, 1, 2])('asks for 3.2 and takes the server’s offer of 3.%d', async (minor) => {
    const offer = encodeNegotiateProtocolVersion({minor, unknownOptions: []})
    const {result, heard} = await play([Buffer.concat([offer, welcome])], requestWith({minor: 2}))
    expect(result.ok).toBe(true)
    expect(heard().readUInt32BE(4)).toBe(0x0003_0002)
  })

  it('hands over the server’s refusal and closes', async () => {
    const error = {severity: 'FATAL', code: '28P01', message: 'no', detail: 'd', hint: 'h'}
    const {result} = await play([askMd5, encodeErrorResponse(error)])
    expect(result).toEqual({ok: false, error})
    expect(pair.client.destroyed).toBe(true)
  })
})

describe('a server that is not to be trusted', () => {
  const scram: AuthenticationMethod = {kind: 'scram', password}
  const none: AuthenticationMethod = {kind: 'none'}

  it.each<[string, Step[], Partial<SignInRequest>, string, string]>([
    [
      'asks for the password in clear without verified TLS',
      [askCleartext],
      {allowCleartext: false},
      'FAILED',
      'in clear',
    ],
    ['asks for another method than agreed', [askMd5], {authenticator: scram}, 'FAILED', 'MD5'],
    ['asks for a password where a certificate was agreed', [askScram], {authenticator: none}, 'FAILED', 'certificate'],
    ['asks for a method that nobody knows', [ask(99)], {}, 'FAILED', 'authentication type 99'],
    ['asks for GSSAPI', [ask(7)], {}, 'FAILED', 'GSSAPI'],
    ['asks for unknown SASL', [ask(10, cstring('X\n'), Buffer.alloc(1))], {}, 'FAILED', 'X?,'],
    ['asks for nothing where SCRAM was agreed', [welcome], {authenticator: scram}, 'UNTRUSTED', 'out of order'],
    ['cuts SCRAM short', [askScram, welcome], {}, 'UNTRUSTED', 'out of order'],
    ['challenges before SCRAM', [ask(11, Buffer.from('r=x'))], {}, 'UNTRUSTED', 'out of order'],
    ['signs before its challenge', [askScram, ask(12, Buffer.from('v=x'))], {}, 'UNTRUSTED', 'out of order'],
    ['asks twice', [askMd5, askMd5], {}, 'UNTRUSTED', 'out of order'],
    ['changes the method', [askScram, askCleartext], {}, 'UNTRUSTED', 'out of order'],
    ['sends a huge nonce', [askScram, ask(11, Buffer.alloc(60_000, 0x61))], {}, 'UNTRUSTED', 'SCRAM'],
    ['asks again after ok', [Buffer.concat([authenticationOk, askCleartext])], {}, 'UNTRUSTED', "'R'"],
    ['starts a session before ok', [session], {}, 'UNTRUSTED', "'S'"],
    ['gives two cancel keys', [Buffer.concat([welcome.subarray(0, -6), session])], {}, 'UNTRUSTED', "'K'"],
    [
      'gives a key without a secret',
      [Buffer.concat([authenticationOk, encodeMessage(backend.backendKeyData, int32(1))])],
      {},
      'UNTRUSTED',
      'malformed',
    ],
    ['sends rows', [Buffer.concat([authenticationOk, encodeMessage(backend.dataRow)])], {}, 'UNTRUSTED', "'D'"],
    ['sends a length below 4', [Buffer.from('R\0\0\0\x03')], {}, 'UNTRUSTED', 'malformed'],
    ['announces 4 GiB', [Buffer.from('R\xff\xff\xff\xff', 'latin1')], {}, 'UNTRUSTED', 'more than'],
    [
      'sends notices without end',
      [Buffer.concat(Array<Buffer>(30_000).fill(encodeNoticeResponse(notice)))],
      {},
      'UNTRUSTED',
      'more than',
    ],
    [
      'offers a newer protocol',
      [encodeNegotiateProtocolVersion({minor: 2, unknownOptions: []})],
      {},
      'UNTRUSTED',
      'version',
    ],
    [
      'offers a newer protocol than 3.2',
      [encodeNegotiateProtocolVersion({minor: 3, unknownOptions: []})],
      {minor: 2},
      'UNTRUSTED',
      'version',
    ],
    [
      'negotiates twice',
      [Buffer.concat([2, 2].map((minor) => encodeNegotiateProtocolVersion({minor, unknownOptions: []})))],
      {minor: 2},
      'UNTRUSTED',
      '',
    ],
    ['hangs up', ['end'], {}, 'UNREACHABLE', 'closed'],
    ['is no PostgreSQL', [Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')], {}, 'UNTRUSTED', ''],
  ])('that %s is left', async (_, steps, changes, code, text) => {
    const error = await failureOf(play(steps, requestWith(changes)))
    expect({code: error.code, message: error.message}).toEqual({code, message: expect.stringContaining(text)})
    expect(pair.client.destroyed).toBe(true)
  })

  it('that gives the password away gets none of it before', async () => {
    const {heard} = playServer(pair.server, [askCleartext])
    await failureOf(signIn(pair.client, requestWith({allowCleartext: false}), {timeout: 60_000}))
    expect(heard().includes('correct horse')).toBe(false)
  })

  it('that hangs up in the middle of a message is left', async () => {
    pair.server.once('data', () => pair.server.end(welcome.subarray(0, 20)))
    const error = await failureOf(signIn(pair.client, requestWith(), {timeout: 60_000}))
    expect(error).toMatchObject({code: 'UNREACHABLE', message: expect.stringContaining('closed')})
  })

  it('that stays silent is left at the deadline', async () => {
    const error = await failureOf(play(['silence'], requestWith(), 50))
    expect(error).toMatchObject({code: 'UNREACHABLE', message: expect.stringContaining('in time')})
    expect(pair.client.destroyed).toBe(true)
  })

  it('that resets the connection is an error, not a crash', async () => {
    const local = await openSocketPair({host: '127.0.0.1', port: 0})
    local.server.once('data', () => local.server.resetAndDestroy())
    const error = await failureOf(signIn(local.client, requestWith(), {timeout: 60_000}))
    local.close()
    expect(error.code).toBe('UNREACHABLE')
  })
})

describe('a request that cannot be', () => {
  it.each([
    ['an empty password', {authenticator: {kind: 'password', password: new Secret('')}}],
    ['a password above 64 KiB', {authenticator: {kind: 'password', password: new Secret('x'.repeat(65_537))}}],
    ['a password with a NUL', {authenticator: {kind: 'cleartext', password: new Secret('a\0b')}}],
    ['a user with a NUL', {user: 'admin\0x'}],
  ] as [string, Partial<SignInRequest>][])('sends nothing: %s', async (_, changes) => {
    const {heard} = playServer(pair.server, [welcome])
    expect((await failureOf(signIn(pair.client, requestWith(changes), {timeout: 60_000}))).code).toBe('INVALID')
    expect(heard()).toHaveLength(0)
  })
})
