/**
 * One PostgreSQL under several names, two agents, one of which cannot get to one of the databases: statements on many
 * databases, sessions on every agent that end with the right to them, and a control plane that falls silent.
 */
import {spawn} from 'node:child_process'
import {createHash} from 'node:crypto'
import {once} from 'node:events'
import {mkdtemp, readdir, readFile, rm, stat} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import pg from 'pg'
import {parse, stringify} from 'yaml'
import {ApiClient} from '../../src/lib/api/client.js'
import {readRecording} from '../../src/lib/audit/recording.js'
import {openDatabaseSession} from '../../src/lib/cli/database-session.js'
import {startTunnel} from '../../src/lib/cli/tunnel.js'
import {identityLogin} from '../../src/lib/cli/user-login.js'
import {readIdentityFile} from '../../src/lib/config/identity-file.js'
import {systemClock} from '../../src/lib/core/clock.js'
import {generateKeys} from '../../src/lib/pki/keys.js'
import type {TargetHealth} from '../../src/lib/resources/database-server.js'
import {parseAddress} from '../../src/lib/resources/endpoint.js'
import type {Role} from '../../src/lib/resources/role.js'
import {authServerName} from '../../src/lib/resources/route.js'
import {cleanEnvironment, cli, runCli, type Finished, type Service} from '../helpers/cli.js'
import {patience} from '../helpers/patience.js'
import {waitFor} from '../helpers/psql.js'
import {report, scaled} from '../helpers/scale.js'
import {addPerson, guideRole, startThreeHosts, type ThreeHosts} from '../helpers/three-hosts.js'
import {expectDocumented, psqlText} from '../helpers/troubleshooting.js'

let hosts: ThreeHosts
let alice: NodeJS.ProcessEnv
let directory: string
let second: Service
let admin: ApiClient
const ends: (() => Promise<unknown>)[] = []

interface AgentFile {
  postern: {data_dir: string}
  db_service: {
    databases: {name: string; uri: string; static_labels?: Record<string, string>}[]
    cache_ttl?: string
    connect_addrs?: Record<string, string>
  }
}

/**
 * Both agents serve aurora, which the second cannot reach. The first serves orders besides, and one that nobody is at; the
 * second billing. A third one serves distant.
 */
function configured(text: string): string {
  const file = parse(text) as AgentFile
  const {db_service: service} = file
  const [aurora] = service.databases
  if (!aurora) throw new Error('the agent has no database')
  // However busy the machine is, they let people in.
  service.cache_ttl = '5m'
  if (file.postern.data_dir.endsWith('third')) {
    // A test waits for it.
    service.cache_ttl = '5s'
    service.databases = [{...aurora, name: 'distant', static_labels: {env: 'distant'}}]
  } else if (file.postern.data_dir.endsWith('second')) {
    service.connect_addrs = {[aurora.uri]: '127.0.0.1:1'}
    const uri = aurora.uri.replace('127.0.0.1', 'localhost')
    service.databases.push({...aurora, name: 'billing', uri, static_labels: {env: 'second'}})
  } else {
    service.databases.push(
      {...aurora, name: 'orders', static_labels: {env: 'dev', team: 'shop'}},
      {...aurora, name: 'nowhere', uri: '127.0.0.1:1', static_labels: {env: 'none'}},
    )
  }
  return stringify(file)
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-operations-'))
  hosts = await startThreeHosts({agentConfiguration: configured, maxConnections: 400})
  await cli(['create', ...hosts.admin], {input: guideRole})
  alice = await addPerson(hosts, 'alice')
  second = await hosts.startAgent('second')
  const identity = await readIdentityFile(join(hosts.directory, 'auth', 'admin-identity.pem'))
  admin = new ApiClient(
    {
      ...parseAddress(hosts.proxy),
      serverName: authServerName(identity.cluster),
      authorities: identity.hostAuthorities,
      credentials: () => identity.credentials,
    },
    patience,
  )
  await waitFor(async () => ((await admin.listResources('db_server')).items.length === 5 ? true : undefined))
  // The agents hear of alice a moment after the control plane does.
  const words = ['db', 'exec', 'select 1', '--dbs=orders,billing', ...account, '--no-confirm']
  await waitFor(async () => (await runCli(words, {environment: alice})).code === 0 || undefined)
}, 180_000)

afterAll(async () => {
  for (const end of ends.splice(0)) await end()
  await admin.close()
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
    expect(stderr).toMatch(/Summary: 3 of 4 succeeded\.\nSummary is saved at ".*\/summary\.json"\.\n$/)
    expect((await readdir(target)).sort()).toEqual([
      'aurora.output',
      'billing.output',
      'nowhere.output',
      'orders.output',
      'summary.json',
    ])
    expect(await readFile(join(target, 'orders.output'), 'utf8')).toBe('n\n-\n1\n(1 row)\n')
    for (const file of await readdir(target)) expect((await stat(join(target, file))).mode & 0o777).toBe(0o600)
    expect((await stat(target)).mode & 0o777).toBe(0o700)
    expect(JSON.parse(await readFile(join(target, 'summary.json'), 'utf8'))).toMatchObject({
      databases: [
        {database: {service_name: 'aurora'}, output_file: `${target}/aurora.output`, success: true, exit_code: 0},
        {database: {service_name: 'billing'}, success: true},
        {database: {service_name: 'nowhere'}, success: false, error: expect.stringMatching(/./), exit_code: 1},
        {database: {service_name: 'orders'}, success: true},
      ],
      success: 3,
      failure: 1,
      total: 4,
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
      'select pg_sleep(600) as interrupted',
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
    const audited = await waitFor(async () => {
      const listed = await cli(['audit', 'ls', '--format=json', '--limit=1000', ...hosts.admin])
      return (JSON.parse(listed) as Record<string, unknown>[]).find(({db_query}) => db_query === 'select 4711')
    })
    expect(audited).toMatchObject({user: 'alice', db_user: 'alice'})
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

/** A session that says how it ended, once it has. */
interface Live {
  readonly client: pg.Client
  lost?: Error & {readonly code?: string}
}

/** Somebody with a role of their own, who reaches databases through local ports of this process. */
interface Member {
  readonly name: string
  /** A new certificate, and through it a port. */
  tunnel(database: string): Promise<number>
}

const anything: Role['spec'] = {
  allow: {db_labels: {'*': ['*']}, db_users: ['alice'], db_names: ['*']},
}
const roleOf = (name: string, spec: Role['spec'] = anything): Role => ({
  kind: 'role',
  version: 'v7',
  metadata: {name: `of-${name}`},
  spec,
})

async function addMember(name: string): Promise<Member> {
  await admin.createResource(roleOf(name))
  await admin.createResource({kind: 'user', version: 'v2', metadata: {name}, spec: {roles: [`of-${name}`], traits: {}}})
  const {publicKey, privateKey} = await generateKeys()
  const signed = await admin.userCertificate({publicKey, user: name})
  const {cluster, hostAuthorities, certificate} = signed
  const identity = {cluster, user: name, hostAuthorities, credentials: {certificate, privateKey}}
  return {
    name,
    tunnel: async (database) => {
      const login = identityLogin(identity, parseAddress(hosts.proxy), systemClock)
      const session = await openDatabaseSession({
        login,
        selector: {name: database},
        dbUser: 'alice',
        dbName: 'postgres',
      })
      const {proxy} = await startTunnel(session, 0)
      ends.push(() => proxy.close())
      return proxy.port
    },
  }
}

async function connect(port: number): Promise<Live> {
  const live: Live = {client: new pg.Client({host: '127.0.0.1', port, user: 'alice', database: 'postgres'})}
  live.client.on('error', (error) => {
    live.lost ??= error
  })
  ends.push(() => live.client.end().catch(() => undefined))
  await live.client.connect()
  await live.client.query('select 1')
  return live
}

/** An agent hears of somebody new a moment after the control plane does. */
const connectAtLast = (port: number): Promise<Live> => waitFor(() => connect(port).catch(() => undefined), 200)

const sessionsOf = (agent: Service): number => agent.log().split('A session began.').length - 1

describe('sessions on every agent', () => {
  const perPort = scaled(2, 33)
  const members = new Map<string, {ports: number[]; sessions: Live[]}>()

  async function open(name: string): Promise<void> {
    const member = await addMember(name)
    const ports = [await member.tunnel('orders'), await member.tunnel('billing')]
    const sessions: Live[] = []
    for (const port of ports) {
      for (let count = 0; count < perPort; count += 1) sessions.push(await connectAtLast(port))
    }
    members.set(name, {ports, sessions})
  }
  const of = (name: string): {ports: number[]; sessions: Live[]} => {
    const member = members.get(name)
    if (!member) throw new Error(`${name} has no sessions`)
    return member
  }

  it(
    'D06: end when their user is locked or removed or their role no longer allows them, and no new ones begin',
    async () => {
      for (const name of ['locked', 'removed', 'demoted', 'untouched']) await open(name)
      for (const agent of [hosts.services.agent, second])
        await waitFor(() => (sessionsOf(agent) >= 4 * perPort ? true : undefined))
      const denying: Role['spec'] = {...anything, deny: {db_labels: {'*': ['*']}}}
      const causes: [string, RegExp, () => Promise<unknown>][] = [
        [
          'locked',
          /Access is locked: until Monday/,
          () =>
            admin.createResource({
              kind: 'lock',
              version: 'v2',
              metadata: {name: 'd06'},
              spec: {target: {user: 'locked'}, message: 'until Monday'},
            }),
        ],
        ['removed', /The user "removed" no longer exists/, () => admin.deleteResource('user', 'removed')],
        ['demoted', /den|allow/i, () => admin.putResource(roleOf('demoted', denying))],
      ]
      for (const [name, sentence, forbid] of causes) {
        const {ports, sessions} = of(name)
        const began = performance.now()
        await forbid()
        await waitFor(() => (sessions.every(({lost}) => lost !== undefined) ? true : undefined))
        report(
          `D06: ${sessions.length} sessions of ${name} ended ${Math.round(performance.now() - began)} ms after the change began`,
        )
        for (const {lost} of sessions)
          expect({code: lost?.code, message: lost?.message}).toEqual({
            code: '57P01',
            message: expect.stringMatching(sentence),
          })
        for (const port of ports) await expect(connect(port)).rejects.toThrow(/./)
      }
      for (const {client, lost} of of('untouched').sessions) {
        expect(lost).toBeUndefined()
        expect((await client.query('select 2 as n')).rows).toEqual([{n: 2}])
      }
      await admin.deleteResource('lock', 'd06')
      await waitFor(async () => {
        const live = await connect(of('locked').ports[0] ?? 0).catch(() => undefined)
        return live && true
      })
    },
    scaled(180_000, 300_000),
  )
})

it(
  'F02: an agent without a way to a database is marked unhealthy with the reason, and never chosen while another is healthy',
  async () => {
    const member = await addMember('chooser')
    const health = async (): Promise<TargetHealth[]> =>
      (await admin.getResource('db_server', 'aurora')).items.map(({status}) => status.target_health)
    await waitFor(async () => {
      const found = (await health()).map(({status}) => status)
      return (found.includes('healthy') && found.includes('unhealthy')) || undefined
    })
    const states = (await health()).sort((a, b) => (a.status < b.status ? -1 : 1))
    expect(states).toMatchObject([
      {status: 'healthy'},
      {
        status: 'unhealthy',
        transition_error: expect.stringMatching(/ECONNREFUSED|refused/),
        message: '1 health check failed',
      },
    ])
    const sessions = scaled(10, 50)
    // The healthy one knows her.
    await connectAtLast(await member.tunnel('orders'))
    for (let count = 0; count < sessions; count += 1) await connect(await member.tunnel('aurora'))
    // A client that was sent to the other agent first would have come here as well, but not unnoticed.
    const starts = await waitFor(async () => {
      const {events} = await admin.events({event: 'db.session.start', user: 'chooser', db: 'aurora', limit: 1000})
      return events.filter(({code}) => code === 'TDB00I').length >= sessions ? events : undefined
    })
    // None, unless the healthy one was held up for seconds.
    expect(starts.filter(({code}) => code !== 'TDB00I').length).toBeLessThan(sessions / 2)
  },
  scaled(180_000, 300_000),
)

/** Waits until the recording of a session is complete. */
async function untilRecorded(sid: string): Promise<void> {
  await waitFor(async () => (await admin.events({event: 'session.upload', sid})).events.length > 0 || undefined)
}

/** No file of the agent may grow beyond so many bytes: its writes fail as they do on a full disk. */
async function limitFiles(agent: Service, bytes: number | 'unlimited'): Promise<void> {
  const child = spawn('prlimit', ['--pid', String(agent.pid), `--fsize=${bytes}:unlimited`])
  const [code] = (await once(child, 'exit')) as [number]
  if (code !== 0) throw new Error('prlimit failed')
}

it('F06: on a full disk nothing goes on unaudited; with room again nothing is missing, and nothing was started anew', async () => {
  const member = await addMember('thrifty')
  const port = await member.tunnel('orders')
  const {agent} = hosts.services
  const [talking, quiet] = [await connectAtLast(port), await connect(port)]
  // What came of their first statements is written already.
  await waitFor(async () => {
    const {events} = await admin.events({event: 'db.session.query', user: member.name})
    return events.length >= 2 ? true : undefined
  })
  await limitFiles(agent, 1)
  let refused: unknown
  try {
    const ended = await talking.client.query("select 'unaudited'").catch((error: unknown) => error)
    expect(ended).toMatchObject({code: '58030'})
    await expectDocumented('audit-ends', psqlText(ended as pg.DatabaseError))
    refused = await connect(port).catch((error: unknown) => error)
  } finally {
    await limitFiles(agent, 'unlimited')
  }
  expect(refused).toMatchObject({code: '58030'})
  await expectDocumented('audit-refused', psqlText(refused as pg.DatabaseError))
  // It had nothing to write.
  expect((await quiet.client.query('select 3 as n')).rows).toEqual([{n: 3}])
  const afterwards = await connect(port)
  await afterwards.client.end()
  const end = await waitFor(async () => {
    const {events} = await admin.events({event: 'db.session.end', user: member.name, limit: 100})
    return events.find(({reason}) => String(reason).startsWith('The audit spool cannot be written: '))
  })
  const {events} = await admin.events({event: 'db.session.query', sid: String(end.sid)})
  expect(events.map(({db_query, code}) => [db_query, code])).toEqual([
    ['select 1', 'TDB02I'],
    ["select 'unaudited'", 'TDB02W'],
  ])
  await untilRecorded(String(end.sid))
  expect((await runCli(['audit', 'verify', String(end.sid), ...hosts.admin])).code).toBe(0)
  expect((await admin.events({event: 'audit.missing_sessions'})).events).toEqual([])
  await waitFor(() => agent.log().includes('The audit spool can be written again') || undefined)
}, 180_000)

it(
  'F06: a query of many megabytes is recorded whole, and takes the agent little memory',
  async () => {
    const bytes = scaled(8, 100) * 1024 * 1024
    const member = await addMember('verbose')
    const {client} = await connectAtLast(await member.tunnel('orders'))
    const peak = async (): Promise<number> => {
      const status = await readFile(`/proc/${hosts.services.agent.pid}/status`, 'utf8')
      return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024
    }
    const before = await peak()
    const sql = `select length('${'x'.repeat(bytes)}') as n`
    expect((await client.query(sql)).rows).toEqual([{n: bytes}])
    const grown = (await peak()) - before
    expect((await client.query('select 2 as n')).rows).toEqual([{n: 2}])
    await client.end()
    const asked = await waitFor(async () => {
      const {events} = await admin.events({event: 'db.session.query', user: member.name})
      return events.find(({db_query: text}) => text === 'select 2 as n')
    })
    const sid = String(asked.sid)
    await untilRecorded(sid)
    const {events} = await admin.events({event: 'db.session.query', sid})
    const digest = createHash('sha256').update(sql).digest('hex')
    expect(events[1]).toMatchObject({code: 'TDB02I', db_query_truncated: true, db_query_sha256: digest})
    expect(Buffer.byteLength(JSON.stringify(events[1]))).toBeLessThan(256 * 1024)
    expect(events[2]).toMatchObject({code: 'TDB02I', db_query: 'select 2 as n'})
    const recording = await admin.recording(sid, new AbortController().signal)
    const flaws: string[] = []
    const recorded: unknown[] = []
    const reading = {decodeSql: (piece: Buffer) => piece.toString(), onFlaw: (flaw: string) => flaws.push(flaw)}
    for await (const {event, db_query: text} of readRecording(recording, reading)) {
      if (event === 'db.session.query') recorded.push(text === sql ? 'all of it' : text)
    }
    expect({recorded, flaws}).toEqual({recorded: ['select 1', 'all of it', 'select 2 as n'], flaws: []})
    expect((await runCli(['audit', 'verify', sid, ...hosts.admin])).code).toBe(0)
    report(
      `F06: a query of ${bytes / 1024 / 1024} MiB; the agent’s peak grew by ${Math.round(grown / 1024 / 1024)} MiB`,
    )
    // In full size this is less than the query.
    expect(grown).toBeLessThan(96 * 1024 * 1024)
  },
  scaled(180_000, 600_000),
)

it('F04: while the control plane is silent sessions go on and new ones are refused; then all is as before, without a restart', async () => {
  const member = await addMember('patient')
  const {auth} = hosts.services
  const agent = await hosts.startAgent('third')
  // Its databases are known when it has told of them.
  const port = await waitFor(() => member.tunnel('distant').catch(() => undefined), 200)
  const {client} = await connectAtLast(port)
  const inTouch = async (): Promise<true | undefined> => (await connect(port).catch(() => undefined)) && true
  await waitFor(inTouch, 500)
  process.kill(auth.pid, 'SIGSTOP')
  let refusal = ''
  try {
    await waitFor(async () => {
      const live = await connect(port).catch((error: unknown) => {
        refusal = String(error)
      })
      return (live === undefined && refusal.includes('control plane')) || undefined
    }, 500)
    expect((await client.query("select 'while it is silent' as said")).rows).toEqual([{said: 'while it is silent'}])
  } finally {
    process.kill(auth.pid, 'SIGCONT')
  }
  await waitFor(inTouch, 500)
  expect((await client.query('select 3 as n')).rows).toEqual([{n: 3}])
  // What was done meanwhile is in the audit log, and nothing was started anew.
  await waitFor(async () => {
    const {events} = await admin.events({event: 'db.session.query', limit: 1000})
    return events.some(({db_query: sql}) => sql === "select 'while it is silent' as said") || undefined
  })
  expect(agent.log().split('Postern is ready').length).toBe(2)
}, 300_000)
