/**
 * Random pipelines of a client, over a real agent to a real PostgreSQL, whose own log and tables are the witnesses of what it
 * did: the audit must say the same of each statement.
 */
import {afterAll, beforeAll, expect, it} from '@jest/globals'
import {setTimeout as sleep} from 'node:timers/promises'
import type {PostgresServer} from '../../../src/lib/cluster/postgres.js'
import {terminate} from '../../../src/lib/pgwire/client-messages.js'
import type {Credentials} from '../../../src/lib/pki/credentials.js'
import {startTestPostgres} from '../../helpers/postgres.js'
import {scaled} from '../../helpers/scale.js'
import {Plane} from './plane.js'
import {openSession, serverCertificate, sessionEvents, startRig, until, type Rig} from './rig.js'
import {ask} from './wire.js'

type Event = Readonly<Record<string, unknown>>

let plane: Plane
let postgres: PostgresServer
let rig: Rig
let guest: Credentials

beforeAll(async () => {
  plane = await Plane.create()
  postgres = await startTestPostgres({
    tls: {...(await serverCertificate(plane)), clientAuthorities: plane.dbClient.certificate},
    settings: {
      ...{logging_collector: 'on', log_destination: 'jsonlog', log_filename: 'all.log', log_file_mode: '0600'},
      ...{log_statement: 'all', log_parameter_max_length: -1, log_min_messages: 'error'},
      // PostgreSQL 18.4 crashes of seed 50624, for one: it may not forget what it has told as committed.
      synchronous_commit: 'on',
    },
  })
  await postgres.execute(`
    create role alice login;
    create table t (id int primary key);
    create table late (id int unique deferrable initially deferred);
    insert into late values (0);
    create procedure half(int) language plpgsql as
      $$ begin insert into t values ($1); commit; insert into t values (-$1); perform 1 / 0; end $$;
    create procedure kept(int) language plpgsql as $$ begin insert into t values ($1); commit; end $$;
    grant all on t, late to alice`)
  rig = await startRig({plane, uri: `127.0.0.1:${postgres.port}`})
  guest = await rig.guest()
})

afterAll(async () => {
  await rig.stop()
  await postgres.stop()
})

/** Numbers from 0 to 1, always the same for a seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** What a client sends, in parts between which it may wait. Whatever inserts into t has a comment with what it inserts. */
function makeUp(seed: number, random: () => number): Buffer[] {
  const pick = <T>(...choices: readonly T[]): T => choices[Math.floor(random() * choices.length)] as T
  let lastId = seed * 1000
  const id = (): number => (lastId += 1)
  const marked = (sql: (id: number) => string): string => {
    const own = id()
    return `${sql(own)} /*#${own}*/`
  }
  const insert = (own: number): string => `insert into t values (${own})`
  const simpleKinds: readonly ((own: number) => string)[] = [
    ...[insert, insert, () => 'begin', () => 'commit', () => 'rollback', () => 'savepoint s', () => 'rollback to s'],
    ...[() => 'select 1/0', () => 'selec', () => 'select 1 from generate_series(1, 3)', () => ';'],
    ...[() => 'insert into late values (0)', () => 'commit and chain', (own: number) => `call half(${own})`],
    ...[(own: number) => `call kept(${own})`, (own: number) => `call kept(${own}); select 1/0`],
    ...[(own: number) => `commit; ${insert(own)}`, (own: number) => `${insert(own)};\ncommit; begin`],
    ...[(own: number) => `begin; ${insert(own)}; commit`, (own: number) => `${insert(own)}; select 1/0`],
    ...[() => 'deallocate a', () => 'deallocate all', () => 'discard all', () => 'close all', () => 'close a'],
    ...[(own: number) => `prepare a as ${insert(own)}`, () => 'prepare a as select 1', () => 'deallocate b'],
    ...[() => 'declare a cursor for select 1 from generate_series(1, 5)', () => 'fetch 2 from a'],
  ]
  const preparedKinds: readonly ((own: number) => string)[] = [
    ...[insert, insert, () => 'select 1 from generate_series(1, 5)', () => 'select 1/0', () => 'selec'],
    ...[() => 'insert into late values (0)', () => 'begin', () => 'commit', () => 'rollback', () => 'deallocate a'],
    ...[(own: number) => `call half(${own})`, (own: number) => `call kept(${own})`],
  ]
  const simple = (): Buffer => ask.query(marked(pick(...simpleKinds)))
  const prepared = (): string => marked(pick(...preparedKinds))
  const copy = (): string => marked(() => 'copy late from stdin')
  const data = (): Buffer[] => {
    const row = ask.copyData(pick('7\n', 'x\n'))
    return pick([row, ask.copyDone], [ask.copyDone], [row, ask.copyFail], [row, ask.sync, ask.copyDone])
  }
  const piece = (): Buffer[] => {
    const [name, portal, rows] = [pick('', '', 'a', 'b'), pick('', '', 'a', 'b'), pick(0, 0, 1)]
    const all = (): Buffer[] => [ask.parse(name, prepared()), ask.bind(portal, name), ask.execute(portal, rows)]
    return pick(
      ...[() => [simple()], () => [simple()], () => [simple()], () => [...all(), ask.sync], () => [...all(), ask.sync]],
      ...[
        () => all(),
        () => [ask.parse(name, prepared()), ask.sync],
        () => [ask.bind(portal, name), ask.execute(portal)],
        // Without a Sync between: the query ends what the Executes began.
        () => [...all(), simple(), ...all(), simple()],
      ],
      ...[() => [ask.execute(portal, rows), ask.sync], () => [ask.close('P', portal)], () => [ask.close('S', name)]],
      ...[() => [ask.describe('P', portal)], () => [ask.describe('S', name)], () => [ask.sync], () => [ask.flush]],
      ...[() => [ask.call(1598, [])], () => [ask.call(1597, [])], () => [ask.query(copy()), ...data()]],
      () => [ask.parse('', copy()), ask.bind('', ''), ask.execute(''), ...data(), ask.sync],
    )()
  }
  const part = (): Buffer => Buffer.concat(Array.from({length: 1 + Math.floor(random() * 4)}, piece).flat())
  return [...Array.from({length: 2 + Math.floor(random() * 10)}, part), ask.sync]
}

/** Runs one session to its end. @returns its audit */
async function run(name: string, seed: number): Promise<Event[]> {
  const random = randomFrom(seed)
  const begin = (): ReturnType<typeof openSession> => openSession(rig, guest, {application_name: name})
  let {socket, opening} = await begin()
  // It refuses everybody until it has recovered from a crash.
  for (; opening.at(-1)?.type !== 'Z'; {socket, opening} = await begin()) await sleep(50)
  for (const part of makeUp(seed, random)) {
    const step = random() < 0.3 ? 7 : part.length
    for (let offset = 0; offset < part.length; offset += step) socket.write(part.subarray(offset, offset + step))
    // Where it waits the server has answered, more or less: any order of the two is right.
    if (random() < 0.6) await sleep(5)
  }
  socket.write(terminate)
  const events = await sessionEvents(plane, name)
  expect(events.map(({ei}) => ei)).toEqual([...events.keys()])
  return events
}

const markOf = (text: unknown): string | undefined => /\/\*#(\d+)\*\//.exec(String(text))?.[1]

/** What the server has logged of these sessions. */
async function logOf(name: RegExp): Promise<Event[]> {
  await until(async () => {
    const open = await postgres.execute("select from pg_stat_activity where usename = 'alice'")
    return open.length === 0
  }, 'the server has ended all sessions')
  const end = 'here the log ends'
  await postgres.execute(`select '${end}'`)
  let text = ''
  await until(async () => {
    text = String((await postgres.execute("select pg_read_file('log/all.json') as text"))[0]?.text)
    return text.includes(end)
  }, 'the log is written')
  const lines = text.split('\n').filter((line) => line.startsWith('{') && line.endsWith('}'))
  return lines.map((line) => JSON.parse(line) as Event).filter((line) => name.test(String(line.application_name)))
}

const didRun = ({execution}: Event): boolean => execution !== 'skipped' && execution !== 'none'

/** What the audit of a session says otherwise than the server does. */
function differences(events: readonly Event[], log: readonly Event[], inTable: ReadonlySet<string>): string[] {
  const found: string[] = []
  const records = events.filter(({event}) => event === 'db.session.query' || event === 'db.session.postgres.function')
  const ran = new Set<string>()
  for (const {message, error_severity: severity, state_code: state, statement} of log) {
    const mark = markOf(message)
    if (mark !== undefined && /^(?:statement|execute \S+): /.test(String(message))) ran.add(mark)
    const failed = severity === 'ERROR' ? markOf(statement) : undefined
    const own = records.filter(({db_query: sql}) => markOf(sql) === failed)
    const isTold = own.some(({sqlstate, execution}) => sqlstate === state || execution === 'unanswered')
    if (failed !== undefined && !isTold) found.push(`${String(state)} of #${failed} is not in the audit`)
  }
  const ends = events
    .flatMap((event) => (event.transactions as Event[] | undefined) ?? [event])
    .filter(({transaction_outcome: fate}) => fate !== undefined)
  const fates = new Map(ends.map(({transaction, transaction_outcome: fate}) => [transaction, fate]))
  for (const mark of ran) {
    const own = records.filter(({db_query: sql}) => markOf(sql) === mark)
    if (!own.some(didRun))
      found.push(`#${mark} ran: ${own.map(({execution}) => String(execution)).join() || 'no record'}`)
  }
  const byMark = new Map<string, Event[]>()
  for (const record of records) {
    const mark = markOf(record.db_query)
    if (mark === undefined) continue
    if (record.success === true && didRun(record) && !ran.has(mark)) found.push(`#${mark} never ran`)
    if (/insert into t |half|kept/.test(String(record.db_query)))
      byMark.set(mark, [...(byMark.get(mark) ?? []), record])
  }
  for (const {transaction, statement} of records) {
    if (transaction !== undefined && !fates.has(transaction))
      found.push(`nobody says what became of the transaction of statement ${String(statement)}`)
  }
  for (const [mark, own] of byMark) {
    // What it prepares inserts whenever it is executed.
    if (own.some(({command}) => command === 'PREPARE')) continue
    const outcomes = own.map((record) => {
      const fate =
        record.transaction_outcome ?? (record.transaction === undefined ? undefined : fates.get(record.transaction))
      if (!didRun(record) || fate === 'rollback') return 'absent'
      return fate === 'commit' && record.success === true ? 'present' : 'unknown'
    })
    if (outcomes.includes('unknown')) continue
    const isExpected = outcomes.includes('present')
    if (isExpected !== inTable.has(mark))
      found.push(`#${mark} is ${isExpected ? 'not ' : ''}in the table: ${outcomes.join()}`)
  }
  return found
}

it('B04, B06, B08: what the audit says of random pipelines is what the server did', async () => {
  const [first, count] = (process.env.POSTERN_DIFFERENTIAL ?? `1,${scaled(24, 240)}`).split(',').map(Number)
  const seeds = Array.from({length: count ?? 0}, (_, index) => (first ?? 0) + index)
  const audited = new Map<number, Event[]>()
  const waiting = [...seeds]
  const worker = async (): Promise<void> => {
    for (let seed = waiting.shift(); seed !== undefined; seed = waiting.shift()) {
      audited.set(seed, await run(`differential ${seed}`, seed))
    }
  }
  await Promise.all([worker(), worker(), worker(), worker()])
  const log = await logOf(/^differential \d/)
  const inTable = new Set((await postgres.execute('select id from t')).map(({id}) => String(id)))
  const found = seeds.flatMap((seed) => {
    const own = log.filter(({application_name: name}) => name === `differential ${seed}`)
    return differences(audited.get(seed) ?? [], own, inTable).map((difference) => `seed ${seed}: ${difference}`)
  })
  expect(found).toEqual([])
  expect(log.filter(({message}) => /^(?:statement|execute)/.test(String(message))).length).toBeGreaterThan(seeds.length)
  expect(inTable.size).toBeGreaterThan(seeds.length / 4)
}, 300_000)
