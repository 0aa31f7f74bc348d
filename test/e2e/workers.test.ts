import {afterAll, beforeAll, expect, it} from '@jest/globals'
import assert from 'node:assert/strict'
import {connect} from 'node:net'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import pg from 'pg'
import {cli, freePort, runShell, startService} from '../helpers/cli.js'
import {argumentsOf, childrenOf, portsTo} from '../helpers/processes.js'
import {openLocalPort, type LocalPort} from '../helpers/psql.js'
import {addPerson, guideRole, startThreeHosts, type ThreeHosts} from '../helpers/three-hosts.js'

/**
 * Proxy and agent with two workers each. Sessions come through a local port, and one after the other they go to the
 * worker with the least to do; so does a cancel request, which thereby comes to the other one.
 */
let hosts: ThreeHosts
let alice: NodeJS.ProcessEnv
let localPort: LocalPort
const clients: pg.Client[] = []
let diagnostics: string

beforeAll(async () => {
  diagnostics = `127.0.0.1:${await freePort()}`
  hosts = await startThreeHosts({workers: 2, agentDiagnostics: diagnostics})
  await cli(['create', ...hosts.admin], {input: guideRole})
  alice = await addPerson(hosts, 'alice')
  localPort = await openLocalPort(alice)
  await everyWorkerLetsIn('first')
})

afterAll(async () => {
  for (const client of clients) await client.end().catch(() => undefined)
  await localPort.stop()
  await hosts.stop()
})

const agentWorkers = (): number[] => childrenOf(hosts.services.agent.pid, 'session-worker')
const proxyWorkers = (): number[] => childrenOf(hosts.services.proxy.pid, 'splice-worker')

/** A session of alice; `lost` says how it ended, once it has. */
async function open(application: string): Promise<pg.Client & {lost?: Error & {code?: string}}> {
  const client: pg.Client & {lost?: Error} = new pg.Client({
    host: '127.0.0.1',
    port: localPort.port,
    user: 'alice',
    database: 'postgres',
    application_name: application,
  })
  client.on('error', (error) => {
    client.lost ??= error
  })
  await client.connect()
  clients.push(client)
  return client
}

/** The workers that have sessions of this application: they have other connections to the database too, for a moment. */
async function workersWith(application: string): Promise<number[]> {
  const rows = await hosts.postgres.execute(
    `select client_port from pg_stat_activity where application_name = '${application}'`,
  )
  const ports = new Set(rows.map((row) => Number(row.client_port)))
  return agentWorkers().filter((pid) => portsTo(hosts.postgres.port, pid).some((port) => ports.has(port)))
}

/** Those of a worker that has not heard of a change yet are refused, and the next session goes to it again. */
async function everyWorkerLetsIn(application: string): Promise<void> {
  const sessions: pg.Client[] = []
  await until('every worker lets alice in', async () => {
    const session = await open(application).catch(() => undefined)
    if (session) sessions.push(session)
    // While one worker is held up, the others take them all.
    if (sessions.length > 32) await sessions.shift()?.end()
    return (await workersWith(application)).length === 2
  })
  for (const session of sessions) await session.end()
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 3000; attempt += 1) {
    if (await condition()) return
    await new Promise((wake) => setTimeout(wake, 50))
  }
  throw new Error(`waited in vain: ${what}`)
}

async function metrics(): Promise<Record<string, number>> {
  const text = await (await fetch(`http://${diagnostics}/metrics`)).text()
  const values: Record<string, number> = {}
  for (const [, name = '', value] of text.matchAll(/^postern_(\w+) (\d+)$/gm)) values[name] = Number(value)
  return values
}

async function count(sql: string): Promise<number> {
  const [row] = await hosts.postgres.execute(`select count(*)::int as n from ${sql}`)
  return Number(row?.n)
}

interface AuditEvent {
  readonly event: string
  readonly code: string
  readonly sid: string
  readonly ei: number
  readonly db_query?: string
  readonly user_agent?: string
  readonly reason?: string
}

async function auditOf(application: string): Promise<AuditEvent[]> {
  const lines = await cli(['audit', 'export', ...hosts.admin])
  const all = lines
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as AuditEvent)
  const sids = new Set(all.filter(({user_agent}) => user_agent === application).map(({sid}) => sid))
  return all.filter(({sid}) => sids.has(sid))
}

it('cancels a query whose session is in another worker than the cancel request', async () => {
  const client = await open('cancelled')
  const {processID, secretKey} = client as unknown as {processID: number; secretKey: number}
  for (let round = 0; round < 3; round += 1) {
    let isOver = false
    const sleeping = client
      .query('select pg_sleep(600)')
      .then(
        () => 'slept',
        (error: unknown) => (error as {code: string}).code,
      )
      .finally(() => (isOver = true))
    // A request of the round before that was late may have cancelled it already.
    await until(
      'the query runs',
      async () =>
        isOver ||
        (await count(
          "pg_stat_activity where query like '%pg_sleep(600)%' and state = 'active' and usename = 'alice'",
        )) === 1,
    )
    const request = Buffer.alloc(16)
    for (const [index, word] of [16, 80_877_102, processID, secretKey].entries()) request.writeInt32BE(word, index * 4)
    let answer: string | undefined
    // Nobody answers a cancel request: one that got lost on a busy machine is sent again.
    while (answer === undefined) {
      const canceller = connect(localPort.port, '127.0.0.1').on('error', () => undefined)
      canceller.end(request)
      canceller.resume()
      await new Promise((resolve) => canceller.once('close', resolve))
      answer = await Promise.race([sleeping, sleep(10_000, undefined, {ref: false})])
    }
    expect(answer).toBe('57014')
  }
})

it('sums up the metrics of the workers', async () => {
  // Workers tell their numbers a few times a second: those of sessions that have just ended may still be in there.
  let before: Record<string, number> = {}
  await until('only the one that was cancelled is counted', async () => {
    before = await metrics()
    return before.agent_sessions === 1
  })
  const sessions = [await open('measured'), await open('measured'), await open('measured'), await open('measured')]
  await until('all are counted', async () => Number((await metrics()).agent_sessions) >= 5)
  await Promise.all(sessions.map((session) => session.query("select repeat('x', 100000)")))
  for (const session of sessions) await session.end()
  // By then the workers have told of all that they did.
  let after = before
  const grown = (name: string): number => Number(after[name]) - Number(before[name])
  await until('they are no longer counted', async () => {
    after = await metrics()
    return after.agent_sessions === 1 && grown('agent_sessions_started_total') >= 4
  })
  // A client that was held up may have begun a second time.
  expect(grown('agent_sessions_started_total')).toBeLessThan(8)
  expect(grown('agent_database_bytes_total')).toBeGreaterThan(400_000)
})

it('lets psql in without our client, in every worker, by the certificate that came while they started', async () => {
  await cli(['db', 'login', '--db-user=alice', '--db-name=postgres', 'aurora'], {environment: alice})
  const psql = "psql -XAtc 'select 42 from pg_sleep(1)'"
  const line = `set -e; eval "$(postern db env aurora)"; ${psql} & first=$!; ${psql}; wait $first`
  expect(await runShell(line, {environment: alice})).toEqual({code: 0, stdout: '42\n42\n', stderr: ''})
})

it('loses the sessions of a worker that is killed, and none else; its audit arrives from the next one', async () => {
  const [victim = 0, survivor] = agentWorkers()
  // More than the connections that were opened in advance, which may all be of one worker.
  const sessions = await Promise.all(Array.from({length: 16}, () => open('under load')))
  // A worker that the busy machine held up for seconds had none of them.
  await until('both workers have sessions', async () => {
    if ((await workersWith('under load')).length === 2) return true
    sessions.push(await open('under load'))
    return false
  })
  // Load: each asks again as soon as it has its answer.
  let asking = true
  const answers = sessions.map(async (session) => {
    let answered = 0
    try {
      // Once more at the end: who has just been answered may not have heard of the loss.
      for (let isLast = false; !isLast; answered += 1) {
        isLast = !asking
        const {rows} = await session.query<{n: number}>(`select ${answered}::int as n`)
        assert.equal(rows[0]?.n, answered)
      }
      return {answered, lost: false}
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error
      return {answered, lost: true}
    }
  })
  await new Promise((wake) => setTimeout(wake, 300))
  process.kill(victim, 'SIGKILL')
  await until('another worker comes', () => agentWorkers().length === 2 && !agentWorkers().includes(victim))
  expect(agentWorkers()).toContain(survivor)
  asking = false
  const outcomes = await Promise.all(answers)
  // Not exactly half: connections that the local proxy keeps ready count as well.
  const survivors = sessions.filter((_, index) => outcomes[index]?.lost === false)
  expect(survivors.length).toBeGreaterThan(0)
  expect(survivors.length).toBeLessThan(sessions.length)
  for (const session of survivors) expect(await session.query('select 1')).toMatchObject({rowCount: 1})
  await everyWorkerLetsIn('after the kill')

  await until('the killed sessions are ended in the audit', async () => {
    const events = await auditOf('under load')
    return events.filter(({code}) => code === 'TDB01I').length >= sessions.length - survivors.length
  })
  const answered = outcomes.reduce((sum, outcome) => sum + outcome.answered, 0)
  await until('every statement that was answered is in the audit, also those of the killed worker', async () => {
    const events = await auditOf('under load')
    const numbers = events.map(({sid, ei}) => `${sid}/${ei}`)
    expect(new Set(numbers).size).toBe(numbers.length)
    return events.filter(({event}) => event === 'db.session.query').length >= answered
  })
  for (const session of sessions) await session.end().catch(() => undefined)
})

it('ends sessions in every worker when a role no longer allows them, and lets them in again after', async () => {
  const sessions = [await open('role'), await open('role'), await open('role'), await open('role')]
  await cli(['create', '--force', ...hosts.admin], {
    input: guideRole.replace("db_users:\n    - '*'", 'db_users:\n    - bob'),
  })
  await until('all sessions end', () => sessions.every(({lost}) => lost !== undefined))
  expect(sessions.map(({lost}) => lost?.code)).toEqual(['57P01', '57P01', '57P01', '57P01'])
  await until('no worker lets anybody in', async () => {
    const reason = await open('role').then(
      (session) => session.end(),
      (error: unknown) => String(error),
    )
    return typeof reason === 'string' && /not allowed|denied|may not/i.test(reason)
  })
  await cli(['create', '--force', ...hosts.admin], {input: guideRole})
  await everyWorkerLetsIn('again')
})

it('ends sessions in every worker when their user is locked', async () => {
  const sessions = [await open('lock'), await open('lock'), await open('lock'), await open('lock')]
  const lock = 'kind: lock\nversion: v2\nmetadata: {name: no-alice}\nspec: {target: {user: alice}, message: On leave}\n'
  await cli(['create', ...hosts.admin], {input: lock})
  await until('all sessions end', () => sessions.every(({lost}) => lost !== undefined))
  for (const {lost} of sessions)
    expect(lost).toMatchObject({code: '57P01', message: expect.stringContaining('On leave')})
  await cli(['rm', 'lock/no-alice', ...hosts.admin])
  await everyWorkerLetsIn('unlocked')
})

it('shows no secret in what workers are started with', () => {
  for (const pid of [...agentWorkers(), ...proxyWorkers()]) {
    expect(argumentsOf(pid)).toEqual([
      process.execPath,
      expect.stringMatching(/-worker\.js$/),
      expect.stringMatching(/^[01]$/),
    ])
  }
})

it('ends with SIGTERM: 57P01 for every session, exit code 0, and no worker is left', async () => {
  const sessions = [await open('term'), await open('term'), await open('term'), await open('term')]
  const workers = [...agentWorkers(), ...proxyWorkers()]
  expect(workers).toHaveLength(4)
  expect(await hosts.services.agent.stop()).toBe(0)
  await until('all sessions end', () => sessions.every(({lost}) => lost !== undefined))
  expect(sessions.map(({lost}) => lost?.code)).toEqual(['57P01', '57P01', '57P01', '57P01'])
  // One whose client was held up may have ended before.
  const ends = async (): Promise<AuditEvent[]> =>
    (await auditOf('term')).filter(({code, reason = ''}) => code === 'TDB01I' && reason.includes('shutting down'))
  if ((await ends()).length < sessions.length) {
    // What the control plane did not take within seconds is sent by the agent that comes next.
    const next = await startService(['-c', join(hosts.directory, 'agent.yaml')])
    await until('the ends are in the audit', async () => (await ends()).length >= sessions.length)
    await next.stop()
  }
  expect(await ends()).toHaveLength(sessions.length)
  expect(await hosts.services.proxy.stop()).toBe(0)
  await until('no worker is left', () => workers.every((pid) => argumentsOf(pid).length === 0))
})
