import {describe, expect, it} from '@jest/globals'
import {parseAllDocuments} from 'yaml'
import type {AuditEvent} from '../../../src/lib/audit/event.js'
import type {Format} from '../../../src/lib/cli/flags.js'
import {renderRecording} from '../../../src/lib/cli/recording-text.js'

async function render(format: Format, events: readonly AuditEvent[]): Promise<string> {
  async function* all(): AsyncGenerator<AuditEvent> {
    for (const event of events) yield await Promise.resolve(event)
  }
  let text = ''
  for await (const piece of renderRecording(format, all())) text += piece
  return text
}

const start = {event: 'db.session.start', db_service: 'postgres-database', time: '2026-07-20T20:00:31.123Z'}
const end = {event: 'db.session.end', time: '2026-07-02T09:05:00Z'}
const query = (ei: number, sql: string): AuditEvent => ({
  ei,
  event: 'db.session.query',
  db_name: 'postgres',
  db_query: sql,
})
const result = (query_ei: number | undefined, fields: AuditEvent): AuditEvent => ({
  event: 'db.session.result',
  ...(query_ei !== undefined && {query_ei}),
  ...fields,
})
const rows = (affected_records: number): AuditEvent => ({success: true, affected_records})

describe('a recording as text', () => {
  it('is laid out as in the guides, to the byte', async () => {
    const events = [
      start,
      ...[query(1, 'SELECT * FROM products;'), result(1, rows(10))],
      query(3, "INSERT INTO products (name, price) VALUES ('Phone', 150.00);"),
      result(3, {success: false, error: 'ERROR: permission denied for table products (SQLSTATE 42501)'}),
      end,
    ]
    expect(await render('text', events)).toBe(
      [
        'Session started to database "postgres-database" at Mon Jul 20 20:00 UTC',
        '',
        'postgres=> SELECT * FROM products;',
        'SUCCESS',
        '(10 rows affected)',
        '',
        "postgres=> INSERT INTO products (name, price) VALUES ('Phone', 150.00);",
        'ERROR: permission denied for table products (SQLSTATE 42501)',
        '',
        'Session ended at Thu Jul  2 09:05 UTC',
        '',
      ].join('\r\n'),
    )
  })

  it('indents further lines, and counts one row', async () => {
    const events = [query(1, '\n  select\t1,\r\n     2\n'), result(1, rows(1))]
    const text = '\r\npostgres=> select\t1,\r\n           2\r\nSUCCESS\r\n(1 row affected)\r\n'
    expect(await render('text', events)).toBe(text)
  })

  it('shows an execution as what it runs, and nothing that it does not know', async () => {
    const name = 'db.session.postgres.statements'
    const parse = (statement_name: string, sql: string): AuditEvent => ({
      event: `${name}.parse`,
      statement_name,
      query: sql,
    })
    const bind = (statement_name: string, portal_name: string, parameters: unknown[] = []): AuditEvent => ({
      ...{event: `${name}.bind`, statement_name, portal_name, parameters},
    })
    const execute = (ei: number, portal_name: string): AuditEvent => ({
      ...{ei, event: `${name}.execute`, db_name: 'db', portal_name},
    })
    const events = [
      ...[parse('', 'select $1'), bind('', 'p', ['a"\\\n\u0001\u00a0é\udcff', null]), parse('', 'select 2')],
      ...[execute(1, 'p'), result(1, rows(2))],
      ...[parse('s1', 'select 3'), bind('s1', ''), execute(3, '')],
      ...[result(undefined, {success: false, error: 'ERROR: of a Parse'}), result(3, rows(3))],
      ...[{event: `${name}.close`, portal_name: 'p'}, execute(4, 'p'), result(4, rows(4))],
      ...[{event: `${name}.close`, statement_name: ''}, bind('', 'q'), execute(5, 'q'), result(5, rows(5))],
    ]
    expect((await render('text', events)).split('\r\n')).toEqual([
      ...['', String.raw`db=> select $1 ($1 = "a\"\\\n\x01\u00a0é\xff", $2 = NULL)`, 'SUCCESS', '(2 rows affected)'],
      ...['', 'db=> EXECUTE s1', 'SUCCESS', '(3 rows affected)', ''],
    ])
  })

  it('takes no line and no escape from what it shows', async () => {
    const text = await render('text', [
      query(1, 'select \u001b[2J\u009b\u202e'),
      result(1, {success: false, error: 'ERROR: x\r\nSUCCESS\r\n'}),
    ])
    expect(text.split('\r\n')).toHaveLength(4)
    expect(text).toContain('select \\u{1b}[2J\\u{9b}\\u{202e}\r\nERROR: x\\u{d}\\u{a}SUCCESS')
  })
})

describe('a recording as data', () => {
  const nasty = 'select \u001b[2J\u009b\u202e\u{e0041}\u2028 "ä"\n\tfrom t: - #'
  const events = [query(1, nasty), {z: {b: 1, a: [{d: null, c: true}]}, event: 'db.session.end'}]

  it.each(['json', 'yaml'] as const)(
    'is %s that reads back, with nothing in it that moves a cursor',
    async (format) => {
      const text = await render(format, events)
      const read =
        format === 'json'
          ? (JSON.parse(text) as unknown)
          : parseAllDocuments(text).map((each) => each.toJS() as unknown)
      expect(read).toEqual(events)
      expect(
        ['\u001b', '\u009b', '\u202e', '\u2028', '\u{e0041}'].filter((character) => text.includes(character)),
      ).toEqual([])
    },
  )

  it('is JSON with four spaces and sorted keys', async () => {
    expect(await render('json', [events[1] ?? {}, {event: 'x'}])).toBe(`[
    {
        "event": "db.session.end",
        "z": {
            "a": [
                {
                    "c": true,
                    "d": null
                }
            ],
            "b": 1
        }
    },
    {
        "event": "x"
    }
]
`)
    expect(await render('json', [])).toBe('[\n]\n')
  })

  it('is YAML in documents', async () => {
    expect(await render('yaml', [{b: 1, a: 'x'}, {c: 2}])).toBe('a: x\nb: 1\n---\nc: 2\n')
  })
})
