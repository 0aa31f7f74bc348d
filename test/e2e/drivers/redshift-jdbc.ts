/**
 * What redshift-jdbc42 sends below DBeaver: its startup message, a look at the metadata, a prepared statement, a batch in a
 * transaction, portions of rows, an error. The driver comes from a registry that is not to be had everywhere, so this is put
 * together after its source, amazon-redshift-jdbc-driver 2.1.0: ConnectionFactoryImpl.getParametersForStartup and
 * runInitialQueries, QueryExecutorImpl.sendParse, sendBind, sendOneQuery (names with a number and nanoseconds, a portal for
 * each statement that is not for once, a Flush before each Sync) and closeStatementAndPortal. With compression=lz4.
 */
import {terminate} from '../../../src/lib/pgwire/client-messages.js'
import {typeIds} from '../../../src/lib/pgwire/type-names.js'
import {ask, type Value} from '../../lib/agent/wire.js'
import {hex, type Recording} from './recording.js'

const {int4, varchar} = typeIds
const end = [ask.flush, ask.sync]

/** Bind to Execute of a statement that has a name. */
function execute(statement: string, portal: string, values: readonly Value[], rows = 0): Buffer[] {
  return [ask.bind(portal, statement, values), ask.describe('P', portal), ask.execute(portal, rows)]
}

/** All of a statement that is for once. */
const once = (sql: string): Buffer[] => [ask.parse('', sql), ...execute('', '', []), ...end]

const tables = 'S_1-81240917331502'
const insert = 'S_4-81241006442871'
const numbers = 'S_9-81241310020455'
const portal = 'C_10-81241310024118'

export const redshiftJdbc: Recording = {
  minor: 0,
  startup: new Map([
    ['user', 'alice'],
    ['database', 'dev'],
    ['client_encoding', 'UTF8'],
    ['DateStyle', 'ISO'],
    ['_pq_.compression', 'lz4:1'],
    ['extra_float_digits', '2'],
    ['application_name', 'DBeaver 24.1.0 - Main'],
    ['driver_version', 'Redshift JDBC Driver 2.1.0.30'],
    ['os_version', 'Linux 6.1.0-28-amd64 amd64'],
    ['client_protocol_version', '3'],
    ['driver_discovery_version', '1'],
  ]),
  flights: [
    {sent: [ask.query("SET application_name = 'DBeaver 24.1.0 - Main'")], answered: 'CZ'},
    {sent: once('SELECT version()'), answered: '12TDCZ'},
    {sent: once('SELECT current_schema(), session_user'), answered: '12TDCZ'},
    {sent: once('SHOW search_path'), answered: '12TDCZ'},
    {
      sent: once(
        'SELECT n.oid, n.* FROM pg_catalog.pg_namespace n WHERE nspname IN (CURRENT_SCHEMA(), $$pg_catalog$$) ORDER BY nspname',
      ),
      answered: '12TDCZ',
    },
    {
      sent: [
        ask.parse(tables, 'SELECT relname, relkind FROM pg_class WHERE relname = $1 AND relnatts > $2', [
          varchar,
          int4,
        ]),
        ...execute(tables, 'C_2-81240917340010', ['pg_class', hex('00000003')]),
        ...end,
      ],
      answered: '12TDCZ',
    },
    {
      sent: [...execute(tables, 'C_3-81240921117730', ['nothing', hex('00000000')]), ...end],
      answered: '2TCZ',
    },
    {sent: [ask.close('S', tables), ask.flush], answered: '3'},
    {sent: [ask.sync], answered: 'Z'},
    {sent: once('create temp table items (id int, word varchar(20))'), answered: '12nCZ'},
    {
      sent: [
        ask.query('BEGIN'),
        ask.parse(insert, 'insert into items values ($1, $2)', [int4, varchar]),
        ...execute(insert, 'C_5-81241006450022', [hex('00000001'), 'one'], 1),
        ...execute(insert, 'C_6-81241006453377', [hex('00000002'), null], 1),
        ...execute(insert, 'C_7-81241006456194', [null, 'three'], 1),
        ...end,
      ],
      answered: 'CZ12nC2nC2nCZ',
    },
    {
      sent: [ask.parse('S_8-81241220001911', 'COMMIT'), ...execute('S_8-81241220001911', '', [], 1), ...end],
      answered: '12nCZ',
    },
    {
      sent: [
        ask.query('BEGIN'),
        ask.parse(numbers, 'select n from generate_series(1, 5) n'),
        ...execute(numbers, portal, [], 2),
        ...end,
      ],
      answered: 'CZ12TDsZ',
    },
    {sent: [ask.execute(portal, 2), ...end], answered: 'DsZ'},
    {sent: [ask.execute(portal, 2), ...end], answered: 'DCZ'},
    {sent: once('ROLLBACK'), answered: '12nCZ'},
    {sent: once('select nothing from items'), answered: 'EZ'},
    {sent: [terminate], answered: ''},
  ],
}
