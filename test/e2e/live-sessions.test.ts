import {randomUUID} from 'node:crypto'
import {readdir, readFile, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {afterAll, beforeAll, expect, it} from '@jest/globals'
import {cli, runCli, runShell} from '../helpers/cli.js'
import {addPerson, guideRole, startThreeHosts, type ThreeHosts} from '../helpers/three-hosts.js'

/** What administrators see and do while sessions live, and what they can prove afterwards. Proxy and agent have two workers each. */
let hosts: ThreeHosts
let alice: NodeJS.ProcessEnv
let bob: NodeJS.ProcessEnv
/** A session whose recording is complete. */
let earlier = ''

beforeAll(async () => {
  hosts = await startThreeHosts({workers: 2})
  await cli(['create', ...hosts.admin], {input: guideRole})
  alice = await addPerson(hosts, 'alice')
  bob = await addPerson(hosts, 'bob')
})

afterAll(() => hosts.stop())

interface Session {
  readonly sid: string
  readonly user: string
  readonly database: string
  readonly state: string
  readonly statement: string
  readonly started: string
  readonly statement_started?: string
}

const psql = ['db', 'connect', '--db-user=alice', '--db-name=postgres', 'aurora', '--', '-X']

async function live(words: readonly string[] = hosts.admin, environment = {}): Promise<Session[]> {
  return JSON.parse(await cli(['sessions', 'ls', '--format=json', ...words], {environment})) as Session[]
}

async function until<T>(look: () => Promise<T | undefined>, what: string): Promise<T> {
  for (let attempt = 0; attempt < 1500; attempt += 1) {
    const found = await look()
    if (found !== undefined) return found
    await sleep(100)
  }
  throw new Error(`waited in vain: ${what}`)
}

/** A session that sleeps, as the list has it. */
async function sleeping(
  mark: string,
  person = alice,
  connect = psql,
): Promise<{session: Session; over: ReturnType<typeof runCli>}> {
  const begin = (): {over: ReturnType<typeof runCli>; isOver: boolean} => {
    const attempt = {
      over: runCli([...connect, '-c', 'select 42', '-c', `select pg_sleep(600) -- ${mark}`], {environment: person}),
      isOver: false,
    }
    void attempt.over.then(() => (attempt.isOver = true))
    return attempt
  }
  let attempt = begin()
  const session = await until(async () => {
    // An agent hears of somebody new a moment after the control plane does.
    if (attempt.isOver) attempt = begin()
    return (await live()).find(({statement, state}) => state === 'active' && statement.includes(mark))
  }, 'the session is listed')
  return {session, over: attempt.over}
}

async function isRunning(mark: string): Promise<boolean> {
  const rows = await hosts.postgres.execute(
    `select 1 from pg_stat_activity where state = 'active' and query like '%${mark}%' and pid <> pg_backend_pid()`,
  )
  return rows.length > 0
}

/** Ends a session. Agents that are held up for seconds do not say in time that they have it. */
async function kill(...words: readonly string[]): Promise<string> {
  return until(async () => {
    const {code, stdout} = await runCli(['sessions', 'kill', ...words, ...hosts.admin])
    if (code !== 5) expect(code).toBe(0)
    return code === 0 ? stdout : undefined
  }, 'an agent says that it has the session')
}

/** The session in which this was asked, when all of it is recorded. */
async function recorded(statement: string): Promise<string> {
  const directory = join(hosts.directory, 'auth', 'recordings')
  return until(async () => {
    for (const name of await readdir(directory)) {
      const text = await readFile(join(directory, name), 'utf8')
      if (text.includes(statement) && text.includes('db.session.end')) return name.replace('.ndjson', '')
    }
    return undefined
  }, 'the recording is complete')
}

const recording = (sid: string): string => join(hosts.directory, 'auth', 'recordings', `${sid}.ndjson`)

it('sessions ls says who, which database, since when, and what it does; kill ends it with its query', async () => {
  const {session, over} = await sleeping('one')
  expect(session).toMatchObject({user: 'alice', database: 'aurora', state: 'active'})
  expect(Date.parse(session.started)).toBeGreaterThan(Date.now() - 600_000)
  const since = session.statement_started ?? ''
  expect(Date.parse(since)).toBeGreaterThanOrEqual(Date.parse(session.started))
  expect(Date.parse(since)).toBeLessThanOrEqual(Date.now())
  // An agent that is held up is not heard at once.
  const table = await until(async () => {
    const text = await cli(['sessions', 'ls', ...hosts.admin])
    return text.includes(session.sid) ? text : undefined
  }, 'it is in the table')
  expect(table).toMatch(/^ID .* Running Since +Statement$/m)
  expect(table).toContain(since.replace(/\.\d+Z$/, 'Z'))
  expect(table).toMatch(new RegExp(`^${session.sid} +alice +aurora +alice +postgres +\\S+Z +active`, 'm'))
  expect(await live([], bob)).toEqual([])
  expect(await isRunning('one')).toBe(true)

  const denied = await runCli(['sessions', 'kill', session.sid], {environment: bob})
  expect(denied.code).toBe(4)
  // One that is over keeps none of the others alive.
  const gone = randomUUID()
  const killed = await until(async () => {
    const {code, stdout, stderr} = await runCli([
      'sessions',
      'kill',
      '--reason=enough',
      gone,
      session.sid,
      ...hosts.admin,
    ])
    expect(code).toBe(5)
    expect(stderr).toContain(`There is no session ${gone} under way.`)
    return stdout === '' ? undefined : stdout
  }, 'an agent says that it has the session')
  expect(killed).toBe(`Session ${session.sid} has ended.\n`)
  const {code, stderr} = await over
  expect(code).not.toBe(0)
  expect(stderr).toContain('The session was ended by @admin: enough')
  await until(async () => ((await isRunning('one')) ? undefined : true), 'the query is cancelled')
  expect(await live()).toEqual([])
})

it('sessions watch shows a session as it goes on, and everything of it; play tells how', async () => {
  const {session, over} = await sleeping('two')
  await until(async () => {
    const {stderr} = await runCli(['play', session.sid], {environment: alice})
    return stderr.includes('--follow') || undefined
  }, 'its recording has begun, and play says how to follow it')
  const watching = runCli(['sessions', 'watch', session.sid], {environment: alice})
  const stranger = await runCli(['sessions', 'watch', session.sid], {environment: bob})
  expect(stranger).toMatchObject({code: 4, stdout: ''})
  // Who may end their own only is not told whether there is such a session.
  await until(async () => {
    const {code} = await runCli(['sessions', 'kill', session.sid], {environment: alice})
    return code === 0 || undefined
  }, 'alice ends her session')
  await over
  // The list ends with whoever reads it.
  const words = ['sessions', 'watch', ...hosts.admin].map((word) => `'${word}'`).join(' ')
  expect(await runShell(`set -o pipefail; postern ${words} | head -1`)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^ID +User /),
  })
  const {code, stdout} = await watching
  expect(code).toBe(0)
  expect(stdout).toContain('postgres=> select 42\r\nSUCCESS\r\n(1 row affected)\r\n')
  expect(stdout).toMatch(/Session ended at .+ UTC\r\n$/)
})

it('F07: audit verify finds nothing wrong until somebody changes a recording', async () => {
  expect(await cli(['audit', 'verify', ...hosts.admin])).toBe('Everything is as it was sealed.\n')
  await until(async () => {
    // A worker may not have heard of alice yet.
    const {code} = await runCli([...psql, '-c', 'select 1', '-c', 'select 2'], {environment: alice})
    return code === 0 || undefined
  }, 'alice gets in')
  const sid = await recorded('select 2')
  earlier = sid
  expect(await cli(['audit', 'verify', sid, ...hosts.admin])).toBe('Everything is as it was sealed.\n')
  const text = await readFile(recording(sid), 'utf8')
  await writeFile(recording(sid), text.replace('select 2', 'select 3'))
  const found = await runCli(['audit', 'verify', sid, ...hosts.admin])
  expect(found.code).toBe(1)
  expect(found.stdout).toMatch(new RegExp(`^session ${sid} \\(line \\d+, event \\d+\\): .*another event`))
  const alone = await runCli(['audit', 'verify', recording(sid), ...hosts.admin])
  expect(alone).toMatchObject({code: 1, stdout: expect.stringContaining('is not the one that was sealed')})
  await writeFile(recording(sid), text)
  const whole = await runCli(['audit', 'verify', ...hosts.admin])
  expect(whole.code).toBe(0)
  const head = /its head is (\d+:[0-9a-f]{64})/.exec(whole.stderr)?.[1] ?? ''
  expect((await runCli(['audit', 'verify', `--head=${head}`, ...hosts.admin])).code).toBe(0)
  const other = await runCli(['audit', 'verify', `--head=9${head}`, ...hosts.admin])
  expect(other).toMatchObject({code: 1, stdout: expect.stringContaining(`does not hold 9${head}`)})
})

it('audit ls filters and pages; audit export goes on where it was', async () => {
  await until(async () => {
    const {stderr} = await runCli([...psql, '-c', 'select nothing_there'], {environment: alice})
    return stderr.includes('column "nothing_there" does not exist') || undefined
  }, 'alice gets in')
  const ls = (...words: string[]) => runCli(['audit', 'ls', '--format=json', ...words, ...hosts.admin])
  const listed = JSON.parse(
    (await ls('--event=db.session.*', '--db=aurora', '--user=alice', '--limit=2')).stdout,
  ) as object[]
  expect(listed).toHaveLength(2)
  expect(JSON.parse((await ls('--db=other')).stdout)).toEqual([])
  const page = await ls('--event=user.create', '--limit=1')
  const older = /--before=(\d+)/.exec(page.stderr)?.[1] ?? ''
  const before = await ls('--event=user.create', `--before=${older}`)
  const namesIn = (text: string): string[] => (JSON.parse(text) as {name: string}[]).map(({name}) => name)
  expect([...namesIn(before.stdout), ...namesIn(page.stdout)]).toEqual(['alice', 'bob'])

  const file = join(hosts.directory, 'cursor')
  const words = ['audit', 'export', `--cursor-file=${file}`, '--event=user.create,role.created', ...hosts.admin]
  const first = (await cli(words)).trimEnd().split('\n')
  expect(first.map((line) => (JSON.parse(line) as {name: string}).name)).toEqual(['db', 'alice', 'bob'])
  expect(await cli(words)).toBe('')
  await addPerson(hosts, 'carol')
  expect(JSON.parse(await cli(words))).toMatchObject({event: 'user.create', name: 'carol'})

  await writeFile(file, '')
  expect((await runCli(words)).stderr).toContain(`The file ${file} holds no cursor.`)
  expect(await runCli(['audit', 'export', '--cursor=999999', ...hosts.admin])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('The audit log does not reach to the cursor 999999.'),
  })
  await writeFile(file, 'elsewhere')
  const mistakes = [
    words,
    ['audit', 'export', '--cursor=-1'],
    ['audit', 'ls', '--before=abc'],
    ['audit', 'verify', '--head=1:2'],
  ]
  for (const mistake of mistakes) {
    expect(await runCli([...mistake, ...hosts.admin])).toMatchObject({code: 2, stdout: ''})
  }
})

it('recordings ls lists what ended; export writes a file that is played and checked without a connection', async () => {
  const sid = await recorded('select nothing_there')
  const listed = JSON.parse(await cli(['recordings', 'ls', '--last=1h', '--format=json', ...hosts.admin])) as Session[]
  expect(listed.length).toBeGreaterThan(2)
  // The newest last; one that its client gave up may have ended since.
  const sids = listed.map((each) => each.sid)
  expect(sids.indexOf(earlier)).toBeGreaterThanOrEqual(0)
  expect(sids.indexOf(sid)).toBeGreaterThan(sids.indexOf(earlier))
  const page = await runCli(['recordings', 'ls', '--limit=1', '--format=json', ...hosts.admin])
  const newest = JSON.parse(page.stdout) as Session[]
  expect(newest).toHaveLength(1)
  const before = /--before=\d+/.exec(page.stderr)?.[0] ?? ''
  expect(await cli(['recordings', 'ls', before, ...hosts.admin])).toContain(earlier)
  expect(sids.slice(0, -1)).not.toContain(newest[0]?.sid)
  const table = await cli(['recordings', 'ls', ...hosts.admin])
  expect(table).toMatch(/^ID +Type +Participants +Target +Timestamp$/m)
  expect(table).toMatch(
    new RegExp(`^${sid} +postgres +alice +aurora +\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ$`, 'm'),
  )
  expect(await cli(['recordings', 'ls', '--to-utc=2001-01-01', '--format=json', ...hosts.admin])).toBe('[]\n')
  const [file, keys] = ['exported.ndjson', 'keys.pem'].map((name) => join(hosts.directory, name)) as [string, string]
  await cli(['recordings', 'export', `--out=${file}`, `--keys=${keys}`, sid], {environment: alice})
  expect(await cli(['recordings', 'export', '--out=-', sid], {environment: alice})).toBe(await readFile(file, 'utf8'))
  expect((await runCli(['recordings', 'export', `--out=${file}`, sid], {environment: alice})).code).toBe(6)
  const nobody = {environment: hosts.person('nobody')}
  expect(await cli(['audit', 'verify', `--key=${keys}`, file], nobody)).toBe('Everything is as it was sealed.\n')
  const text = await cli(['play', file], nobody)
  expect(text).toContain('postgres=> select nothing_there')
  expect(await cli(['play', '--speed=8x', '--skip-idle-time', file], nobody)).toBe(text)
  const ignored = await runCli(['play', '--speed=2x', '--format=json', file], nobody)
  expect(ignored.stderr).toContain('--speed and --skip-idle-time are ignored')
})

it('with session_recording_config off sessions are audited and not recorded; play says so, and rm brings the default back', async () => {
  const {admin} = hosts
  const config =
    'kind: session_recording_config\nversion: v2\nmetadata: {name: session-recording-config}\nspec: {mode: off}\n'
  expect(await cli(['create', ...admin], {input: config})).toBe('session recording config has been created\n')
  expect(await cli(['get', 'session_recording_config', '--format=text', ...admin])).toMatch(/mode +off +dynamic/)
  const unrecorded = await until(async () => {
    // An agent hears of it within moments.
    await runCli([...psql, '-c', "select 'nobody records this'"], {environment: alice})
    const ends = JSON.parse(
      await cli(['audit', 'ls', '--event=db.session.end', '--limit=5', '--format=json', ...admin]),
    ) as {sid: string; session_recording?: string; bytes_from_client: number}[]
    // One that nobody spoke in may have ended later.
    return ends.find((end) => end.session_recording === 'off' && end.bytes_from_client > 0)
  }, 'a session is not recorded')
  const {sid} = unrecorded
  expect(await cli(['audit', 'ls', `--session=${sid}`, '--format=json', ...admin])).toContain('nobody records this')
  const played = await runCli(['play', sid, ...admin])
  expect(played).toMatchObject({code: 5, stdout: ''})
  expect(played.stderr).toContain(`Session ${sid} was not recorded: session recording was off when it began.`)
  expect(await cli(['recordings', 'ls', ...admin])).not.toContain(sid)
  expect((await runCli(['audit', 'verify', sid, ...admin])).code).toBe(0)
  expect(await cli(['rm', 'session_recording_config', ...admin])).toBe(
    'session recording config has been reset to its defaults\n',
  )
  expect(await cli(['get', 'src', ...admin])).toContain('mode: node')
  const changes = await cli(['audit', 'ls', '--event=session_recording_config.update', '--format=json', ...admin])
  expect((JSON.parse(changes) as {settings: unknown}[]).map(({settings}) => settings)).toEqual([
    {mode: 'off'},
    {mode: 'node'},
  ])
})

it('max_connections counts the sessions of a user in all workers', async () => {
  const role = `kind: role
version: v7
metadata: {name: one-at-a-time}
spec:
  options: {max_connections: 1}
  allow: {db_labels: {'*': '*'}, db_users: [alice], db_names: [postgres]}
`
  await cli(['create', ...hosts.admin], {input: role})
  const dora = await addPerson(hosts, 'dora', {roles: 'one-at-a-time'})
  // A local proxy would come twice where an agent takes more than a second, and find the place taken that it had itself.
  const direct = ['db', 'connect', '--no-tunnel', ...psql.slice(2)]
  const {session, over} = await sleeping('alone', dora, direct)
  // More than there are workers: some of them have no session of hers. One that is held up is not counted for a moment.
  await until(async () => {
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const {code, stderr} = await runCli([...direct, '-c', 'select 1'], {environment: dora})
      if (code === 0) return undefined
      // A worker that has not heard of her refuses her in other words.
      if (!stderr.includes('Your roles allow 1 session at a time, and you have as many.')) return undefined
    }
    return true
  }, 'she is refused as often as she comes')
  await kill(session.sid)
  await over
  await until(
    async () => (await runCli([...direct, '-c', 'select 1'], {environment: dora})).code === 0 || undefined,
    'she comes again',
  )
})

it('each worker keeps its own watch stream', () => {
  // One at a time they would end each other's several times a second. A busy machine may cost one now and then.
  const ended = hosts.services.agent.log().split('The watch stream of the control plane ended').length - 1
  expect(ended).toBeLessThan(20)
})
