/** The A and B cases of hostile input, as fuzzing begins with them: case by case what is sent, in one piece. */
import {encodeStartup, gssencRequest, sslRequest} from '../../src/lib/pgwire/first-packet.js'
import {cstring, encodeMessage, int32} from '../../src/lib/pgwire/message.js'
import {backend, frontend} from '../../src/lib/pgwire/message-types.js'
import {pgjdbc} from '../e2e/drivers/pgjdbc.js'
import {redshiftJdbc} from '../e2e/drivers/redshift-jdbc.js'
import {answer, ask, int16} from '../lib/agent/wire.js'

/** A length that counts itself, and what follows. */
const lengthy = (length: number, rest: Buffer = Buffer.alloc(0)): Buffer => Buffer.concat([int32(length | 0), rest])
/** The same behind a type. */
const message = (type: number, length: number, rest?: Buffer): Buffer =>
  Buffer.concat([Buffer.from([type]), lengthy(length, rest)])
const startup = (minor: number, ...pairs: [string, string][]): Buffer =>
  encodeStartup(minor, new Map([['user', 'alice'], ...pairs]))
/** A startup message of protocol 3.0 with this body. */
const startupOf = (body: Buffer): Buffer => lengthy(8 + body.length, Buffer.concat([int32(0x3_0000), body]))

export const firstPackets: readonly Buffer[] = [
  // A01, A04, A05
  Buffer.concat([sslRequest, startup(0)]),
  gssencRequest,
  Buffer.concat([gssencRequest, gssencRequest]),
  Buffer.concat([sslRequest, sslRequest]),
  Buffer.concat([gssencRequest, sslRequest]),
  // A07
  startup(2),
  startup(9999, ['_pq_.test_protocol_negotiation', '']),
  startup(0, ['_pq_.foo', 'x']),
  lengthy(8, int32(0x2_0000)),
  lengthy(8, int32(0x4_0000)),
  // A08
  ...[0, 3, 8, 10_001, 0x8000_0000, 0xffff_ffff].map((length) => lengthy(length, Buffer.from('junk'))),
  Buffer.from('GET / HTTP/1.1\r\n\r\n'),
  // A10
  startupOf(Buffer.from('user\0alice')),
  startupOf(Buffer.from('user\0alice\0database\0\0')),
  startupOf(Buffer.from('user\0alice\0user\0mallory\0\0')),
  startupOf(Buffer.from('user\0\0\0')),
  startupOf(Buffer.from(`user\0${'a'.repeat(64)}\0\0`)),
  startupOf(Buffer.concat([Buffer.from('user\0'), Buffer.from([0xff, 0xc0, 0x80]), Buffer.from('\0\0')])),
  startup(0, ['__proto__', 'polluted']),
  // A13
  startup(0, ['search_path', 'evil'], ['role', 'postgres'], ['replication', 'database']),
  startup(0, ['session_authorization', 'postgres'], ['options', '-c role=postgres']),
  // B11
  ...[pgjdbc, redshiftJdbc].map(({minor, startup: parameters}) => encodeStartup(minor, parameters)),
]

const all = (portal: string, sql: string): Buffer[] => [ask.parse('', sql), ask.bind(portal, ''), ask.execute(portal)]

export const clientStreams: readonly Buffer[] = [
  // A12
  Buffer.concat([ask.query('select 1'), startup(0)]),
  encodeMessage(frontend.password, cstring('secret')),
  // B01
  ...[0, 1, 2, 3].map((length) => message(frontend.query, length)),
  message(frontend.query, 100, Buffer.from('select')),
  message(0, 4),
  message(0x7e, 8, Buffer.from('what')),
  // B02
  message(frontend.query, 0xffff_ffff, Buffer.from('select')),
  message(frontend.query, 0x4000_0000, Buffer.alloc(200_000, 0x41)),
  // B03
  Buffer.concat([ask.bind('', '', [ask.query('drop table t')]), ask.execute(''), ask.sync]),
  ...[-2, 0x7fff_ffff].map((length) =>
    encodeMessage(frontend.bind, cstring(''), cstring(''), int16(0), int16(1), int32(length), int16(0)),
  ),
  encodeMessage(frontend.bind, cstring(''), cstring(''), int16(0), int16(9), int32(-1), int16(0)),
  encodeMessage(frontend.query, cstring('select 1'), cstring('select 2')),
  // B04
  Buffer.concat([
    ...[ask.parse('S1', 'select $1'), ask.parse('S2', 'select 2'), ask.bind('P2', 'S1', ['one']), ask.bind('P1', 'S2')],
    ...[
      ask.execute('P2', 2),
      ask.execute('P1'),
      ask.execute('P2'),
      ask.close('P', 'P2'),
      ask.bind('P2', 'S2'),
      ask.sync,
    ],
  ]),
  // B05, B06
  Buffer.concat([ask.execute('nobody'), ask.bind('', 'nothing'), ask.sync]),
  Buffer.concat([...all('', 'select 1'), ...all('', 'select 1/0'), ...all('', 'delete from t'), ask.sync]),
  // B07, B08
  ask.query('/* a comment */ select 1; commit; drop table t'),
  Buffer.concat([ask.call(177, ['40', null]), ask.copyData('1\t2\n'), ask.copyFail, ask.copyDone]),
  // B11
  ...[pgjdbc, redshiftJdbc].map(({flights}) => Buffer.concat(flights.flatMap(({sent}) => sent))),
]

/** Whatever they say, their headers could be. */
export const possibleAnswers: readonly Buffer[] = [
  // B09
  encodeMessage(backend.errorResponse, Buffer.from('SERROR\0\0')),
  encodeMessage(backend.errorResponse, Buffer.from('C42601\0\0')),
  encodeMessage(backend.errorResponse, Buffer.from('Mno end')),
  encodeMessage(backend.noticeResponse, Buffer.alloc(1_000_000, 0x41)),
  Buffer.concat([
    answer.row(),
    encodeMessage(backend.parameterStatus, cstring('a'), cstring('b')),
    answer.done('SELECT 1'),
  ]),
  message(0x7e, 20, Buffer.alloc(16)),
  // B02 the other way
  message(backend.dataRow, 0x4000_0000, Buffer.alloc(200_000)),
  // B10, behind the sign-in
  encodeMessage(backend.authentication, int32(99)),
  // C05
  ...[0, 256].map((size) => encodeMessage(backend.backendKeyData, int32(7), Buffer.alloc(size))),
]

export const serverStreams: readonly Buffer[] = [
  ...possibleAnswers,
  // B01 the other way
  ...[0, 3, 0xffff_ffff].map((length) => message(backend.readyForQuery, length)),
]
