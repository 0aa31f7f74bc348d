/** The same work through Postern and without it: from pg, postgres and psycopg2, and then what pgbench and sqlsmith send. */
import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {sessionEvents, until} from '../../lib/agent/rig.js'
import {report, scaled} from '../../helpers/scale.js'
import {runPg} from './node-pg.js'
import {runPostgres} from './postgres-js.js'
import {runProgram, startDriverRig, type DriverRig, type Way} from './rig.js'
import {recordedStatements} from './recorded.js'
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
  psycopg2: async ({environment}) => {
    const script = resolve('test/e2e/drivers/psycopg2_matrix.py')
    const python = {program: '/usr/bin/python3', words: [script], debian: 'python3-psycopg2'}
    const {code, stdout, stderr} = await runProgram(python, environment, JSON.stringify(values))
    if (stderr.includes("No module named 'psycopg2'")) throw new Error('install the Debian package python3-psycopg2')
    expect({code, stderr}).toEqual({code: 0, stderr: ''})
    return JSON.parse(stdout) as Record<string, unknown>
  },
}

/** The way that libpq goes by itself, under a name that the audit shows. */
function libpq(application: string): NodeJS.ProcessEnv {
  const environment = rig.ways.find(({name}) => name === 'by certificate')?.environment
  return {...environment, PGAPPNAME: application, PGOPTIONS: '-c statement_timeout=5000'}
}

async function recordedOf(application: string): Promise<readonly string[]> {
  await until(() => rig.agent.statistics().sessions === 0, 'the sessions end')
  await sessionEvents(rig.plane, application)
  const sids = new Set(rig.plane.events.filter(({user_agent}) => user_agent === application).map(({sid}) => sid))
  for (const sid of sids) {
    await until(() => rig.plane.eventsOf(sid).some(({code}) => code === 'TDB01I'), 'the audit is complete')
  }
  return [...sids].flatMap((sid) => recordedStatements(rig.plane.eventsOf(sid)))
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

describe('pgbench', () => {
  const pgbench = {program: 'pgbench', debian: 'postgresql-contrib'}
  const clients = 4
  const transactions = scaled(10, 500)
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
    ['simple', []],
    ['extended', []],
    ['prepared', []],
    ['simple', ['-C']],
  ])('in mode %s %j: each statement that it sent is recorded', async (mode, more) => {
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
    const squeeze = (text: string): string => text.replace(/[\s;]+/g, '')
    const until = performance.now() + scaled(1, 120) * 1000
    let count = 0
    for (let seed = 1; seed === 1 || performance.now() < until; seed += 1) {
      const application = `sqlsmith ${seed}`
      const words = ['--target=', '--max-queries=40', '--dump-all-queries', `--seed=${seed}`]
      const {stdout} = await runProgram({program: 'sqlsmith', words, debian: 'sqlsmith'}, libpq(application))
      expect(squeeze(stdout).length).toBeGreaterThan(1000)
      const recorded = (await recordedOf(application)).filter((sql) => !/^(BEGIN|ROLLBACK)\b/i.test(sql))
      count += recorded.length
      // It asks for the catalog before it begins.
      expect(squeeze(recorded.join('')).endsWith(squeeze(stdout))).toBe(true)
    }
    report(`sqlsmith: ${count} statements sent and recorded`)
    await expectHealth()
  },
  scaled(60_000, 300_000),
)
