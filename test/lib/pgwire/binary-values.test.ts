/** Every sample is made by PostgreSQL in the binary format, read by us, and sent back to PostgreSQL to be read there. */
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import fc from 'fast-check'
import pg from 'pg'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import {binaryText} from '../../../src/lib/pgwire/binary-values.js'
import {largeObjectArguments} from '../../../src/lib/pgwire/large-objects.js'
import {renderParameters} from '../../../src/lib/pgwire/parameter-text.js'
import {elementTypes, typeIds, typeName} from '../../../src/lib/pgwire/type-names.js'
import {startTestPostgres} from '../../helpers/postgres.js'

/** Literals by type. */
const samples: Readonly<Record<string, readonly string[]>> = {
  bool: ['t', 'f'],
  bytea: ['\\x', '\\x00ff7f'],
  int2: ['-32768', '32767'],
  int4: ['-2147483648', '7'],
  int8: ['-9223372036854775808', '9223372036854775807'],
  oid: ['4294967295'],
  xid: ['4294967295'],
  cid: ['7'],
  xid8: ['18446744073709551615'],
  tid: ['(4294967295,65535)'],
  pg_lsn: ['16/B374D848', '0/0', 'FFFFFFFF/FFFFFFFF'],
  float4: [
    ...['0', '-0', '0.1', '1.5', '-123456', '123456.7', '1000000', '1234567', '16777216', '0.0001', '0.00001'],
    ...['3.4028235e38', '1e-45', 'NaN', 'Infinity', '-Infinity'],
  ],
  float8: [
    ...['0', '-0', '0.1', '-0.30000000000000004', '100000000000000', '999999999999999', '1e15', '123456789012345.6'],
    ...['0.0001', '0.00012345', '0.00001', '1.7976931348623157e308', '5e-324', '1e100', 'NaN', '-Infinity'],
  ],
  numeric: [
    ...['0', '0.00', '-0.001', '12345678901234567890.0123456789', '100000000', '1e50', '1e-30', '9999.9999', '-7.10'],
    ...['NaN', 'Infinity', '-Infinity'],
  ],
  text: ['', 'snow ☃'],
  varchar: ['abc'],
  bpchar: ['abc  '],
  name: ['pg_class'],
  char: ['x'],
  json: ['{"a": [1, null]}'],
  jsonb: ['{"a": {"b": 1.50}}', '[]'],
  jsonpath: ['$."a"[*]'],
  xml: ['<a>1</a>'],
  tsvector: [
    ...['', 'fat cat', "'it''s':1A,2 'back\\\\slash' 'two words':3C,9B,16383", 'snow☃:5'],
    Array.from({length: 300}, (_, number) => `w${number}:${number + 1}`).join(' '),
  ],
  tsquery: [
    ...['cat', "'it''s'", 'fat & cat', 'fat | cat & rat', '(fat | cat) & rat', '!fat', '!(fat & cat)', '!!fat'],
    ...['fat <-> cat', 'fat <3> cat', 'a <-> (b <-> c)', '(a <-> b) <-> c', 'a <-> (b & c)', '!a <-> b', '!(a <-> b)'],
    ...[
      'a:* & b:AB',
      'b:*CD',
      "'two words':ABCD | x",
      'a & (b & (c | !d) & e) | f',
      '((a | b) | c) | d',
      'a|(b|(c|d))',
    ],
  ],
  pg_snapshot: ['10:20:10,14,15', '10:10:'],
  'tsquery[]': ["{\"'a' & 'b'\",NULL}"],
  'tsvector[]': ["{\"'a':1 'b'\"}"],
  uuid: ['6a4a7f5e-7c1f-4f0e-9f43-0a8a1f0a4e11'],
  bit: ['1', '10101', '1111111100000000'],
  varbit: ['', '1', '10101010', '101010101'],
  date: [
    '2026-02-28',
    '2000-01-01',
    '1999-12-31',
    '0044-03-15 BC',
    '9999-12-31',
    '12026-01-01',
    'infinity',
    '-infinity',
  ],
  time: ['00:00:00', '23:59:59.999999', '24:00:00', '04:05:06.7'],
  timetz: ['04:05:06.789+05:30', '04:05:06-08', '04:05:06+00', '04:05:06+01:02:03', '04:05:06-15:59'],
  timestamp: [
    '2026-11-21 12:34:56.789012',
    '1999-12-31 23:59:59.999999',
    '0044-03-15 01:02:03 BC',
    'infinity',
    '-infinity',
  ],
  timestamptz: ['2026-11-21 12:34:56.789012+02', '2000-01-01 00:00:00+00', '0044-03-15 00:00:00+00 BC', 'infinity'],
  interval: [
    ...['1 year 2 months 3 days 04:05:06.7', '0', '-1 year', '-1 mon +2 days', '1 mon -1 day', '-3 days 04:05:06'],
    ...['1 year -1 days', '-13 mons', '-00:00:01', '100:00:00', '-1 day -00:00:00.000001', '2 years 1 day', '14 mons'],
    ...['infinity', '-infinity', '1 day 178956970 years', '-2147483648 days', '-1 year +3 days -04:05:06'],
  ],
  inet: [
    ...[
      '192.0.2.1',
      '192.0.2.1/24',
      '0.0.0.0/0',
      '255.255.255.255',
      '2001:db8::1',
      '2001:db8::1/64',
      '::',
      '::1',
      '::/0',
    ],
    ...['::ffff:192.0.2.1', '::192.0.2.1', '::ffff:0:0', '1:0:0:2:0:0:0:3', '1:2:3:4:5:6:7:8', '1:0:3:4:5:6:7:8'],
    ...['0:0:1::', '1::', '::1:0:0:0', '::2', '::1:2', '0:1:0:1:0:1:0:1', 'fe80::ffff:1.2.3.4'],
  ],
  cidr: ['192.0.2.0/24', '192.0.2.1/32', '10/8', '2001:db8::/32', '::1/128', '::/0'],
  macaddr: ['08:00:2b:01:02:03'],
  macaddr8: ['08:00:2b:01:02:03:04:05'],
  point: ['(1.5,-2)', '(1e+20,-0)', '(NaN,Infinity)'],
  lseg: ['[(1,2),(3,4)]'],
  box: ['(3,4),(1,2)'],
  line: ['{1,-1,0.5}'],
  circle: ['<(1,2),3.5>'],
  path: ['((1,2),(3,4),(5,6))', '[(1,2)]'],
  polygon: ['((0,0),(1,1),(2,0))'],
  int4range: ['[1,5)', 'empty', '(,)', '(,5)', '[1,)'],
  int8range: ['[-9223372036854775808,5)'],
  numrange: ['(1.50,2]', '[0,0]'],
  daterange: ['[2026-01-01,2026-02-01)', '[2026-01-01,infinity)'],
  tsrange: ['["2026-01-01 00:00:00","2026-02-01 12:00:00.5")', '(-infinity,)'],
  tstzrange: ['["2026-01-01 00:00:00+00","2026-02-01 00:00:00+00"]'],
  int4multirange: ['{[1,3),[7,9)}', '{}'],
  int8multirange: ['{(,3)}'],
  nummultirange: ['{(1.5,2],[3,3]}'],
  datemultirange: ['{[2026-01-01,2026-02-01)}'],
  tsmultirange: ['{["2026-01-01 00:00:00","2026-02-01 00:00:00")}'],
  tstzmultirange: ['{["2026-01-01 00:00:00+00",)}'],
  'bool[]': ['{t,f,NULL}'],
  'bytea[]': ['{"\\\\x00ff"}'],
  'int2[]': ['{1,-2}'],
  'int4[]': ['{}', '{1,2,3}', '{{1,2},{NULL,4}}', '[0:1]={7,8}', '[-1:0][5:5]={{1},{2}}', '{{{{{{1}}}}}}'],
  'int8[]': ['{9223372036854775807}'],
  'float8[]': ['{1.5,NaN}'],
  'numeric[]': ['{1.10,NULL}'],
  'text[]': ['{a,"",NULL,"NULL","null ","{x}","a,b","a\\"b","a\\\\b"," a","tab\there",ok☃}', '{";"}'],
  'varchar[]': ['{{a,b},{c,d}}'],
  'uuid[]': ['{6a4a7f5e-7c1f-4f0e-9f43-0a8a1f0a4e11}'],
  'jsonb[]': ['{"{\\"a\\": 1}"}'],
  'date[]': ['{2026-02-28,infinity}'],
  'timestamptz[]': ['{"2026-11-21 12:34:56+00"}'],
  'interval[]': ['{"1 day",00:00:01}'],
  'inet[]': ['{192.0.2.1,2001:db8::1/64}'],
  'box[]': ['{(3,4),(1,2);(7,8),(5,6)}'],
  'point[]': ['{"(1,2)"}'],
  'int4range[]': ['{"[1,3)",empty}'],
  'tsmultirange[]': ['{"{[\\"2026-01-01 00:00:00\\",\\"2026-02-01 00:00:00\\")}"}'],
}

let postgres: PostgresServer
let client: pg.Client

beforeAll(async () => {
  postgres = await startTestPostgres()
  client = new pg.Client({host: postgres.superuserSocketDir, port: postgres.port, user: postgres.superuser})
  await client.connect()
  await client.query("set timezone to 'UTC'")
})

afterAll(async () => {
  await client.end()
  await postgres.stop()
})

async function select(expression: string, parameters: unknown[] = []): Promise<string> {
  const {rows} = await client.query<{value: string}>(`select ${expression} as value`, parameters)
  return rows[0]?.value ?? ''
}

const typeOf = (name: string): number => {
  const element = typeIds[name.replace('[]', '') as keyof typeof typeIds]
  if (!name.endsWith('[]')) return element
  return [...elementTypes].find(([, of]) => of === element)?.[0] ?? 0
}
const sqlName = (name: string): string => (name.startsWith('char') ? name.replace('char', '"char"') : name)
const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`

describe('a binary value is the text that PostgreSQL reads in it', () => {
  it.each(Object.keys(samples))('%s', async (name) => {
    const type = typeOf(name)
    const send = await select('(select typsend::text from pg_type where oid = $1)', [type])
    for (const literal of samples[name] ?? []) {
      const bytes = Buffer.from(await select(`encode(${send}(${quote(literal)}::${sqlName(name)}), 'hex')`), 'hex')
      const seen = await select(`format('%s', $1::${sqlName(name)})`, [bytes])
      expect([literal, binaryText(type, bytes)]).toEqual([literal, seen])
    }
  })

  it('composites, with others in them and of whatever type', async () => {
    await client.query(`
      create type pair as (number int, word text);
      create type entry as (id uuid, what pair, words text[], at timestamptz, price numeric(8, 2));
      create domain label as text;
      create type labelled as (label label, pair pair)`)
    const rows = [
      ...["row(7, 'a')::pair", "row(null, '')::pair", "row(1, 'with space')::pair", `row(1, 'a,"b"(c)\\')::pair`],
      "row('6a4a7f5e-7c1f-4f0e-9f43-0a8a1f0a4e11', row(1, null), array['x', 'y z'], '2026-11-21 12:34:56+00', 1.5)::entry",
      "row('x'::text, row(row(1, 2), 'y'::text))",
    ]
    for (const row of rows) {
      const {rows: found} = await client.query<{text: string; bytes: Buffer; type: number}>(
        `select format('%s', ${row}) as text, record_send(${row}) as bytes, pg_typeof(${row})::oid::int as type`,
      )
      const [{text, bytes, type} = {text: '', bytes: Buffer.alloc(0), type: 0}] = found
      expect([row, binaryText(type, bytes)]).toEqual([row, text])
    }
    expect(await select("encode(record_send(row('x'::label, null)::labelled), 'hex')")).toMatch(/^00000002/)
  })

  it('is left alone where a type of users is no composite', async () => {
    await client.query(`create type mood as enum ('sad', 'ok'); create domain small as int8; create domain id as uuid`)
    const values = [
      "enum_send('sad'::mood)",
      'int8send(4294967297::small)',
      'uuid_send(gen_random_uuid()::id)',
      "textsend('0000 some text')",
    ]
    for (const value of values) {
      const bytes = Buffer.from(await select(`encode(${value}, 'hex')`), 'hex')
      expect([value, binaryText(20_000, bytes)]).toEqual([value, undefined])
    }
    const money = Buffer.from(await select("encode(cash_send('1.50'::money), 'hex')"), 'hex')
    expect(binaryText(typeIds.money, money)).toBeUndefined()
  })

  it('and its type has the name and the elements that PostgreSQL gives it', async () => {
    const {rows} = await client.query<{oid: number; name: string; element: number}>(
      `select oid::int, case typelem when 0 then typname else (select typname || '[]' from pg_type e where e.oid = t.typelem) end as name,
         typelem::int as element from pg_type t where oid = any($1) and typname !~ '^(point|lseg|box|line)$' and typname <> 'name'`,
      [[...Object.values(typeIds), ...elementTypes.keys()]],
    )
    const few = 5
    expect(rows).toHaveLength(Object.keys(typeIds).length + elementTypes.size - few)
    for (const {oid, name, element} of rows) {
      expect([oid, typeName(oid), elementTypes.get(oid) ?? 0]).toEqual([oid, name, element])
    }
  })
})

it('the functions of large objects take arguments of the types that PostgreSQL says', async () => {
  const {rows} = await client.query<{oid: number; types: string}>(
    `select oid::int, proargtypes::text as types from pg_proc where proname ~ '^lo(_import|_export|_create|_open|_close|read|write|_lseek|_lseek64|_creat|_tell|_tell64|_unlink|_truncate|_truncate64)$'`,
  )
  const known = new Map([...largeObjectArguments].map(([oid, types]) => [oid, types.join(' ')]))
  expect(new Map(rows.map(({oid, types}) => [oid, types]))).toEqual(known)
})

describe('bytes that are no value of their type', () => {
  const int4Array = (...numbers: number[]): Buffer => {
    const bytes = Buffer.alloc(4 * numbers.length)
    numbers.forEach((number, index) => bytes.writeInt32BE(number, 4 * index))
    return bytes
  }
  /** With one field each; the innermost has a number, or this text. */
  const nestedComposite = (levels: number, text?: string): Buffer => {
    const innermost = text === undefined ? typeIds.int4 : typeIds.text
    const value = text === undefined ? int4Array(7) : Buffer.from(text)
    const inner = levels === 1 ? value : nestedComposite(levels - 1, text)
    return Buffer.concat([int4Array(1, levels === 1 ? innermost : 20_000, inner.length), inner])
  }
  const array = typeOf('int4[]')
  const {numeric, inet, interval, varbit, tsrange, int4multirange, polygon, timetz, tsquery, tsvector} = typeIds

  it.each<[string, number, Buffer]>([
    ['an array of another element type', array, int4Array(1, 0, typeIds.text, 1, 1, 4, 7)],
    ['an array of seven dimensions', array, int4Array(7, 0, 23, ...Array.from({length: 14}, () => 1), 4, 7)],
    ['an array that announces 2^31-1 elements', array, int4Array(1, 0, 23, 0x7fff_ffff, 1)],
    ['an array that announces 2^180 elements', array, int4Array(6, 0, 23, ...Array.from({length: 12}, () => 1 << 30))],
    ['an array of -1 elements', array, int4Array(1, 0, 23, -1, 1)],
    ['an array with bytes behind it', array, int4Array(1, 0, 23, 1, 1, 4, 7, 7)],
    ['an array with an element of length -2', array, int4Array(1, 0, 23, 1, 1, -2)],
    ['an array with an element of the wrong size', array, int4Array(1, 0, 23, 1, 1, 8, 7, 7)],
    ['a numeric of 131,000 zeros', numeric, Buffer.from('00017fff000000000001', 'hex')],
    ['a numeric with a scale of 16,383 and no digits', numeric, Buffer.from('0000000000003fff', 'hex')],
    ['a numeric with a digit of 10,000', numeric, Buffer.from('00010000000000002710', 'hex')],
    ['a numeric that is cut', numeric, Buffer.from('000200000000000000', 'hex')],
    ['an address of an unknown family', inet, Buffer.from('0520000401020304', 'hex')],
    ['an address of 33 bits', inet, Buffer.from('0221000401020304', 'hex')],
    ['an address of 5 bytes', inet, Buffer.from('022000050102030405', 'hex')],
    ['an interval of 15 bytes', interval, Buffer.alloc(15)],
    ['a bit string of more bits than it has', varbit, Buffer.from('0000000901', 'hex')],
    ['a bit string of -1 bits', varbit, Buffer.from('ffffffff', 'hex')],
    ['a range without its upper bound', tsrange, Buffer.from('02000000080000000000000000', 'hex')],
    ['a multirange of 2^32-1 ranges', int4multirange, Buffer.from('ffffffff', 'hex')],
    ['a polygon of no points', polygon, Buffer.alloc(4)],
    ['a polygon of 2^28 points', polygon, Buffer.from('10000000', 'hex')],
    ['a zone of sixteen hours', timetz, Buffer.from('0000000000000000' + '0000e100', 'hex')],
    ['a text of -1 lexemes', tsvector, Buffer.from('ffffffff', 'hex')],
    ['a text of 2^31-1 lexemes', tsvector, Buffer.from('7fffffff610000000', 'hex')],
    ['a lexeme of more positions than there are', tsvector, Buffer.from('0000000161000002' + '0001', 'hex')],
    ['a search of 100,000 nots', tsquery, Buffer.concat([int4Array(100_001), Buffer.alloc(200_000, '0201', 'hex')])],
    ['a search with an operator that is none', tsquery, Buffer.from('000000010209', 'hex')],
    ['a search that lacks its left side', tsquery, Buffer.from('00000003' + '0202' + '01000061' + '00', 'hex')],
    ['a search with something behind it', tsquery, Buffer.from('00000001' + '0100006100' + '01', 'hex')],
    ['nothing', interval, Buffer.alloc(0)],
    ['a composite of no fields', 20_000, int4Array(0)],
    ['a composite of -1 fields', 20_000, int4Array(-1)],
    ['a composite of 2^31-1 fields', 20_000, int4Array(0x7fff_ffff, 23, 4, 7)],
    ['a composite with a field that is longer than it is', 20_000, int4Array(1, 23, 8, 7)],
    ['a composite with something behind it', 20_000, int4Array(1, 23, 4, 7, 7)],
    ['a composite with a field of a type that is not known', 20_000, int4Array(1, 790, 4, 7)],
    ['a composite in a composite, and so on', 20_000, nestedComposite(9)],
    ['a composite whose quotes are doubled again and again', 20_000, nestedComposite(8, '"'.repeat(1000))],
    ['an unknown type', 4_000_000_000, Buffer.from('00', 'hex')],
  ])('are shown in base64: %s', (_, type, bytes) => {
    expect(binaryText(type, bytes)).toBeUndefined()
    expect(renderParameters({formats: [1], parameters: [bytes]}, [type])).toEqual([bytes.toString('base64')])
  })

  it('never throw, and become no text out of proportion', () => {
    const types = [...Object.values(typeIds), ...elementTypes.keys()]
    /** Numbers as they stand in such values, so that more of them are nearly right. */
    const words = fc
      .array(fc.oneof(fc.constantFrom(0, 1, 2, 4, 8, 16, 23, 25, 603, 1700, -1), fc.integer()), {maxLength: 24})
      .map((numbers) => int4Array(...numbers))
    const bytes = fc.oneof(
      words,
      fc.uint8Array({maxLength: 64}).map((values) => Buffer.from(values)),
    )
    fc.assert(
      fc.property(fc.constantFrom<number>(...types), bytes, (type, value) => {
        const text = binaryText(type, value) ?? ''
        expect(text.length).toBeLessThan(1200 + 32 * value.length)
      }),
      {numRuns: 20_000, seed: 11},
    )
  })
})
