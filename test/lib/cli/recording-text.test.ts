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
const query = (sql: string, outcome: AuditEvent): AuditEvent => ({
  event: 'db.session.query',
  db_name: 'postgres',
  db_query: sql,
  ...outcome,
})
const rows = (affected_records: number): AuditEvent => ({success: true, command: 'SELECT', affected_records})
const failure = (error: string): AuditEvent => ({success: false, error, affected_records: 0})

it.each(['text', 'json', 'yaml'] as const)('a recording shows as %s what comes before its damage', async (format) => {
  async function* damaged(): AsyncGenerator<AuditEvent> {
    yield* await Promise.resolve([start, query('select 1', rows(1)), query('select 2', rows(1))])
    throw new Error('damaged')
  }
  let text = ''
  const rendered = (async () => {
    for await (const piece of renderRecording(format, damaged())) text += piece
  })()
  await expect(rendered).rejects.toThrow('damaged')
  expect(text).toContain('select 2')
})

describe('a recording as text', () => {
  it('is laid out as in the guides, to the byte', async () => {
    const events = [
      start,
      query('SELECT * FROM products;', rows(10)),
      query(
        "INSERT INTO products (name, price) VALUES ('Phone', 150.00);",
        failure('ERROR: permission denied for table products (SQLSTATE 42501)'),
      ),
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
    const events = [query('\n  select\t1,\r\n     2\n', rows(1))]
    const text = '\r\npostgres=> select\t1,\r\n           2\r\nSUCCESS\r\n(1 row affected)\r\n'
    expect(await render('text', events)).toBe(text)
  })

  it('shows an execution as what it runs, with its parameters', async () => {
    const parameters = ['a"\\\n\u0001\u00a0é\udcff', null]
    const events = [
      query('select $1', {db_query_parameters: parameters, portal_name: 'p', ...rows(2)}),
      query('select 3', {statement_name: 's1', ...rows(3)}),
      query('select 4', {execution: 'partial', success: true, affected_records: 4}),
      query('never executed', {execution: 'none', success: false}),
      query('select 5', {execution: 'skipped', success: false}),
      query('select 6', {execution: 'unanswered', success: false}),
      query('select 7; insert', {success: false, error: 'ERROR: 8', results: [rows(7)]}),
      query('', {success: true, affected_records: 0}),
    ]
    expect((await render('text', events)).replaceAll('postgres=>', 'db=>').split('\r\n')).toEqual([
      ...['', String.raw`db=> select $1 ($1 = "a\"\\\n\x01\u00a0é\xff", $2 = NULL)`, 'SUCCESS', '(2 rows affected)'],
      ...['', 'db=> EXECUTE s1', 'SUCCESS', '(3 rows affected)'],
      ...['', 'db=> select 4', 'SUCCESS', '(4 rows affected)'],
      ...['', 'db=> select 5', '(skipped by the server after an error)'],
      ...['', 'db=> select 6', '(no answer before the end of the session)'],
      ...['', 'db=> select 7; insert', 'SUCCESS', '(7 rows affected)', 'ERROR: 8'],
      ...['', 'db=> ', ''],
    ])
  })

  it('takes no line and no escape from what it shows', async () => {
    const text = await render('text', [query('select \u001b[2J\u009b\u202e', failure('ERROR: x\r\nSUCCESS\r\n'))])
    expect(text.split('\r\n')).toHaveLength(4)
    expect(text).toContain('select \\u{1b}[2J\\u{9b}\\u{202e}\r\nERROR: x\\u{d}\\u{a}SUCCESS')
  })

  it('is not stopped by an event that no agent of ours writes', async () => {
    const strange = {event: 'db.session.query', db_query: 7, results: [null, 'x', {affected_records: 3}], db_name: null}
    const text = await render('text', [strange, query('select 2', rows(1))])
    expect(text).toContain('(3 rows affected)')
    expect(text).toContain('select 2')
  })
})

describe('a recording as data', () => {
  const nasty = 'select \u001b[2J\u009b\u202e\u{e0041}\u2028 "ä"\n\tfrom t: - #'
  const events = [query(nasty, rows(1)), {z: {b: 1, a: [{d: null, c: true}]}, event: 'db.session.end'}]

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
