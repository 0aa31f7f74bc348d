/** Three hosts, one PostgreSQL under two names and a database that nobody is at: statements on many of them. */
import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdtemp, readdir, readFile, rm, stat} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {parse, stringify} from 'yaml'
import {cleanEnvironment, cli, runCli, type Finished} from '../helpers/cli.js'
import {waitFor} from '../helpers/psql.js'
import {addPerson, guideRole, startThreeHosts, type ThreeHosts} from '../helpers/three-hosts.js'

let hosts: ThreeHosts
let alice: NodeJS.ProcessEnv
let directory: string

interface AgentFile {
  db_service: {databases: {name: string; uri: string; static_labels?: Record<string, string>}[]}
}

/** The agent serves more than the one database that it was configured with. */
function withMore(text: string): string {
  const file = parse(text) as AgentFile
  const [aurora] = file.db_service.databases
  if (!aurora) throw new Error('the agent has no database')
  file.db_service.databases.push(
    {...aurora, name: 'orders', static_labels: {env: 'dev', team: 'shop'}},
    {...aurora, name: 'nowhere', uri: '127.0.0.1:1', static_labels: {env: 'none'}},
  )
  return stringify(file)
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-operations-'))
  hosts = await startThreeHosts({agentConfiguration: withMore})
  await cli(['create', ...hosts.admin], {input: guideRole})
  alice = await addPerson(hosts, 'alice')
  await waitFor(async () => {
    const servers = JSON.parse(await cli(['get', 'db_server', '--format=json', ...hosts.admin])) as unknown[]
    return servers.length === 3 ? true : undefined
  })
}, 180_000)

afterAll(async () => {
  await hosts.stop()
  await rm(directory, {recursive: true, force: true})
})

const account = ['--db-user=alice', '--db-name=postgres']

describe('db exec', () => {
  /** Without psql on the PATH, as it needs none. */
  const exec = (words: readonly string[]): Promise<Finished> =>
    runCli(['db', 'exec', ...words], {environment: {...alice, PATH: '/nowhere'}})
  const exact = (statement: string, ...words: readonly string[]): Promise<Finished> =>
    exec([statement, ...account, '--no-confirm', ...words])

  it('prints a table for each database, and what happens on standard error', async () => {
    const {code, stdout, stderr} = await exact(
      'select id, name from products order by id limit 2',
      '--dbs=orders,aurora',
    )
    const table = 'id name\n-- ---------\n1  product 1\n2  product 2\n(2 rows)\n'
    expect(stdout).toBe(`orders:\n${table}\naurora:\n${table}`)
    expect(stderr).toMatch(
      /^Fetching databases by name \.\.\.\nFound 2 database\(s\):\n\nName +Description +Protocol +Labels\n/,
    )
    expect(stderr).toContain('Executing command for "orders".\n')
    expect(stderr).toMatch(/Summary: 2 of 2 succeeded\.\n$/)
    expect(code).toBe(0)
  })

  it('of one database prints its table and nothing else, NULL as psql does', async () => {
    const {stdout, code} = await exact("select null as nothing, 'a' || chr(10) || 'b' as lines", '--dbs=aurora')
    expect({stdout, code}).toEqual({stdout: 'nothing lines\n------- -------\n        a\\u{a}b\n(1 row)\n', code: 0})
  })

  it('runs several statements as one transaction, and tells notices', async () => {
    const {stdout} = await exact(
      "create temporary table t (n int); insert into t values (1), (2); do $$ begin raise notice 'hello'; end $$",
      '--dbs=aurora',
    )
    expect(stdout).toBe('CREATE\n\nINSERT 2\n\nDO\n\nNOTICE: hello\n')
  })

  it('selects by labels and by words, and gives data to programs', async () => {
    const byLabels = await exact('select 1 as n', '--labels=env=dev,team=shop', '--format=json')
    expect(JSON.parse(byLabels.stdout)).toEqual({
      databases: [
        {
          database: {service_name: 'orders', protocol: 'postgres', username: 'alice', database: 'postgres'},
          command: 'select 1 as n',
          success: true,
          exit_code: 0,
          results: [{command: 'SELECT', row_count: 1, columns: ['n'], rows: [['1']]}],
          notices: [],
        },
      ],
      success: 1,
      failure: 0,
      total: 1,
    })
    const byWords = await exact('select 1', '--search=team,shop', '--format=json')
    expect(JSON.parse(byWords.stdout)).toMatchObject({total: 1, success: 1})
  })

  it('writes outputs and a summary into a new directory for its owner alone', async () => {
    const target = join(directory, 'outputs')
    const {code, stdout, stderr} = await exact(
      'select 1 / (2 - length(current_user) / 3) as n',
      '--search=self-hosted',
      '--parallel=3',
      `--output-dir=${target}`,
      '--ignore-failures',
    )
    expect({code, stdout}).toEqual({code: 0, stdout: ''})
    expect(stderr).toContain(`Output will be saved at "${target}/orders.output".`)
    expect(stderr).toMatch(/Failed to execute command for "nowhere": \S/)
    expect(stderr).toMatch(/Summary: 2 of 3 succeeded\.\nSummary is saved at ".*\/summary\.json"\.\n$/)
    expect((await readdir(target)).sort()).toEqual(['aurora.output', 'nowhere.output', 'orders.output', 'summary.json'])
    expect(await readFile(join(target, 'orders.output'), 'utf8')).toBe('n\n-\n1\n(1 row)\n')
    for (const file of await readdir(target)) expect((await stat(join(target, file))).mode & 0o777).toBe(0o600)
    expect((await stat(target)).mode & 0o777).toBe(0o700)
    expect(JSON.parse(await readFile(join(target, 'summary.json'), 'utf8'))).toMatchObject({
      databases: [
        {database: {service_name: 'aurora'}, output_file: `${target}/aurora.output`, success: true, exit_code: 0},
        {database: {service_name: 'nowhere'}, success: false, error: expect.stringMatching(/./), exit_code: 1},
        {database: {service_name: 'orders'}, success: true},
      ],
      success: 2,
      failure: 1,
      total: 3,
    })
    expect(await exact('select 1', '--dbs=aurora', `--output-dir=${target}`)).toMatchObject({
      code: 6,
      stderr: expect.stringContaining('already exists'),
    })
  })

  it('goes on after a failure, says it in the server’s words, and ends with 1', async () => {
    const {code, stdout, stderr} = await exact('select * from missing', '--dbs=aurora,orders')
    expect({code, stdout}).toEqual({code: 1, stdout: ''})
    const sentence = 'ERROR: relation "missing" does not exist (SQLSTATE 42P01)'
    expect(stderr).toContain(`Failed to execute command for "aurora": ${sentence}\n`)
    expect(stderr).toContain(`Failed to execute command for "orders": ${sentence}\n`)
    expect((await exact('select * from missing', '--dbs=aurora', '--ignore-failures')).code).toBe(0)
  })

  it('holds no endless answer', async () => {
    const {code, stderr} = await exact("select repeat('x', 1000000) from generate_series(1, 1000)", '--dbs=aurora')
    expect(stderr).toContain('Failed to execute command for "aurora": The answer is larger than 64 MiB.')
    expect(code).toBe(1)
  })

  it('cancels what runs when it is interrupted', async () => {
    const words = [
      'db',
      'exec',
      'select pg_sleep(60) as interrupted',
      ...account,
      '--no-confirm',
      '--dbs=aurora,orders',
    ]
    const child = spawn(process.execPath, ['bin/run.js', ...words], {env: cleanEnvironment(alice)})
    const running = async (): Promise<boolean> => {
      const rows = await hosts.postgres.execute(
        "select 1 from pg_stat_activity where state = 'active' and query like '%as interrupted' and pid <> pg_backend_pid()",
      )
      return rows.length > 0
    }
    await waitFor(async () => (await running()) || undefined)
    child.kill('SIGINT')
    const [code] = (await once(child, 'exit')) as [number | null]
    expect(code).toBe(1)
    await waitFor(async () => !(await running()) || undefined)
  })

  it('is audited as any session is, and leaves no login behind', async () => {
    await exact('select 4711', '--dbs=aurora')
    const events = JSON.parse(await cli(['audit', 'ls', '--format=json', '--limit=1000', ...hosts.admin])) as Record<
      string,
      unknown
    >[]
    expect(events.find(({db_query}) => db_query === 'select 4711')).toMatchObject({user: 'alice', db_user: 'alice'})
    expect(await cli(['db', 'ls'], {environment: alice})).not.toContain('>')
  })

  it.each<[string, readonly string[], number, string]>([
    ['nobody is there to confirm', ['select 1', '--dbs=aurora'], 2, 'Add --no-confirm'],
    ['nothing is selected', ['select 1', '--no-confirm'], 2, 'Please provide one of --dbs, --labels, --search.'],
    [
      'too much is selected',
      ['select 1', '--dbs=a', '--labels=env=dev', '--no-confirm'],
      2,
      'cannot be used with --dbs',
    ],
    [
      'too many are to run at once',
      ['select 1', '--dbs=aurora', '--parallel=11', '--no-confirm'],
      2,
      'between 1 and 10',
    ],
    [
      'there is no such database',
      ['select 1', '--dbs=aurora,missing', '--no-confirm'],
      5,
      'There is no database "missing"',
    ],
    ['no database has the label', ['select 1', '--labels=env=prod', '--no-confirm'], 5, 'No databases were found.'],
  ])('runs nothing when %s', async (_when, words, code, sentence) => {
    const finished = await exec(words)
    expect(finished).toMatchObject({code, stdout: ''})
    expect(finished.stderr).toContain(sentence)
    expect(finished.stderr).not.toContain('Executing')
  })
})
