/**
 * What pgjdbc 42.7.13 sends for a program that prepares a statement until it is named, inserts a batch in a transaction, reads
 * through a portal three rows at a time, makes two mistakes, copies in and out and asks for metadata. Recorded between the real
 * driver and PostgreSQL 18, with ApplicationName of DBeaver and prepareThreshold=2.
 */
import {terminate} from '../../../src/lib/pgwire/client-messages.js'
import {ask} from '../../lib/agent/wire.js'
import {hex, type Recording} from './recording.js'

export const pgjdbc: Recording = {
  minor: 0,
  startup: new Map([
    ['user', 'alice'],
    ['database', 'postgres'],
    ['client_encoding', 'UTF8'],
    ['DateStyle', 'ISO'],
    ['TimeZone', 'UTC'],
  ]),
  flights: [
    {sent: [ask.query("SET application_name = 'DBeaver 24.1.0 - Main'")], answered: 'CSZ'},
    {
      sent: [
        ask.parse(
          '',
          'create temp table items (id int primary key, word text, price numeric, at timestamptz, tags text[], u uuid)',
        ),
        ask.bind('', ''),
        ask.describe('P', ''),
        ask.execute(''),
        ask.sync,
      ],
      answered: '12nCZ',
    },
    {
      sent: [
        ask.parse('', 'select $1::int + 1, $2::int8, $3::float8, $4::text, $5::numeric', [23, 20, 701, 1043, 1700]),
        ask.bind('', '', [
          hex('00000000'),
          hex('0000010000000000'),
          hex('3fe0000000000000'),
          'snow ☃',
          hex('0002000000000002000c1388'),
        ]),
        ask.describe('P', ''),
        ask.execute(''),
        ask.sync,
      ],
      answered: '12TDCZ',
    },
    {
      sent: [
        ask.parse('S_1', 'select $1::int + 1, $2::int8, $3::float8, $4::text, $5::numeric', [23, 20, 701, 1043, 1700]),
        ask.bind('', 'S_1', [
          hex('00000001'),
          hex('0000010000000000'),
          hex('3fe0000000000000'),
          'snow ☃',
          hex('0002000000000002000c1388'),
        ]),
        ask.describe('P', ''),
        ask.execute(''),
        ask.sync,
      ],
      answered: '12TDCZ',
    },
    {
      sent: [
        ask.bind(
          '',
          'S_1',
          [
            hex('00000002'),
            hex('0000010000000000'),
            hex('3fe0000000000000'),
            'snow ☃',
            hex('0002000000000002000c1388'),
          ],
          [1, 1, 1, 0, 1],
        ),
        ask.execute(''),
        ask.sync,
      ],
      answered: '2DCZ',
    },
    {
      sent: [
        ask.bind(
          '',
          'S_1',
          [
            hex('00000003'),
            hex('0000010000000000'),
            hex('3fe0000000000000'),
            'snow ☃',
            hex('0002000000000002000c1388'),
          ],
          [1, 1, 1, 0, 1],
        ),
        ask.execute(''),
        ask.sync,
      ],
      answered: '2DCZ',
    },
    {
      sent: [
        ask.query('BEGIN'),
        ask.parse('S_2', 'insert into items values ($1, $2, $3, $4, $5, $6)', [23, 1043, 1700, 0, 1009, 2950]),
        ask.describe('S', 'S_2'),
        ask.bind('', 'S_2', [
          hex('00000000'),
          'word 0',
          hex('000200000000000100011388'),
          '2026-11-21 12:00:00+00',
          hex('00000001000000010000001900000003000000010000000161ffffffff00000003622c63'),
          hex('6a4a7f5e7c1f4f0e9f430a8a1f0a4e11'),
        ]),
        ask.execute('', 1),
        ask.bind('', 'S_2', [
          hex('00000001'),
          'word 1',
          hex('000200000000000100011388'),
          '2026-11-21 12:00:00+00',
          hex('00000001000000010000001900000003000000010000000161ffffffff00000003622c63'),
          hex('6a4a7f5e7c1f4f0e9f430a8a1f0a4e11'),
        ]),
        ask.describe('P', ''),
        ask.execute('', 1),
        ask.bind('', 'S_2', [
          hex('00000002'),
          'word 2',
          hex('000200000000000100011388'),
          '2026-11-21 12:00:00+00',
          hex('00000001000000010000001900000003000000010000000161ffffffff00000003622c63'),
          hex('6a4a7f5e7c1f4f0e9f430a8a1f0a4e11'),
        ]),
        ask.describe('P', ''),
        ask.execute('', 1),
        ask.sync,
      ],
      answered: 'CZ1tn2C2nC2nCZ',
    },
    {sent: [ask.parse('S_3', 'COMMIT'), ask.bind('', 'S_3'), ask.execute('', 1), ask.sync], answered: '12CZ'},
    {
      sent: [
        ask.query('BEGIN'),
        ask.parse('', 'select n from generate_series(1, 7) n'),
        ask.bind('C_4', ''),
        ask.describe('P', 'C_4'),
        ask.execute('C_4', 3),
        ask.sync,
      ],
      answered: 'CZ12TDsZ',
    },
    {sent: [ask.execute('C_4', 3), ask.sync], answered: 'DsZ'},
    {sent: [ask.execute('C_4', 3), ask.sync], answered: 'DCZ'},
    {sent: [ask.close('P', 'C_4'), ask.bind('', 'S_3'), ask.execute('', 1), ask.sync], answered: '32CZ'},
    {
      sent: [
        ask.query('BEGIN'),
        ask.parse('', 'select 1 / $1', [23]),
        ask.bind('', '', [hex('00000000')]),
        ask.describe('P', ''),
        ask.execute(''),
        ask.sync,
      ],
      answered: 'CZ1EZ',
    },
    {sent: [ask.parse('S_5', 'ROLLBACK'), ask.bind('', 'S_5'), ask.execute('', 1), ask.sync], answered: '12CZ'},
    {
      sent: [
        ask.parse('S_6', 'insert into items (id) values ($1)', [23]),
        ask.bind('', 'S_6', [hex('0000000a')]),
        ask.describe('P', ''),
        ask.execute('', 1),
        ask.bind('', 'S_6', [hex('00000000')]),
        ask.describe('P', ''),
        ask.execute('', 1),
        ask.bind('', 'S_6', [hex('0000000b')]),
        ask.describe('P', ''),
        ask.execute('', 1),
        ask.sync,
      ],
      answered: '12nC2nEZ',
    },
    {sent: [ask.query('copy items (id, word) from stdin')], answered: 'G'},
    {sent: [ask.copyData('20\ta\n21\tb\n'), ask.copyDone], answered: 'CZ'},
    {sent: [ask.query('copy (select id from items order by id) to stdout')], answered: 'HdcCZ'},
    {
      sent: [
        ask.parse(
          '',
          "SELECT nspname AS \"TABLE_SCHEM\", current_database() AS \"TABLE_CATALOG\" FROM pg_catalog.pg_namespace  WHERE nspname <> 'pg_toast' AND (nspname !~ '^pg_temp_'  OR nspname = (pg_catalog.current_schemas(true))[1]) AND (nspname !~ '^pg_toast_temp_'  OR nspname = replace((pg_catalog.current_schemas(true))[1], 'pg_temp_', 'pg_toast_temp_'))  ORDER BY \"TABLE_SCHEM\"",
        ),
        ask.bind('', ''),
        ask.describe('P', ''),
        ask.execute(''),
        ask.sync,
      ],
      answered: '12TDCZ',
    },
    {
      sent: [
        ask.parse('', 'select current_catalog'),
        ask.bind('', ''),
        ask.describe('P', ''),
        ask.execute(''),
        ask.sync,
      ],
      answered: '12TDCZ',
    },
    {sent: [ask.query('')], answered: 'IZ'},
    {sent: [terminate], answered: ''},
  ],
}
