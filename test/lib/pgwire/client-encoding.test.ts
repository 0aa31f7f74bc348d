/** What the texts of clients mean is what PostgreSQL itself makes of their bytes. */
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {clientEncoding, decodeAs, utf8} from '../../../src/lib/pgwire/client-encoding.js'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import {startTestPostgres} from '../../helpers/postgres.js'

let postgres: PostgresServer

beforeAll(async () => {
  postgres = await startTestPostgres()
  await postgres.execute(`
    create function read_as(bytes bytea, name text) returns text language plpgsql as
      $$ begin return convert_from(bytes, name); exception when others then return null; end $$`)
})

afterAll(() => postgres.stop())

/** What the server reads in each of these; null where it reads nothing. */
async function serverReads(name: string, texts: readonly Buffer[]): Promise<(string | null)[]> {
  const list = texts.map((bytes) => `'\\x${bytes.toString('hex')}'`).join()
  const rows = await postgres.execute(
    `select array(select read_as(b, '${name}') from unnest(array[${list}]::bytea[]) with ordinality as t(b, n) order by n)`,
  )
  return Object.values(rows[0] ?? {})[0] as (string | null)[]
}

const isKept = (text: string): boolean => /[\udc80-\udcff]/.test(text)

describe('a byte of an encoding with one byte for a character is what it is to the server', () => {
  const isoNames = [5, 6, 7, 8].map((number) => `ISO_8859_${number}`)
  const latinNames = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((number) => `LATIN${number}`)
  const windowsNames = [866, 874, 1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258].map((number) => `WIN${number}`)

  it.each([...isoNames, ...latinNames, ...windowsNames, 'KOI8R', 'KOI8U'])('%s', async (name) => {
    const bytes = Array.from({length: 255}, (_, index) => Buffer.from([index + 1]))
    const expected = await serverReads(name, bytes)
    const {decode} = clientEncoding(name)
    const texts = bytes.map((byte) => decode(byte))
    const others = texts.flatMap((text, index) =>
      text === expected[index] ? [] : [[index + 1, text, expected[index]]],
    )
    // What the server refuses has to be something, and nothing else's text.
    expect(others.filter(([, , read]) => read !== null)).toEqual([])
    expect(new Set(texts).size).toBe(texts.length)
  })
})

describe('a text of an encoding with several bytes for a character is what it is to the server', () => {
  it.each([
    ['BIG5', '繁體中文 許功蓋'],
    ['EUC_CN', '简体中文'],
    ['EUC_JP', '日本語 カタカナ ｶﾅ'],
    ['EUC_KR', '한국어 漢字'],
    ['GB18030', '简体中文 한국어 😀'],
    ['GBK', '简体中文 繁體'],
    ['SJIS', '表示 ソート 能力 ｶﾅ'],
    ['UHC', '한국어 漢字'],
  ])('%s', async (name, text) => {
    const [row] = await postgres.execute(`select convert_to('${text}', '${name}') as bytes`)
    const bytes = Buffer.concat([Buffer.from("select '"), row?.bytes as Buffer, Buffer.from("'")])
    expect(await serverReads(name, [bytes])).toEqual([`select '${text}'`])
    const {decode} = clientEncoding(name)
    expect(decode(bytes)).toBe(`select '${text}'`)
    // Wherever it is cut, and wherever it is not.
    for (let length = 0; length <= bytes.length; length += 1) {
      const cut = decode(bytes.subarray(0, length), true)
      expect(isKept(cut)).toBe(false)
      expect(`select '${text}'`.startsWith(cut)).toBe(true)
    }
  })

  it.each(['BIG5', 'EUC_CN', 'EUC_JP', 'EUC_KR', 'GB18030', 'GBK', 'SJIS', 'UHC'])(
    'bytes that %s does not have are kept',
    async (name) => {
      const {decode} = clientEncoding(name)
      const bytes = Buffer.from([0x27, 0xff, 0xff, 0x27])
      expect(await serverReads(name, [bytes])).toEqual([null])
      expect(decode(bytes)).toBe("'\udcff\udcff'")
      expect(decode(Buffer.from("select 'x'"))).toBe("select 'x'")
    },
  )

  it('of pairs of bytes, those that the server takes are its own characters or kept, but for variants of signs', async () => {
    for (const [name, variants] of [
      ['EUC_JP', 0],
      ['GBK', 0],
      ['EUC_KR', 0],
      ['SJIS', 2],
      ['BIG5', 300],
      ['EUC_CN', 2],
    ] as const) {
      const pairs = Array.from({length: 0x80 * 0xd0}, (_, index) =>
        Buffer.from([0x80 + Math.floor(index / 0xd0), 0x30 + (index % 0xd0)]),
      )
      const expected = await serverReads(name, pairs)
      const {decode} = clientEncoding(name)
      const others = pairs.filter((pair, index) => {
        const text = decode(pair)
        return expected[index] !== null && !isKept(text) && text !== expected[index]
      })
      expect({
        name,
        few: others.length <= variants,
        taken: expected.filter((read) => read !== null).length > 5000,
      }).toEqual({name, few: true, taken: true})
    }
  }, 120_000)
})

describe('other encodings', () => {
  it.each(['UTF8', 'UNICODE', 'SQL_ASCII', 'MULE_INTERNAL', 'EUC_TW', 'JOHAB', 'constructor', ''])(
    '%s is read as UTF-8',
    (name) => {
      expect(clientEncoding(name)).toBe(utf8)
      expect(decodeAs(Buffer.from('é'), name)).toBe('é')
      expect(decodeAs(Buffer.from([0xe9]), name)).toBe('\udce9')
    },
  )
})
