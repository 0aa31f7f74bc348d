/** The same work through Postern and without it: from pg, postgres and psycopg2, and then what pgbench and sqlsmith send. */
import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import type {SessionStatistics} from '../../../src/lib/agent/session-statistics.js'
import {findBinaries} from '../../../src/lib/cluster/postgres-binaries.js'
import {sessionEvents, until} from '../../lib/agent/rig.js'
import {report, scaled} from '../../helpers/scale.js'
import {runPg} from './node-pg.js'
import {runPostgres} from './postgres-js.js'
import {runProgram, startDriverRig, type DriverRig, type Way} from './rig.js'
import {pgjdbc} from './pgjdbc.js'
import {recordedStatements} from './recorded.js'
import {replay} from './recording.js'
import {values} from './types.js'

let rig: DriverRig

beforeAll(async () => {
  rig = await startDriverRig()
})

afterAll(async () => {
  await rig.stop()
})

const drivers: Readonly<Record<string, (way: Way) => Promise<Record<string, unknown>>>> = {
  // It hides the key in the object that it is given.
  pg: ({host, port, ssl}) => runPg({host, port, user: 'alice', database: 'postgres', ssl: ssl ? {...ssl} : false}),
  postgres: ({host, port, ssl}) => runPostgres({host, port, user: 'alice', database: 'postgres', ssl: ssl ?? false}),
  // As libpq 17 can: TLS from the first byte, with the protocol's name.
  'A06: postgres with direct TLS': ({host, port, ssl}) => {
    const options = {host, port, user: 'alice', database: 'postgres', ssl: ssl ?? false}
    return runPostgres(ssl ? ({...options, sslnegotiation: 'direct'} as typeof options) : options)
  },
  psycopg2: ({environment}) => runPsycopg2(environment),
  // TLS from the first byte where there is TLS, protocol 3.2 and so a cancel key of 32 bytes.
  'A07: psycopg2 with libpq 18': ({environment}) => runPsycopg2(libpq18(environment)),
}

async function runPsycopg2(environment: NodeJS.ProcessEnv): Promise<Record<string, unknown>> {
  const script = resolve('test/e2e/drivers/psycopg2_matrix.py')
  const python = {program: '/usr/bin/python3', words: [script], debian: 'python3-psycopg2'}
  const {code, stdout, stderr} = await runProgram(python, environment, JSON.stringify(values))
  if (stderr.includes("No module named 'psycopg2'")) throw new Error('install the Debian package python3-psycopg2')
  expect({code, stderr}).toEqual({code: 0, stderr: ''})
  return JSON.parse(stdout) as Record<string, unknown>
}

/** The libraries that came with PostgreSQL. */
const libraries = join(findBinaries(), 'lib')

/** With the libpq of PostgreSQL 18, asked for what it can do more than that of Debian. */
function libpq18(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const sslNegotiation = environment.PGSSLMODE === 'disable' ? {} : {PGSSLNEGOTIATION: 'direct'}
  return {...environment, ...sslNegotiation, LD_LIBRARY_PATH: libraries, PGMAXPROTOCOLVERSION: '3.2'}
}

/** The way that libpq goes by itself, under a name that the audit shows. */
function libpq(application: string, options = ''): NodeJS.ProcessEnv {
  const environment = rig.ways.find(({name}) => name === 'by certificate')?.environment
  return {...environment, PGAPPNAME: application, PGOPTIONS: options}
}

/** What each of its sessions sent. */
async function recordedBySession(application: string): Promise<readonly (readonly string[])[]> {
  // Of several sessions the first ones may be told of long before the others.
  const isTold = ({sessions, auditBacklogBytes}: SessionStatistics): boolean =>
    sessions === 0 && auditBacklogBytes === 0
  await until(() => isTold(rig.agent.statistics()), 'the sessions end, and all of them are told')
  await sessionEvents(rig.plane, application)
  const sids = new Set(rig.plane.events.filter(({user_agent}) => user_agent === application).map(({sid}) => sid))
  const events = (): typeof rig.plane.events => rig.plane.events.filter(({sid}) => sids.has(sid))
  await until(() => events().filter(({code}) => code === 'TDB01I').length === sids.size, 'the audit is complete')
  const bySession = new Map([...sids].map((sid) => [sid, [] as ReturnType<typeof events>]))
  for (const event of events()) bySession.get(event.sid)?.push(event)
  return [...bySession.values()].map(recordedStatements)
}

async function recordedOf(application: string): Promise<readonly string[]> {
  return (await recordedBySession(application)).flat()
}

async function expectHealth(): Promise<void> {
  expect(rig.agent.ready()).toBe(true)
  expect(rig.defects).toEqual([])
  const {code, stdout} = await runProgram(
    {program: 'psql', words: ['-XAtc', 'select 6 * 7'], debian: 'postgresql-client'},
    libpq('health'),
  )
  expect({code, stdout}).toEqual({code: 0, stdout: '42\n'})
}

describe.each(Object.keys(drivers))('%s', (driver) => {
  let expected: Record<string, unknown>

  const results = async (name: Way['name']): Promise<Record<string, unknown>> => {
    const way = rig.ways.find((known) => known.name === name)
    const run = drivers[driver]
    if (!way || !run) throw new Error('no such way')
    return run(way)
  }

  beforeAll(async () => {
    expected = await results('directly')
    expect(JSON.stringify(expected)).not.toContain('no error')
  })

  it.each(['by certificate', 'by local proxy'] as const)('gets the same %s as without Postern', async (name) => {
    expect(await results(name)).toEqual(expected)
  })
})

it.each(['directly', 'by certificate', 'by local proxy'])(
  'C05: libpq 18 speaks 3.2 and cancels its query over TLS, %s',
  async (name) => {
    const way = rig.ways.find((known) => known.name === name)
    const words = [resolve('test/e2e/drivers/libpq_cancel.py'), join(libraries, 'libpq.so.5')]
    const python = {program: '/usr/bin/python3', words, debian: 'python3'}
    const environment = {...libpq18(way?.environment ?? {}), PGAPPNAME: 'libpq 18'}
    const {stdout, stderr} = await runProgram(python, environment)
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toEqual({protocol: 30_002, state: '57014', application: 'libpq 18'})
  },
)

describe('B11: pgjdbc, as it was recorded', () => {
  it('gets the answers that it got, in no more pieces, and each of its statements is audited', async () => {
    const {opening, answers, split} = await replay(await rig.dialDirect(await rig.guest()), pgjdbc)
    expect(opening).toBe('RSKZ')
    expect(answers).toEqual(pgjdbc.flights.map(({answered}) => answered))
    expect(split).toEqual([])
    const session = (): Readonly<Record<string, unknown>>[] => {
      const own = rig.plane.events.find(({db_query}) => String(db_query).includes('DBeaver 24.1.0'))
      return own ? rig.plane.eventsOf(own.sid) : []
    }
    await until(() => session().some(({code}) => code === 'TDB01I'), 'the audit is complete')
    const told = session()
      .filter(({event}) => event === 'db.session.query')
      .map((event) => [
        String(event.db_query).slice(0, 24),
        event.db_query_parameters ?? [],
        event.execution ?? event.sqlstate ?? event.affected_records,
      ])
    const question = 'select $1::int + 1, $2::'
    const insert = 'insert into items values'
    const uuid = '6a4a7f5e-7c1f-4f0e-9f43-0a8a1f0a4e11'
    const items = (id: number): unknown[] => [
      ...[insert, [String(id), `word ${id}`, '1.5', '2026-11-21 12:00:00+00', '{a,NULL,"b,c"}', uuid], 1],
    ]
    expect(told).toEqual([
      ["SET application_name = '", [], 0],
      ['create temp table items ', [], 0],
      ...['0', '1', '2', '3'].map((n) => [question, [n, '1099511627776', '0.5', 'snow ☃', '12.50'], 1]),
      ...[['BEGIN', [], 0], items(0), items(1), items(2), ['COMMIT', [], 0]],
      // In three portions.
      ...[
        ['BEGIN', [], 0],
        ['select n from generate_s', [], 7],
        ['COMMIT', [], 0],
      ],
      ...[
        ['BEGIN', [], 0],
        ['select 1 / $1', ['0'], '22012'],
        ['ROLLBACK', [], 0],
      ],
      ...[
        ['10', 1],
        ['0', '23505'],
        ['11', 'skipped'],
      ].map(([id, outcome]) => ['insert into items (id) v', [id], outcome]),
      ...[
        ['copy items (id, word) fr', [], 2],
        ['copy (select id from ite', [], 5],
      ],
      ['SELECT nspname AS "TABLE', [], expect.any(Number)],
      ...[
        ['select current_catalog', [], 1],
        ['', [], 0],
      ],
    ])
  })
})

describe('pgbench', () => {
  const pgbench = {program: 'pgbench', debian: 'postgresql-contrib'}
  const clients = 4
  let directory = ''

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'postern-pgbench-'))
    const {code, stderr} = await runProgram({...pgbench, words: ['-i', '-q', '-s', '1']}, libpq('pgbench-i'))
    if (code !== 0) throw new Error(stderr)
  })

  afterAll(async () => {
    await rm(directory, {recursive: true})
  })

  it.each([
    ['simple', [], scaled(10, 500)],
    ['extended', [], scaled(10, 500)],
    ['prepared', [], scaled(10, 500)],
    // With a connection for each transaction.
    ['simple', ['-C'], scaled(10, 100)],
  ])('in mode %s %j: each statement that it sent is recorded', async (mode, more, transactions) => {
    const application = `pgbench ${mode} ${more.join(' ')}`
    const words = ['-n', '-M', mode, '-c', String(clients), '-t', String(transactions), ...more]
    const {code, stdout, stderr} = await runProgram({...pgbench, words}, libpq(application))
    expect({code, stderr: stderr.replace(/^pgbench .*\n/, '')}).toEqual({code: 0, stderr: ''})
    const sent = clients * transactions
    expect(stdout).toContain(`transactions actually processed: ${sent}/${sent}`)
    const recorded = await recordedOf(application)
    const statements = ['BEGIN', 'UPDATE pgbench_accounts', 'SELECT abalance', 'UPDATE pgbench_tellers']
    for (const begin of [...statements, 'UPDATE pgbench_branches', 'INSERT INTO pgbench_history', 'END']) {
      expect([begin, recorded.filter((sql) => sql.startsWith(begin)).length]).toEqual([begin, sent])
    }
    await expectHealth()
  })

  it.each(['extended', 'prepared'])('in mode %s with pipelines', async (mode) => {
    const script = join(directory, `${mode}.sql`)
    const lines = [
      '\\set n random(1, 100)',
      '\\startpipeline',
      'select 1;',
      'select :n + 2;',
      "select 'three';",
      '\\endpipeline',
    ]
    await writeFile(script, `${lines.join('\n')}\n`)
    const application = `pgbench pipelined ${mode}`
    const transactions = scaled(10, 500)
    const words = ['-n', '-M', mode, '-c', String(clients), '-t', String(transactions), '-f', script]
    const {code, stdout} = await runProgram({...pgbench, words}, libpq(application))
    const sent = clients * transactions
    expect([code, stdout.includes(`${sent}/${sent}`)]).toEqual([0, true])
    const recorded = await recordedOf(application)
    for (const begin of ['select 1', 'select $1', "select 'three'"]) {
      expect([begin, recorded.filter((sql) => sql.startsWith(begin)).length]).toEqual([begin, sent])
    }
    await expectHealth()
  })
})

it(
  'sqlsmith: whatever it sends is recorded, and the agent stays healthy',
  async () => {
    const timeout = '-c statement_timeout=5000'
    const squeeze = (text: string): string => text.replace(/[\s;]+/g, '')
    const until = performance.now() + scaled(1, 120) * 1000
    let count = 0
    for (let seed = 1; seed === 1 || performance.now() < until; seed += 1) {
      const application = `sqlsmith ${seed}`
      const words = ['--target=', '--max-queries=40', '--dump-all-queries', `--seed=${seed}`]
      const {stdout} = await runProgram({program: 'sqlsmith', words, debian: 'sqlsmith'}, libpq(application, timeout))
      expect(squeeze(stdout).length).toBeGreaterThan(1000)
      const sessions = await recordedBySession(application)
      const recorded = sessions.map((sent) => sent.filter((sql) => !/^(BEGIN|ROLLBACK)\b/i.test(sql)))
      count += recorded.flat().length
      // It asks for the catalog in a session of its own, and beside the one that it dumps has another.
      expect(recorded.filter((sent) => squeeze(sent.join('')).endsWith(squeeze(stdout)))).toHaveLength(1)
    }
    report(`sqlsmith: ${count} statements sent and recorded`)
    await expectHealth()
  },
  scaled(300_000, 600_000),
)
