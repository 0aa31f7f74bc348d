import {afterAll, beforeAll, expect, it} from '@jest/globals'
import {randomUUID} from 'node:crypto'
import {copyFile, readdir, readFile, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {cli, runCli, startService} from '../helpers/cli.js'
import {waitFor} from '../helpers/psql.js'
import {addPerson, guideRole, startThreeHosts, type ThreeHosts} from '../helpers/three-hosts.js'

/** The guides' last step: what happened in a session, from its recording. */
let hosts: ThreeHosts
let alice: NodeJS.ProcessEnv
let bob: NodeJS.ProcessEnv

beforeAll(async () => {
  hosts = await startThreeHosts()
  await cli(['create', ...hosts.admin], {input: guideRole})
  alice = await addPerson(hosts, 'alice')
  bob = await addPerson(hosts, 'bob', {roles: 'access,db'})
  await hosts.postgres.execute('GRANT ALL ON SCHEMA public TO alice')
})

afterAll(() => hosts.stop())

const account = ['--db-user=alice', '--db-name', 'postgres', 'aurora', '--']
const connect = ['db', 'connect', ...account]

/** Runs psql, or another program, in a session of its own; the id, when its recording is there. */
async function session(words: readonly string[], input = '', command = ['db', 'connect']): Promise<string> {
  const before = new Set(await endedSessions())
  // psql ends so when it is not let in: the agent hears of alice a moment after the control plane does.
  const notConnected = 2
  while ((await runCli([...command, ...account, ...words], {environment: alice, input})).code === notConnected);
  return (await newSessions(before, 1))[0] ?? ''
}

/** Sessions that have ended since, as soon as there are so many. */
async function newSessions(before: ReadonlySet<string>, count: number): Promise<string[]> {
  for (let attempt = 0; attempt < 3000; attempt += 1) {
    const since = (await endedSessions()).filter((sid) => !before.has(sid))
    if (since.length >= count) return since
    await sleep(50)
  }
  throw new Error('the sessions never ended')
}

const recordings = (): string => join(hosts.directory, 'auth', 'recordings')

/** Those in which something was asked: one that a client gave up, as an agent took too long to begin it, has nothing. */
async function endedSessions(): Promise<string[]> {
  const files = await readdir(recordings())
  const ended = files.map(async (file) => {
    const text = await readFile(join(recordings(), file), 'utf8')
    const isWhole = text.includes('"event":"db.session.query"') && text.includes('"event":"db.session.end"')
    return isWhole ? [file.replace('.ndjson', '')] : []
  })
  return (await Promise.all(ended)).flat()
}

/** Events of the audit log, as an administrator sees them. */
async function eventsOf(event: string): Promise<{sid: string; user: string; url?: string}[]> {
  const text = await cli(['audit', 'ls', `--event=${event}`, '--limit=1000', '--format=json', ...hosts.admin])
  return JSON.parse(text) as {sid: string; user: string; url?: string}[]
}

/** The name that the log gives to the recording of a session, once that is complete. */
async function uploadOf(sid: string): Promise<string> {
  for (let attempt = 0; attempt < 3000; attempt += 1) {
    const uploads = (await eventsOf('session.upload')).filter((event) => event.sid === sid)
    if (uploads.length > 0) return uploads.map(({url}) => String(url)).join(' ')
    await sleep(50)
  }
  throw new Error('the recording never became complete')
}

type Event = Record<string, unknown>

async function playJson(sid: string, environment = alice): Promise<Event[]> {
  return JSON.parse(await cli(['play', '--format=json', sid], {environment})) as Event[]
}

/** Lines of the text, with the times of the guide. */
async function playText(name: string, environment = alice): Promise<string[]> {
  const text = await cli(['play', name], {environment})
  const time = / at (Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ \d]\d \d\d:\d\d UTC\r\n/g
  return text.replace(time, ' at TIME\r\n').split('\r\n')
}

const guideSql = [
  ...['-c', 'SELECT * FROM products;'],
  ...['-c', "INSERT INTO products (name, price) VALUES ('Phone', 150.00);"],
]

const guideLines = [
  'Session started to database "aurora" at TIME',
  '',
  'postgres=> SELECT * FROM products;',
  'SUCCESS',
  '(10 rows affected)',
  '',
  "postgres=> INSERT INTO products (name, price) VALUES ('Phone', 150.00);",
  'ERROR: permission denied for table products (SQLSTATE 42501)',
  '',
  'Session ended at TIME',
  '',
]

let guideSession: string

it('play prints the session of the guides, line for line', async () => {
  guideSession = await session(guideSql)
  expect(await playText(guideSession)).toEqual(guideLines)
  expect(await playText(guideSession.toUpperCase())).toEqual(guideLines)
})

it('play --format=json prints every event, the query with the keys of the guides in their order', async () => {
  const text = await cli(['play', '--format', 'json', guideSession], {environment: alice})
  expect(text).toMatch(/^\[\n {4}\{\n {8}"addr.local": /)
  expect(text).toMatch(/\n {4}\}\n\]\n$/)
  const events = JSON.parse(text) as Event[]
  /** What the guide's sample does not have. */
  const outcome = {
    ...{statement: 1, command: 'SELECT', affected_records: 10, transaction: 1, transaction_outcome: 'commit'},
    ...{duration_ms: expect.any(Number), columns: expect.any(Array)},
    ...{bytes_from_client: expect.any(Number), bytes_from_server: expect.any(Number)},
  }
  expect(events.map(({ei, event, code}) => `${String(ei)} ${String(event)} ${String(code)}`)).toEqual([
    '0 db.session.start TDB00I',
    '1 db.session.query TDB02I',
    '2 db.session.query TDB02W',
    '3 db.session.end TDB01I',
  ])
  const query = events[1] ?? {}
  expect(Object.entries(query).filter(([key]) => !(key in outcome))).toEqual([
    ['cluster_name', 'postern.example.com'],
    ['code', 'TDB02I'],
    ['db_name', 'postgres'],
    ['db_origin', 'config-file'],
    ['db_protocol', 'postgres'],
    ['db_query', 'SELECT * FROM products;'],
    ['db_service', 'aurora'],
    ['db_type', 'self-hosted'],
    ['db_uri', `127.0.0.1:${hosts.postgres.port}`],
    ['db_user', 'alice'],
    ['ei', 1],
    ['event', 'db.session.query'],
    ['sid', guideSession],
    ['success', true],
    ['time', expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)],
    ['uid', expect.stringMatching(/^[0-9a-f-]{36}$/)],
    ['user', 'alice'],
  ])
  expect(query).toMatchObject(outcome)
  expect(events[2]).toMatchObject({
    success: false,
    error: 'ERROR: permission denied for table products (SQLSTATE 42501)',
    sqlstate: '42501',
    affected_records: 0,
  })
})

it('play shows several statements and lines as they were', async () => {
  const script = `select 1 \\; select 2;
create table made (a int);
select
    'two'
  , 'lines';
`
  const sid = await session(['-f', '-'], script)
  expect((await playText(sid)).slice(1, -3)).toEqual([
    ...['', 'postgres=> select 1 ; select 2;', 'SUCCESS', '(1 row affected)', 'SUCCESS', '(1 row affected)'],
    ...['', 'postgres=> create table made (a int);', 'SUCCESS', '(0 rows affected)'],
    ...['', 'postgres=> select', "           'two'", "           , 'lines';", 'SUCCESS', '(1 row affected)'],
  ])
})

it('play shows the extended protocol: parameters, names, and errors under what they answer', async () => {
  const program = `
    import pg from 'pg'
    const client = new pg.Client()
    await client.connect()
    await client.query('select $1::text, $2::int', ['a "b"', 7])
    await client.query({name: 'by-id', text: 'select $1::int', values: [null]})
    await client.query('select 1/$1::int', [0]).catch(() => undefined)
    await client.query('selec $1', [0]).catch(() => undefined)
    await client.query('select 1')
    await client.end()`
  const sid = await session(['node', '--input-type=module', '-e', program], '', ['proxy', 'db', '--exec'])
  expect((await playText(sid)).slice(1, -3)).toEqual([
    ...['', 'postgres=> select $1::text, $2::int ($1 = "a \\"b\\"", $2 = "7")', 'SUCCESS', '(1 row affected)'],
    ...['', 'postgres=> EXECUTE by-id ($1 = NULL)', 'SUCCESS', '(1 row affected)'],
    ...['', 'postgres=> select 1/$1::int ($1 = "0")', 'ERROR: division by zero (SQLSTATE 22012)'],
    ...['', 'postgres=> selec $1 ($1 = "0")', 'ERROR: syntax error at or near "selec" (SQLSTATE 42601)'],
    ...['', 'postgres=> select 1', 'SUCCESS', '(1 row affected)'],
  ])
})

it('SQL that is too long for an event is whole in the recording', async () => {
  const values = Array.from({length: 20_000}, (_, number) => `(${number}, 'ä')`).join(',\n')
  const sql = `select count(*) from (values ${values}) v;`
  const sid = await session(['-f', '-'], sql)
  const [, query] = await playJson(sid)
  expect(query?.db_query).toBe(sql)
  expect(query).not.toHaveProperty('db_query_truncated')
  const lines = await playText(sid)
  expect(lines).toContain("           (19998, 'ä'),")
  expect(lines.slice(-5)).toEqual(['SUCCESS', '(1 row affected)', '', 'Session ended at TIME', ''])
})

it('a client in another encoding is played as its user read it, also SQL that is too long for an event', async () => {
  const file = join(hosts.directory, 'latin1.sql')
  const values = Array.from({length: 8000}, (_, number) => `(${number}, 'für £')`).join(',\n')
  const sql = `select count(*) from (values ${values}) v;`
  const script = `\\encoding LATIN1\nselect 'Grüße' as "größe";\n${sql}\nselect "größe";\n\\encoding UTF8\n`
  await writeFile(file, Buffer.concat([Buffer.from(script, 'latin1'), Buffer.from("select 'Grüße';\n")]))
  const sid = await session(['-f', file])
  const queries = (await playJson(sid)).filter(({event}) => event === 'db.session.query')
  expect(queries.map(({db_query: text, db_query_encoding: encoding}) => [text, encoding])).toEqual([
    ["set client_encoding to 'LATIN1'", undefined],
    ...[
      ['select \'Grüße\' as "größe";', 'LATIN1'],
      [sql, 'LATIN1'],
      ['select "größe";', 'LATIN1'],
    ],
    ...[
      ["set client_encoding to 'UTF8'", undefined],
      ["select 'Grüße';", undefined],
    ],
  ])
  expect(queries[1]).toMatchObject({columns: [{name: 'größe', type: 'text'}]})
  const lines = await playText(sid)
  expect(lines).toContain("           (7998, 'für £'),")
  expect(lines).toContain('ERROR: column "größe" does not exist (SQLSTATE 42703)')
})

it('sessions side by side are not mixed', async () => {
  const before = new Set(await endedSessions())
  const run = (name: string): Promise<unknown> => {
    const script = Array.from({length: 20}, (_, number) => `select '${name} ${number}';`).join('\n')
    return runCli([...connect, '-f', '-'], {environment: alice, input: script})
  }
  await Promise.all([run('left'), run('right')])
  const sids = await newSessions(before, 2)
  const played = await Promise.all(sids.map((sid) => playText(sid)))
  const expected = (name: string): string[] =>
    Array.from({length: 20}, (_, number) => `postgres=> select '${name} ${number}';`)
  expect(played.map((lines) => lines.filter((line) => line.includes('=>'))).sort()).toEqual([
    expected('left'),
    expected('right'),
  ])
})

it('a recording is for its user and for those whose roles say so', async () => {
  const denied = await runCli(['play', guideSession], {environment: bob})
  expect(denied).toMatchObject({code: 4, stdout: ''})
  expect(denied.stderr).toContain('read session resources')
  const auditor = await addPerson(hosts, 'auditor', {roles: 'auditor'})
  expect(await playText(guideSession, auditor)).toEqual(guideLines)
  const readings = await eventsOf('session.recording.access')
  expect(readings.at(-1)).toMatchObject({sid: guideSession, user: 'auditor', session_type: 'db'})
  expect(readings.map(({user}) => user)).not.toContain('bob')
})

it('the log names the recording, for play and export on any host of the cluster', async () => {
  const url = await uploadOf(guideSession)
  expect(url).toBe(`postern://postern.example.com/recordings/${guideSession}`)
  expect(await playText(url)).toEqual(guideLines)
  const exported = await cli(['recordings', 'export', '--out=-', url], {environment: alice})
  expect(exported).toBe(await readFile(join(recordings(), `${guideSession}.ndjson`), 'utf8'))
  for (const words of [['play'], ['recordings', 'export'], ['audit', 'verify']]) {
    const elsewhere = await runCli([...words, url.replace('postern.example.com', 'other.example.com')], {
      environment: alice,
    })
    expect(elsewhere).toMatchObject({code: 3, stdout: ''})
    expect(elsewhere.stderr).toContain('in the cluster other.example.com')
  }
})

it('play says what is not there', async () => {
  const unknown = randomUUID()
  const none = await runCli(['play', unknown], {environment: alice})
  expect(none).toMatchObject({code: 5, stdout: ''})
  expect(none.stderr).toContain(`Recording for session ${unknown} not found.`)
  expect((await runCli(['play', 'yesterday'], {environment: alice})).code).toBe(2)
  expect((await runCli(['play', './no-such-file.ndjson'], {environment: alice})).code).toBe(5)
})

it('play takes a file too, and says when it is not whole', async () => {
  const stored = join(recordings(), `${guideSession}.ndjson`)
  const copy = join(hosts.directory, 'copy.ndjson')
  await copyFile(stored, copy)
  const nobody = hosts.person('nobody')
  expect(await playText(copy, nobody)).toEqual(guideLines)
  await writeFile(copy, 'something else\n')
  const none = await runCli(['play', '--format=json', copy], {environment: nobody})
  expect(none).toMatchObject({code: 1, stdout: ''})
  expect(none.stderr).toContain('not the recording of a session')
  const directory = await runCli(['play', hosts.directory], {environment: nobody})
  expect(directory).toMatchObject({code: 1, stdout: ''})
  expect(directory.stderr).toContain(`The recording ${hosts.directory} cannot be read: `)
})

it('the recording of a session whose agent was killed ends there, and says so', async () => {
  const before = new Set(await readdir(recordings()))
  const running = runCli([...connect, '-c', 'select 42', '-c', 'select pg_sleep(600)'], {environment: alice})
  let sid = ''
  while (sid === '') {
    for (const file of (await readdir(recordings())).filter((each) => !before.has(each))) {
      const text = await readFile(join(recordings(), file), 'utf8')
      if (text.includes('select 42')) sid = file.replace('.ndjson', '')
    }
    await sleep(50)
  }
  const asked = "select 1 from pg_stat_activity where query = 'select pg_sleep(600)' and state = 'active'"
  await waitFor(async () => ((await hosts.postgres.execute(asked)).length > 0 ? true : undefined))
  const live = await runCli(['play', sid], {environment: alice})
  expect(live).toMatchObject({code: 1, stdout: ''})
  expect(live.stderr).toContain('has not ended yet')
  await hosts.services.agent.stop('SIGKILL')
  await running
  const again = await startService(['-c', join(hosts.directory, 'agent.yaml'), '--drain=1s'])
  try {
    await waitFor(async () => (await endedSessions()).includes(sid) || undefined)
    expect(await playText(sid)).toEqual([
      'Session started to database "aurora" at TIME',
      ...['', 'postgres=> select 42', 'SUCCESS', '(1 row affected)'],
      ...['', 'postgres=> select pg_sleep(600)', '(no answer before the end of the session)'],
      ...['', 'Session ended at TIME', ''],
    ])
    expect(await uploadOf(sid)).toBe(`postern://postern.example.com/recordings/${sid}`)
  } finally {
    await again.stop()
  }
})
