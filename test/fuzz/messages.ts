/** Messages as clients and servers send them, and as the A and B cases of hostile input do. */
import fc from 'fast-check'
import {encodeCancel, encodeStartup, gssencRequest, sslRequest} from '../../src/lib/pgwire/first-packet.js'
import {cstring, encodeMessage, int32} from '../../src/lib/pgwire/message.js'
import {backend, frontend} from '../../src/lib/pgwire/message-types.js'
import {elementTypes, typeIds} from '../../src/lib/pgwire/type-names.js'
import {
  authenticationOk,
  encodeBackendKeyData,
  encodeParameterStatus,
  encodeReadyForQuery,
} from '../../src/lib/pgwire/server-messages.js'
import {encodeErrorResponse, encodeNoticeResponse} from '../../src/lib/pgwire/server-error.js'

const int16 = (value: number): Buffer => Buffer.from([(value >> 8) & 0xff, value & 0xff])
const bytes = (maxLength: number): fc.Arbitrary<Buffer> => fc.uint8Array({maxLength}).map((array) => Buffer.from(array))
const name = fc
  .oneof(fc.constantFrom('', 's1', 'p1', 'S'), fc.string({maxLength: 12}))
  .map((text) => text.replaceAll('\0', ''))
/** A length field that says something else than the payload's. */
const raw = (type: number, length: number, payload: Buffer): Buffer => {
  const header = Buffer.alloc(5)
  header.writeUInt8(type)
  header.writeUInt32BE(length >>> 0, 1)
  return Buffer.concat([header, payload])
}
const value = fc.oneof(fc.constant(null), bytes(20))
const list = (items: readonly Buffer[]): Buffer => Buffer.concat([int16(items.length), ...items])
const parameters = fc
  .array(value, {maxLength: 4})
  .map((values) => list(values.map((each) => (each ? Buffer.concat([int32(each.length), each]) : int32(-1)))))

/** SQL that is one statement and long enough, now and then, not to be kept whole. */
export const sqlText = fc
  .tuple(
    fc.nat(),
    fc.string({maxLength: 20}),
    fc.oneof({weight: 9, arbitrary: fc.constant(0)}, fc.constantFrom(100, 70_000, 90_000)),
  )
  .map(([number, text, padding]) => `select ${number} /* ${text.replace(/[\0;*]/g, '')}${'x'.repeat(padding)} */`)

export const queryMessage = (sql: string): Buffer => encodeMessage(frontend.query, cstring(sql))
export const sync = encodeMessage(frontend.sync)

/** Whole, well-formed messages of a client. */
export const clientMessage: fc.Arbitrary<Buffer> = fc.oneof(
  sqlText.map(queryMessage),
  fc
    .tuple(name, sqlText)
    .map(([statement, sql]) => encodeMessage(frontend.parse, cstring(statement), cstring(sql), int16(0))),
  fc
    .tuple(name, sqlText, fc.array(fc.constantFrom(...Object.values(typeIds), ...elementTypes.keys()), {maxLength: 4}))
    .map(([statement, sql, types]) =>
      encodeMessage(frontend.parse, cstring(statement), cstring(sql), int16(types.length), ...types.map(int32)),
    ),
  fc
    .tuple(name, name, fc.constantFrom(list([]), list([int16(0)]), list([int16(1)])), parameters)
    .map(([portal, statement, formats, values]) =>
      encodeMessage(frontend.bind, cstring(portal), cstring(statement), formats, values, int16(0)),
    ),
  fc.tuple(name, fc.nat(5)).map(([portal, rows]) => encodeMessage(frontend.execute, cstring(portal), int32(rows))),
  fc
    .tuple(fc.constantFrom(frontend.close, frontend.describe), fc.constantFrom('S', 'P'), name)
    .map(([type, kind, target]) => encodeMessage(type, Buffer.from(kind), cstring(target))),
  fc.constantFrom(sync, encodeMessage(frontend.flush), encodeMessage(frontend.copyDone)),
  bytes(300).map((data) => encodeMessage(frontend.copyData, data)),
  name.map((reason) => encodeMessage(frontend.copyFail, cstring(reason))),
  fc
    .tuple(fc.nat(9999), parameters)
    .map(([oid, values]) => encodeMessage(frontend.functionCall, int32(oid), int16(0), values, int16(0))),
)

/** Messages that no client should send: B01, B02, B03, A12. */
export const hostileMessage: fc.Arbitrary<Buffer> = fc.oneof(
  fc
    .tuple(fc.nat(255), fc.constantFrom(0, 1, 3, 4, 0x3fff_ffff, 0x7fff_ffff, 0xffff_ffff), bytes(8))
    .map(([type, length, rest]) => raw(type, length, rest)),
  fc
    .tuple(fc.constantFrom(...Object.values(frontend)), bytes(24))
    .map(([type, payload]) => encodeMessage(type, payload)),
  fc.constantFrom(
    encodeMessage(frontend.password, cstring('secret')),
    encodeStartup(0, new Map([['user', 'mallory']])),
    // A parameter that is a Query, and one that is longer than its message.
    encodeMessage(
      frontend.bind,
      cstring(''),
      cstring(''),
      int16(0),
      int16(1),
      int32(18),
      queryMessage('drop table t'),
      int16(0),
    ),
    encodeMessage(frontend.bind, cstring(''), cstring(''), int16(0), int16(1), int32(0x7fff_ffff), int16(0)),
    encodeMessage(frontend.bind, cstring(''), cstring(''), int16(0), int16(1), int32(-2), int16(0)),
    encodeMessage(frontend.query, Buffer.from('no end')),
    encodeMessage(frontend.query, cstring('one'), cstring('two')),
  ),
)

/** Messages of a server, those of B09 among them. */
export const serverMessage: fc.Arbitrary<Buffer> = fc.oneof(
  fc.constantFrom('I', 'T', 'E').map((status) => encodeReadyForQuery(status)),
  fc
    .constantFrom('SELECT 1', 'INSERT 0 5', 'BEGIN', 'COMMIT', 'COPY 7', '', 'SELECT 99999999999999999999', '1 2 3')
    .map((tag) => encodeMessage(backend.commandComplete, cstring(tag))),
  fc
    .tuple(name, name)
    .map(([message, detail]) => encodeErrorResponse({severity: 'ERROR', code: '42601', message, detail})),
  name.map((message) => encodeNoticeResponse({severity: 'NOTICE', code: '00000', message})),
  fc.constantFrom(
    encodeMessage(backend.errorResponse, Buffer.from([0])),
    encodeMessage(backend.errorResponse),
    encodeMessage(backend.errorResponse, Buffer.from('Mno end')),
    encodeMessage(backend.rowDescription, int16(0xffff)),
    encodeMessage(backend.noticeResponse, Buffer.alloc(100_000, 0x41)),
    ...[backend.parseComplete, backend.bindComplete, backend.closeComplete, backend.noData].map((type) =>
      encodeMessage(type),
    ),
    ...[backend.portalSuspended, backend.emptyQueryResponse, backend.copyDone].map((type) => encodeMessage(type)),
    encodeMessage(backend.copyInResponse, Buffer.from([0]), int16(0)),
    encodeMessage(backend.copyOutResponse, Buffer.from([0]), int16(0)),
    encodeMessage(backend.copyBothResponse, Buffer.from([0]), int16(0)),
  ),
  fc.tuple(name, name).map(([key, text]) => encodeParameterStatus(key, text)),
  bytes(200).map((data) => encodeMessage(backend.dataRow, data)),
  bytes(200).map((data) => encodeMessage(backend.copyData, data)),
  bytes(20).map((data) => encodeMessage(backend.rowDescription, data)),
  // Types that nobody knows.
  fc.tuple(fc.constantFrom(0x21, 0x7a, 0xff), bytes(30)).map(([type, data]) => encodeMessage(type, data)),
)

/** What a server says while somebody signs in, well-formed and not (B10). */
export const signInMessage: fc.Arbitrary<Buffer> = fc.oneof(
  serverMessage,
  fc.constant(authenticationOk),
  fc
    .tuple(fc.constantFrom(0, 3, 5, 7, 10, 11, 12, 99), bytes(60))
    .map(([method, rest]) => encodeMessage(backend.authentication, int32(method), rest)),
  fc.constantFrom(
    encodeMessage(backend.authentication, int32(10), cstring('SCRAM-SHA-256'), Buffer.from([0])),
    encodeMessage(backend.authentication, int32(11), Buffer.from('r=x,s=eA==,i=2147483648')),
    encodeMessage(backend.authentication, int32(11), Buffer.from(`r=${'n'.repeat(64_000)},s=eA==,i=4096`)),
  ),
  bytes(300).map((secret) => encodeBackendKeyData({pid: 7, secret})),
  bytes(20).map((rest) => encodeMessage(backend.negotiateProtocolVersion, rest)),
  fc.constantFrom(0, 3, 0x7fff_ffff, 0xffff_ffff).map((length) => raw(backend.readyForQuery, length, Buffer.alloc(0))),
)

const key = fc.oneof(
  fc.constantFrom(
    'user',
    'database',
    'options',
    'replication',
    'role',
    'application_name',
    '_pq_.foo',
    '__proto__',
    'constructor',
    '',
  ),
  fc.string({maxLength: 10}),
)

/** First packets: A04, A07, A08, A10. */
export const firstPacket: fc.Arbitrary<Buffer> = fc.oneof(
  fc
    .tuple(
      fc.constantFrom(0, 1, 2, 3, 9999, 65_535),
      fc.array(fc.tuple(key, fc.string({maxLength: 30})), {maxLength: 6}),
    )
    .map(([minor, pairs]) => encodeStartup(minor, new Map([['user', 'alice'], ...pairs]))),
  fc.constantFrom(
    sslRequest,
    gssencRequest,
    Buffer.concat([gssencRequest, sslRequest]),
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
  ),
  fc.tuple(fc.integer(), bytes(300)).map(([pid, secret]) => encodeCancel({pid, secret})),
  fc
    .tuple(
      fc.constantFrom(0, 3, 4, 7, 8, 9, 10_001, 0x8000_0000, 0xffff_ffff),
      fc.constantFrom(2, 3, 4, 1234),
      fc.nat(65_535),
      bytes(40),
    )
    .map(([length, major, minor, rest]) => Buffer.concat([int32(length | 0), int16(major), int16(minor), rest])),
  bytes(60),
)
