import {afterAll, beforeAll, expect, it} from '@jest/globals'
import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdir, readdir, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {cleanEnvironment, cli, runCli, runShell, type Finished} from '../helpers/cli.js'
import {argumentsOf, descendantsOf} from '../helpers/processes.js'
import {waitFor} from '../helpers/psql.js'
import {addPerson, guideRole, startThreeHosts, type ThreeHosts} from '../helpers/three-hosts.js'

/**
 * The guides' steps that need no AWS, in their order: tokens add, db configure create and start are in `startThreeHosts`;
 * here create role, users add, invite, login, db ls, db connect, db logout.
 */
let hosts: ThreeHosts
let alice: NodeJS.ProcessEnv

beforeAll(async () => {
  hosts = await startThreeHosts()
  const created = await runShell(`postern create ${hosts.admin.join(' ')} <<EOF\n${guideRole}EOF`)
  expect(created).toMatchObject({code: 0, stdout: 'role "db" has been created\n'})
  alice = await addPerson(hosts, 'alice')
})

afterAll(() => hosts.stop())

it('tokens add --format=text prints the token and nothing else', async () => {
  expect(await cli(['tokens', 'add', '--type=db', '--format=text', ...hosts.admin])).toMatch(/^[0-9a-f]{32}\n$/)
})

it("an administrator's status shows cluster, version and CA pin as the guides print them", async () => {
  const [cluster, version, pin] = (await cli(['status', ...hosts.admin])).split('\n').map((line) => line.trimEnd())
  expect(cluster).toBe('Cluster  postern.example.com')
  expect(version).toMatch(/^Version {2}\d+\.\d+\.\d+$/)
  expect(pin).toBe(`CA pin   ${hosts.caPin}`)
})

it('status shows who is logged in', async () => {
  expect(await cli(['status'], {environment: alice})).toMatch(/Logged in as: {7}alice\n(.*\n)*.*Roles: {14}access, db/)
})

it('db ls lists the database with its labels', async () => {
  const [head = '', dashes = '', row = ''] = (await cli(['db', 'ls'], {environment: alice})).split('\n')
  expect(head).toMatch(/^Name +Description +Labels/)
  expect(dashes).toMatch(/^-+ -+ -+/)
  expect(row).toMatch(/^aurora .*env=dev/)
})

it('db doctor checks the way to the database, and says what to do', async () => {
  const doctor = ['db', 'doctor', '--db-name=postgres', '--format=json', 'aurora']
  // The agent hears of alice a moment after the control plane does.
  const {code, stdout} = await waitFor(async () => {
    const finished = await runCli([...doctor, '--db-user=alice'], {environment: alice})
    return finished.code === 0 ? finished : undefined
  })
  const steps = ['access', 'address', 'connection', 'certificate', 'sign-in']
  expect({code, ...(JSON.parse(stdout) as object)}).toMatchObject({
    code: 0,
    database: 'aurora',
    ok: true,
    checks: steps.map((check) => ({check, result: 'pass'})),
  })
  const denied = await runCli([...doctor.filter((word) => !word.startsWith('--format')), '--db-user=mallory'], {
    environment: alice,
  })
  expect(denied).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(
      /^Check +Result +Reason\n-+ -+ -+\naccess +pass [^]*\nsign-in +fail .*"mallory".*\n +fix +Run .*CREATE USER "mallory";\n$/,
    ) as unknown as string,
  })
})

it('db connect brings rows from PostgreSQL, and psql’s own exit codes', async () => {
  const connect = ['db', 'connect', '--db-user=alice', '--db-name', 'postgres', 'aurora', '--']
  const select = await runCli([...connect, '-At', '-c', 'select count(*) from products'], {environment: alice})
  expect(select).toMatchObject({code: 0, stdout: '10\n'})
  const refused = await runCli([...connect, '-c', "insert into products (name) values ('x')"], {environment: alice})
  expect(refused).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('permission denied for table products') as unknown as string,
  })
  const inScript = await runCli([...connect, '-v', 'ON_ERROR_STOP=1', '-f', '-'], {
    environment: alice,
    input: 'select 1/0;',
  })
  expect(inScript.code).toBe(3)
})

it('db connect --timings says where the time went, and leaves psql’s output alone', async () => {
  const words = [
    'db',
    'connect',
    '--timings',
    '--db-user=alice',
    '--db-name=postgres',
    'aurora',
    '--',
    '-Atc',
    'select 1',
  ]
  const {code, stdout, stderr} = await runCli(words, {environment: alice})
  expect({code, stdout}).toEqual({code: 0, stdout: '1\n'})
  const rows = [...stderr.matchAll(/^ *([a-z-]+) +(\d+\.\d) ms(?: |$)/gm)].map(([, name, value]) => [
    name,
    Number(value),
  ])
  const times = Object.fromEntries(rows) as Record<string, number>
  expect(Object.keys(times)).toEqual(['start-up', 'certificate', 'psql', 'proxy', 'agent', 'sign-in', 'ready'])
  const {ready = 0, 'start-up': startUp = 0, certificate = 0, psql = 0, 'sign-in': signIn = 0} = times
  // The proxy and the agent were reached while psql started; printed figures are rounded.
  expect(startUp + certificate + psql + signIn).toBeLessThanOrEqual(ready + 0.5)
  for (const value of Object.values(times)) expect(value).toBeGreaterThan(0)
  expect((times.proxy ?? 0) + (times.agent ?? 0)).toBeLessThan(ready - startUp)
})

it('what is left out comes from before: db connect without flags, after db login', async () => {
  await cli(['db', 'login', '--db-user=alice', '--db-name=postgres', 'aurora'], {environment: alice})
  expect(await cli(['db', 'connect', '--', '-At', '-c', 'select current_user'], {environment: alice})).toBe('alice\n')
  expect(await cli(['db', 'ls'], {environment: alice})).toContain('postern db connect')
})

it('\\copy moves data through the proxy both ways', async () => {
  const script =
    "create temp table t (a int); \\copy t from program 'seq 1 5000'\nselect sum(a) from t; \\copy t to stdout"
  const lines = (
    await cli(['db', 'connect', 'aurora', '--', '-At', '-f', '-'], {environment: alice, input: script})
  ).split('\n')
  expect(lines).toContain('12502500')
  expect(lines).toContain('4999')
})

it('C01: Ctrl-C cancels the query', async () => {
  const running = runCli(['db', 'connect', 'aurora', '--', '-c', 'select pg_sleep(601)'], {environment: alice})
  const active = "select 1 from pg_stat_activity where query = 'select pg_sleep(601)' and state = 'active'"
  const psql = await waitFor(async () => ((await hosts.postgres.execute(active)).length > 0 ? findPsql() : undefined))
  let finished: Finished | undefined
  // Nobody answers a cancel request: one that got lost on a busy machine is sent again.
  while (!finished) {
    process.kill(psql, 'SIGINT')
    finished = await Promise.race([running, sleep(10_000, undefined, {ref: false})])
  }
  expect(finished.stderr).toContain('canceling statement due to user request')
  await waitFor(async () => ((await hosts.postgres.execute(active)).length === 0 ? true : undefined))
})

it.each(['postgres host=evil.example.com sslmode=disable', 'postgresql://evil.example.com/x', `a'; --`, '%2e'])(
  'D03: a database named %j is reached by that name, and nothing else is read from it',
  async (name) => {
    await hosts.postgres.execute(`CREATE DATABASE "${name}"`)
    const words = ['db', 'connect', '--db-user=alice', `--db-name=${name}`, 'aurora', '--', '-At', '-c']
    const {code, stdout} = await runCli([...words, 'select current_database()'], {environment: alice})
    expect({code, stdout}).toEqual({code: 0, stdout: `${name}\n`})
  },
)

it('D03: a name of 64 KiB is refused with a sentence', async () => {
  const words = [
    'db',
    'connect',
    '--db-user=alice',
    `--db-name=${'x'.repeat(65_536)}`,
    'aurora',
    '--',
    '-c',
    'select 1',
  ]
  const {code, stderr} = await runCli(words, {environment: alice})
  expect(code).not.toBe(0)
  expect(stderr.length).toBeLessThan(2000)
  expect(stderr).not.toContain('    at ')
  // The next ones go on with what was used last.
  await cli(['db', 'login', '--db-user=alice', '--db-name=postgres', 'aurora'], {environment: alice})
})

it('a denied database user is told which role lacked what', async () => {
  const environment = await addPerson(hosts, 'email@example.com', {
    roles: 'access',
    flags: ['--db-users=reader', '--db-names=postgres'],
  })
  const denied = await runCli(
    ['db', 'connect', '--db-user=alice', '--db-name=postgres', 'aurora', '--', '-c', 'select 1'],
    {environment},
  )
  expect(denied.code).not.toBe(0)
  expect(denied.stderr).toMatch(/"access".*database user "alice"/s)
})

it('proxy db --exec runs a program with the connection in its environment, and ends with its code', async () => {
  const script = 'psql -At -c "select count(*) from products" && exit 7'
  const {code, stdout} = await runCli(
    ['proxy', 'db', '--tunnel', '--port=0', 'aurora', '--exec', '--', 'sh', '-c', script],
    {environment: alice},
  )
  expect({code, stdout}).toEqual({code: 7, stdout: '10\n'})
})

it('proxy db keeps a port open for many connections until it is asked to end', async () => {
  const environment = cleanEnvironment(alice)
  const child = spawn(
    process.execPath,
    ['bin/run.js', 'proxy', 'db', '--tunnel', '--port=0', 'aurora', '--format=json'],
    {
      env: environment,
    },
  )
  const [answer] = (await once(child.stdout, 'data')) as [Buffer]
  const {port} = JSON.parse(answer.toString()) as {port: number}
  const one = `psql -h 127.0.0.1 -p ${port} -U alice -d postgres -At -c 'select 1'`
  const {stdout} = await runShell(`for i in 1 2 3 4 5; do ${one} & done; wait`)
  expect(stdout).toBe('1\n'.repeat(5))
  child.kill('SIGTERM')
  expect((await once(child, 'exit'))[0]).toBe(0)
})

it('the audit log holds the session, statement by statement', async () => {
  const marker = `select 'seen ${Date.now()}'`
  await cli(['db', 'connect', 'aurora', '--', '-c', marker], {environment: alice})
  const events = await waitFor(async () => {
    const all = JSON.parse(await cli(['audit', 'ls', '--limit=1000', '--format=json', ...hosts.admin])) as Event[]
    const sid = all.find((event) => event.db_query === marker)?.sid
    const session = all.filter((event) => event.sid === sid)
    return sid !== undefined && session.some(({event}) => event === 'session.upload') ? session : undefined
  })
  expect(events.map(({event, code}) => [event, code])).toEqual([
    ['db.session.start', 'TDB00I'],
    ['db.session.query', 'TDB02I'],
    ['db.session.end', 'TDB01I'],
    ['session.upload', 'T2005I'],
  ])
  expect(events[1]).toMatchObject({
    cluster_name: 'postern.example.com',
    db_name: 'postgres',
    db_origin: 'config-file',
    db_protocol: 'postgres',
    db_service: 'aurora',
    db_type: 'self-hosted',
    db_user: 'alice',
    success: true,
    user: 'alice',
  })
})

it('get db_server --format json is what the guides give to jq', async () => {
  interface Server {
    readonly status: {readonly target_health: {readonly status: string}}
  }
  // Health is told with a heartbeat: the first may come before the database has answered.
  const server = await waitFor(async () => {
    const text = await cli(['get', 'db_server/aurora', '--format', 'json', ...hosts.admin])
    const [found] = JSON.parse(text) as Server[]
    return found?.status.target_health.status === 'healthy' ? found : undefined
  })
  expect(server).toMatchObject({
    spec: {
      hostname: expect.any(String) as unknown as string,
      host_id: expect.stringMatching(/^[0-9a-f-]{36}$/) as unknown as string,
    },
    status: {target_health: {status: 'healthy'}},
  })
})

it('psql goes to the proxy by itself: db connect --no-tunnel, db env, db config', async () => {
  const noTunnel = ['db', 'connect', '--no-tunnel', '--db-user=alice', '--db-name=postgres', 'aurora', '--']
  const sql = 'select count(*), inet_client_addr() is not null, current_user from products'
  const environment = {...alice, PGSSLMODE: 'disable', PGHOSTADDR: '192.0.2.1', PGOPTIONS: '-c role=nobody'}
  expect(await cli([...noTunnel, '-At', '-c', sql], {environment})).toBe('10|t|alice\n')
  const failed = await runCli([...noTunnel, '-c', 'select 1/0'], {environment: alice})
  expect(failed).toMatchObject({code: 1, stderr: 'ERROR:  division by zero\n'})
  const shell = await runShell(`eval "$(postern db env)" && psql -XAtc '${sql}'`, {environment: alice})
  expect(shell).toMatchObject({code: 0, stdout: '10|t|alice\n', stderr: ''})
  const command = await runShell(`eval "$(postern db config --format=cmd aurora) -XAtc '${sql}'"`, {environment: alice})
  expect(command).toMatchObject({code: 0, stdout: '10|t|alice\n', stderr: ''})

  const old = join(hosts.directory, 'old')
  await mkdir(old)
  await writeFile(join(old, 'psql'), '#!/bin/sh\necho "psql (PostgreSQL) 13.22"\n', {mode: 0o755})
  const tooOld = await runCli([...noTunnel, '-c', sql], {
    environment: {...alice, PATH: `${old}:${String(process.env.PATH)}`},
  })
  expect(tooOld).toMatchObject({code: 1, stdout: '', stderr: expect.stringContaining('psql 13') as unknown as string})
})

it('db logout removes the certificate', async () => {
  await cli(['db', 'login', '--db-user=alice', '--db-name=postgres', 'aurora'], {environment: alice})
  await cli(['db', 'logout', 'aurora'], {environment: alice})
  const files = await readdir(String(alice.POSTERN_HOME), {recursive: true})
  expect(files.filter((name) => /aurora.*\.crt$/.test(name))).toEqual([])
})

it('SIGTERM ends a running session with a sentence after the drain, and the agent with exit code 0', async () => {
  const connect = [
    'db',
    'connect',
    '--db-user=alice',
    '--db-name=postgres',
    'aurora',
    '--',
    '-c',
    'select pg_sleep(602)',
  ]
  const running = runCli(connect, {environment: alice})
  const active = "select 1 from pg_stat_activity where query = 'select pg_sleep(602)' and state = 'active'"
  await waitFor(async () => ((await hosts.postgres.execute(active)).length > 0 ? true : undefined))
  expect(await hosts.services.agent.stop()).toBe(0)
  const {code, stderr} = await running
  expect({code, stderr}).toEqual({
    code: 2,
    stderr: expect.stringMatching(/FATAL: {2}.*(drain|shut|stop)/i) as unknown as string,
  })
})

interface Event {
  readonly event: string
  readonly code: string
  readonly sid?: string
  readonly db_query?: string
}

/** The psql that this test started; others may run on this machine. */
function findPsql(): number | undefined {
  return descendantsOf(process.pid).find((pid) => /(^|\/)psql$/.test(argumentsOf(pid)[0] ?? ''))
}
