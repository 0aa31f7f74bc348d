/**
 * One database, two agents, and services that hang (SIGSTOP), die (SIGKILL) or are stopped (SIGTERM) while people work.
 * Everything is real: processes, psql, PostgreSQL. The tests build on each other, as starting it all takes longest.
 */
import {afterAll, afterEach, beforeAll, describe, expect, it} from '@jest/globals'
import {once} from 'node:events'
import {setTimeout as sleep} from 'node:timers/promises'
import {cli, runShell, type Finished, type Service} from '../../helpers/cli.js'
import {portsTo} from '../../helpers/processes.js'
import {openLocalPort, psqlOn, waitFor, type LocalPort, type Psql} from '../../helpers/psql.js'
import {report, scaled} from '../../helpers/scale.js'
import {addPerson, guideRole, startThreeHosts, type ThreeHosts} from '../../helpers/three-hosts.js'

let hosts: ThreeHosts
let alice: NodeJS.ProcessEnv
let local: LocalPort
/** The agents that run, as many as two. */
let agents: Service[]
const stopped = new Set<number>()

beforeAll(async () => {
  hosts = await startThreeHosts({flags: ['--drain=5s']})
  await cli(['create', ...hosts.admin], {input: guideRole})
  alice = await addPerson(hosts, 'alice')
  agents = [hosts.services.agent, await hosts.startAgent('second')]
  await hosts.postgres.execute(holding)
  await waitFor(async () => ((await listedAgents()) === 2 ? true : undefined))
  local = await openLocalPort(alice)
  // An agent hears of alice a moment after the control plane does.
  await waitFor(async () => (await psqlOn(local, ['-c', 'select 1']).finished).code === 0 || undefined)
}, 180_000)

afterEach(() => {
  for (const pid of stopped) process.kill(pid, 'SIGCONT')
  stopped.clear()
})

afterAll(async () => {
  await local.stop()
  await hosts.stop()
})

async function listedAgents(): Promise<number> {
  const servers = await cli(['get', 'db_server/aurora', '--format=json', ...hosts.admin]).catch(() => '[]')
  return (JSON.parse(servers) as unknown[]).length
}

const sessionsOf = (agent: Service): number => agent.log().split('A session began.').length - 1

/** What an agent logs arrives a moment after what it does. */
const beganAnother = (agent: Service, before = 0): Promise<true> =>
  waitFor(() => (sessionsOf(agent) > before ? true : undefined))

interface Idle {
  readonly psql: Psql
  /** From which it came to the database. */
  readonly port: number
}

/** A session of alice that waits for a statement. */
async function openIdle(): Promise<Idle> {
  const psql = psqlOn(local, ['-c', 'select inet_client_port()', '-f', '-'])
  const failure = psql.finished.then(({stderr}) => Promise.reject(new Error(stderr)))
  const [port] = (await Promise.race([once(psql.child.stdout as NodeJS.ReadableStream, 'data'), failure])) as [string]
  return {psql, port: Number(port)}
}

const isAt = (agent: Service, port: number): boolean => portsTo(hosts.postgres.port, agent.pid).includes(port)

/** The agent whose session came to the database from this port, and the other one. */
function agentAt(port: number): {serving: Service; other: Service} {
  const index = agents.findIndex((agent) => isAt(agent, port))
  const [serving, other] = [agents[index], agents[1 - index]]
  if (!serving || !other) throw new Error('there are not two agents')
  return {serving, other}
}

/** The agent that new connections of alice go to. */
async function agentInUse(): Promise<{serving: Service; other: Service}> {
  const {psql, port} = await openIdle()
  const found = agentAt(port)
  psql.child.stdin?.end()
  expect(await psql.finished).toMatchObject({code: 0})
  return found
}

function freeze(agent: Service): void {
  process.kill(agent.pid, 'SIGSTOP')
  stopped.add(agent.pid)
}

function thaw(agent: Service): void {
  process.kill(agent.pid, 'SIGCONT')
  stopped.delete(agent.pid)
}

const idleSessions = scaled(6, 50)
/** It waits in its midst until it may go on: it outlasts SIGTERM, and ends before the drain does. */
const rows = 150
const copy = `copy (select n || case when n = 100 then held() else '' end from generate_series(1, ${rows}) n) to stdout`
const holding = `
  CREATE TABLE going (); GRANT SELECT ON going TO alice;
  CREATE FUNCTION held() RETURNS text LANGUAGE plpgsql AS $$
  BEGIN
    WHILE NOT EXISTS (SELECT FROM going) LOOP PERFORM pg_sleep(0.01); END LOOP;
    RETURN '';
  END $$;`
const everyRow = Array.from({length: rows}, (_, index) => `${index + 1}\n`).join('')

describe('an agent that hangs after it accepted (SIGSTOP)', () => {
  it('costs a psql of the local proxy a wait, and the other agent serves it; once it goes on, it serves again', async () => {
    const {serving, other} = await agentInUse()
    const before = sessionsOf(other)
    freeze(serving)
    expect(await psqlOn(local, ['-c', "select 'past the hanging one'"]).finished).toMatchObject({
      code: 0,
      stdout: 'past the hanging one\n',
    })
    await beganAnother(other, before)
    thaw(serving)
    await waitFor(async () => ((await agentInUse()).serving === serving ? true : undefined), 200)
  })

  it('costs a psql without local proxy a wait as well: the proxy asks the other agent of the database', async () => {
    await cli(['db', 'login', '--db-user=alice', '--db-name=postgres', 'aurora'], {environment: alice})
    const command = (await cli(['db', 'config', '--format=cmd', 'aurora'], {environment: alice})).trim()
    const direct = `${command} -X -At -c "select 'by the route of the database'"`
    await hosts.postgres.execute('DELETE FROM going')
    const holding = runShell(`${command} -X -At -c "set application_name to 'held'" -c "select held()"`)
    const asked = "select client_port from pg_stat_activity where application_name = 'held' and state = 'active'"
    const port = await waitFor(async () => (await hosts.postgres.execute(asked))[0]?.client_port)
    const {serving: first, other} = agentAt(Number(port))
    await hosts.postgres.execute('INSERT INTO going DEFAULT VALUES')
    expect(await holding).toMatchObject({code: 0})
    freeze(first)
    const before = sessionsOf(other)
    expect(await runShell(direct)).toMatchObject({code: 0, stdout: 'by the route of the database\n'})
    await beganAnother(other, before)
  })
})

it('F03: SIGTERM to an agent ends idle sessions with a sentence, lets a COPY finish, and the other agent takes over', async () => {
  const {serving, other} = await agentInUse()
  const before = sessionsOf(other)
  await stopUnderLoad(serving, async () => {
    expect(await psqlOn(local, ['-c', 'select 8']).finished).toMatchObject({code: 0, stdout: '8\n'})
  })
  await beganAnother(other, before)
  agents = [other, await hosts.startAgent('third')]
  await waitFor(async () => ((await listedAgents()) === 3 ? true : undefined))
})

it(
  'F01: an agent killed -9 under a stream of connects costs its own sessions and no connect',
  async () => {
    // Small, the rate leaves room for the rest of the suite; in full it is the 100 a second of the case.
    const perSecond = scaled(20, 100)
    const rounds = scaled(3, 10)
    const {serving, other} = await agentInUse()
    const doomed = psqlOn(local, ['-c', 'select pg_sleep(630)'])
    await established("query = 'select pg_sleep(630)' and state = 'active'", 1)

    const connects: {readonly psql: Psql; readonly at: number}[] = []
    const began = performance.now()
    let killed = Infinity
    for (let index = 0; index < perSecond * rounds; index += 1) {
      await sleep(Math.max(0, began + (index * 1000) / perSecond - performance.now()))
      // A machine that cannot keep up is not buried under them.
      await connects[index - perSecond]?.psql.finished
      if (index === Math.round(perSecond * (rounds / 2))) {
        process.kill(serving.pid, 'SIGKILL')
        killed = performance.now()
      }
      connects.push({psql: psqlOn(local, ['-c', `select ${index}`]), at: performance.now()})
    }
    const spent = performance.now() - began
    const results = await Promise.all(connects.map(async ({psql, at}) => ({at, ...(await psql.finished)})))
    const failed = results.flatMap((result, index) =>
      result.code === 0 && result.stdout === `${index}\n` ? [] : [{index, ...result, sinceKill: result.at - killed}],
    )
    report(`F01: ${connects.length} connects in ${Math.round(spent)} ms, ${failed.length} lost`)
    // Who had a session on the dead agent lost it; nobody else lost anything.
    const connectsLost = failed.filter((result) => !wasLost(result))
    expect(connectsLost).toEqual([])
    expect(failed.filter(({sinceKill}) => sinceKill > 0)).toEqual([])

    const {code, stderr} = await doomed.finished
    expect({code, stderr}).toEqual({code: 2, stderr: expect.stringMatching(/connection|closed/i) as unknown as string})
    agents = [other]
    expect(await psqlOn(local, ['-c', 'select 7']).finished).toMatchObject({code: 0, stdout: '7\n'})
  },
  scaled(180_000, 300_000),
)

it('F03: SIGTERM to the proxy ends idle sessions with a sentence and lets a COPY finish', async () => {
  await stopUnderLoad(hosts.services.proxy, () => Promise.resolve())
})

/** Waits until psql has so many sessions of this kind. */
async function established(condition: string, count: number): Promise<void> {
  const sql = `select count(*)::int as n from pg_stat_activity where usename = 'alice' and ${condition}`
  await waitFor(async () => ((await hosts.postgres.execute(sql))[0]?.n === count ? true : undefined))
}

/** Stops a service; a COPY must finish, idle sessions hear why they end, the listing is never empty, the exit code is 0. */
async function stopUnderLoad(service: Service, meanwhile: () => Promise<void>): Promise<void> {
  const idle: Idle[] = []
  while (idle.length < idleSessions) {
    for (const each of await Promise.all(Array.from({length: idleSessions - idle.length}, openIdle))) {
      // One that was held up for seconds has its clients at the other.
      if (!agents.includes(service) || isAt(service, each.port)) idle.push(each)
      else each.psql.child.stdin?.end()
    }
  }
  await hosts.postgres.execute('DELETE FROM going')
  const copying = psqlOn(local, ['-c', copy])
  await established("state = 'active' and query like 'copy%'", 1)

  const listings: string[] = []
  const stopping = service.stop('SIGTERM')
  const signal = {stopped: false}
  void stopping.then(() => (signal.stopped = true))
  await waitFor(() => service.log().includes('Stopping: no new sessions are taken.') || undefined)
  await hosts.postgres.execute('INSERT INTO going DEFAULT VALUES')
  await meanwhile()
  do {
    listings.push(await cli(['get', 'db_server', '--format=json', ...hosts.admin]))
    await sleep(100)
  } while (!signal.stopped)

  expect(await stopping).toBe(0)
  expect(await copying.finished).toEqual({code: 0, stdout: everyRow, stderr: ''})
  for (const {psql, port} of idle) {
    psql.child.stdin?.end('select 1;\n')
    const {code, stdout, stderr} = await psql.finished
    expect({code, stdout}).toEqual({code: 2, stdout: `${port}\n`})
    expect(stderr).toMatch(/FATAL: {2}.*(drain|shut|stop)/i)
  }
  for (const text of listings) expect(text).toContain('"name": "aurora"')
  report(`F03: ${idle.length} sessions, ${listings.length} listings`)
}

/** psql was connected already when it lost the server: it says so in other words than for a failed connect. */
function wasLost({stderr}: Finished): boolean {
  return !stderr.includes('connection to server at')
}
