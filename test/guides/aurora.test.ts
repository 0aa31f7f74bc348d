import {afterAll, beforeAll, expect, it} from '@jest/globals'
import {setTimeout as sleep} from 'node:timers/promises'
import {linesOf} from './lines.js'
import {followOwn} from './own-guide.js'
import {Reader} from './reader.js'
import {alice, follow, type Treatments} from './treatments.js'

let reader: Reader
let session = ''

beforeAll(async () => {
  reader = await Reader.start('aurora')
}, 300_000)

afterAll(() => reader.stop())

const statements = `SELECT * FROM products;
INSERT INTO products (name, price) VALUES ('Phone', 150.00);
`

/** The id of the session in which something was asked, when its recording is complete. */
async function recordedSession(): Promise<string> {
  for (let attempt = 0; attempt < 1000; attempt += 1) {
    const {stdout} = await reader.run('tctl audit ls --event=db.session.query,session.upload --format=json', {
      person: 'administrator',
    })
    const events = JSON.parse(stdout) as {event: string; sid: string}[]
    const asked = events.find(({event}) => event === 'db.session.query')
    if (asked && events.some(({event, sid}) => event === 'session.upload' && sid === asked.sid)) return asked.sid
    await sleep(200)
  }
  throw new Error('the session never ended')
}

const treatments: Treatments = [
  [
    /^tctl create <<EOF\nkind: role\n/,
    {
      typing: {person: 'administrator'},
      check: ({stdout}) => {
        expect(stdout).toBe('role "db" has been created\n')
      },
    },
  ],
  [
    /^tsh db ls$/,
    {
      typing: alice,
      patient: true,
      check: ({stdout}) => {
        const [head = '', dashes = '', row = ''] = stdout.split('\n')
        expect([head, dashes, row]).toEqual([
          expect.stringMatching(/^Name +Description +Labels/),
          expect.stringMatching(/^-+ -+ -+/),
          expect.stringMatching(/^aurora +RDS instance in us-west-1 +env=dev$/),
        ])
      },
    },
  ],
  [
    /^tsh db connect --db-user=alice --db-name postgres aurora$/,
    {
      typing: {...alice, input: statements},
      patient: true,
      check: async ({stdout, stderr}) => {
        expect(stdout).toContain('(10 rows)')
        expect(stderr).toContain('ERROR:  permission denied for table products')
        session = await recordedSession()
      },
    },
  ],
  [
    /^tsh play [0-9a-f-]{36}$/,
    {
      typing: alice,
      check: ({stdout}) => {
        const time = '(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ \\d]\\d \\d\\d:\\d\\d UTC'
        const lines = stdout.replaceAll('\r\n', '\n').replace(new RegExp(` at ${time}$`, 'gm'), ' at TIME')
        expect(lines).toBe(`Session started to database "aurora" at TIME

postgres=> SELECT * FROM products;
SUCCESS
(10 rows affected)

postgres=> INSERT INTO products (name, price) VALUES ('Phone', 150.00);
ERROR: permission denied for table products (SQLSTATE 42501)

Session ended at TIME
`)
      },
    },
  ],
  [
    /^tsh play --format json /,
    {
      typing: alice,
      check: ({stdout}) => {
        const events = JSON.parse(stdout) as Record<string, unknown>[]
        const query = events.find(({event}) => event === 'db.session.query')
        // The guide's sample: these keys in this order. It has the roles of an automatic user too; alice is none.
        // What came of it is said beside.
        const outcome =
          /^(affected_records|bytes_from_\w+|columns|command|duration_ms|statement|transaction(_outcome)?)$/
        expect(Object.entries(query ?? {}).filter(([key]) => !outcome.test(key))).toEqual([
          ['cluster_name', 'sandbox'],
          ['code', 'TDB02I'],
          ['db_name', 'postgres'],
          ['db_origin', 'config-file'],
          ['db_protocol', 'postgres'],
          ['db_query', 'SELECT * FROM products;'],
          ['db_service', 'aurora'],
          ['db_type', 'rds'],
          ['db_uri', reader.facts.database.uri],
          ['db_user', 'alice'],
          ['ei', expect.any(Number)],
          ['event', 'db.session.query'],
          ['sid', session],
          ['success', true],
          ['time', expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/)],
          ['uid', expect.stringMatching(/^[0-9a-f-]{36}$/)],
          ['user', 'alice'],
        ])
      },
    },
  ],
]

it.each(linesOf('aurora'))(
  '$at',
  (line) =>
    follow(line, reader, {
      treatments,
      substitutions: [
        ['307b49d6-56c7-4d20-8cf0-5bc5348a7101', session],
        ['db_server/postgres-instance-1', 'db_server/aurora'],
      ],
    }),
  300_000,
)

it('docs/guides/aurora.md, block by block', async () => {
  expect(await followOwn('aurora', reader)).toEqual([expect.stringMatching(/^ alice +\| +10$/m)])
}, 300_000)
