/**
 * Many and slow strangers, giant queries and readers that stop, against control plane, proxy, agent and local proxy as
 * processes of their own. Small unless POSTERN_TEST_SCALE says otherwise; every limit here is a guard at many times what
 * was measured.
 */
import {readFile} from 'node:fs/promises'
import {connect, type Socket} from 'node:net'
import {afterAll, afterEach, beforeAll, describe, expect, it} from '@jest/globals'
import {cstring, encodeMessage} from '../../../src/lib/pgwire/message.js'
import {frontend} from '../../../src/lib/pgwire/message-types.js'
import {agentServerName} from '../../../src/lib/resources/route.js'
import {greetingProtocol} from '../../../src/lib/tunnel/greeting.js'
import {cli} from '../../helpers/cli.js'
import {openLocalPort, psqlOn, waitFor, type LocalPort} from '../../helpers/psql.js'
import {report, scaled} from '../../helpers/scale.js'
import {addPerson, guideRole, startThreeHosts, type ThreeHosts} from '../../helpers/three-hosts.js'
import {startup} from '../../lib/agent/rig.js'
import {captureClientHello, closeOpened, track} from '../../lib/tunnel/sockets.js'

const MiB = 1024 * 1024
/** The strangers' address; those who mean well come from 127.0.0.1. */
const strangers = '127.0.0.2'
/** For one connect beside all of this; alone it takes a tenth of a second. */
const patience = 60_000
/** What a process may grow by, where the case says 32 or 64 MiB of heap: this is all of its memory, with what waits to be collected. */
const limitMiB = 128

let hosts: ThreeHosts
let port: LocalPort
let hello: Buffer
let proxyPort = 0

beforeAll(async () => {
  hosts = await startThreeHosts()
  proxyPort = Number(hosts.proxy.split(':').at(-1))
  await cli(['create', ...hosts.admin], {input: guideRole})
  port = await openLocalPort(await addPerson(hosts, 'alice'))
  // The agent hears of her a moment after the control plane does.
  await waitFor(async () => (await psqlOn(port, ['-c', 'select 1']).finished).code === 0 || undefined)
  const servers = JSON.parse(await cli(['get', 'db_server', '--format=json', ...hosts.admin])) as {
    spec: {host_id: string}
  }[]
  const servername = agentServerName(servers[0]?.spec.host_id ?? '', 'postern.example.com')
  hello = await captureClientHello({servername, ALPNProtocols: [greetingProtocol], minVersion: 'TLSv1.3'})
}, 300_000)

afterAll(async () => {
  await port.stop()
  await hosts.stop()
})

afterEach(closeOpened)

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))
const query = (sql: string): Buffer => encodeMessage(frontend.query, cstring(sql))

/** Memory of a process in MiB, without the files that it shares. */
async function memoryOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^RssAnon:\s+(\d+)/m.exec(status)?.[1]) / 1024
}

/** By how many MiB each process between client and database has grown at most while something went on. */
async function growthDuring(work: () => Promise<unknown>): Promise<Record<string, number>> {
  const processes = {agent: hosts.services.agent.pid, proxy: hosts.services.proxy.pid, 'local proxy': port.pid}
  const growth: Record<string, number> = {}
  const before = new Map<string, number>()
  for (const [name, pid] of Object.entries(processes)) before.set(name, await memoryOf(pid))
  const measure = async (): Promise<void> => {
    for (const [name, pid] of Object.entries(processes)) {
      const grown = Math.round((await memoryOf(pid)) - (before.get(name) ?? 0))
      growth[name] = Math.max(growth[name] ?? 0, grown)
    }
  }
  const timer = setInterval(() => void measure(), 50)
  try {
    await work()
  } finally {
    clearInterval(timer)
  }
  await measure()
  return growth
}

/** Milliseconds that a psql takes for a connection and a query. */
async function connectOnce(): Promise<number> {
  const before = performance.now()
  const {code, stdout, stderr} = await psqlOn(port, ['-c', 'select 6 * 7']).finished
  expect({code, stdout, stderr}).toEqual({code: 0, stdout: '42\n', stderr: ''})
  return performance.now() - before
}

/** Between two connects, in milliseconds. Small, these leave room for the rest of the suite. */
const betweenConnects = scaled(200, 0)

/** Connects one after the other until the work is done, at least so many times; milliseconds, sorted. */
async function connectsDuring(work: Promise<unknown>, atLeast: number): Promise<number[]> {
  const times: number[] = []
  const state = {done: false}
  const finished = work.finally(() => (state.done = true))
  while (!state.done || times.length < atLeast) {
    times.push(await connectOnce())
    await pause(betweenConnects)
  }
  await finished
  return times.sort((one, other) => one - other)
}

function spread(times: readonly number[]): string {
  const at = (share: number): string =>
    (times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0).toFixed(0)
  return `${times.length} connects, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`
}

/** A session through the local proxy, its bytes counted and thrown away. */
async function openSession(application: string): Promise<{socket: Socket; received: () => number; tail: () => Buffer}> {
  const socket = track(connect(port.port, '127.0.0.1')).setNoDelay(true)
  let received = 0
  let tail = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    received += chunk.length
    tail = Buffer.concat([tail, chunk.subarray(-64)]).subarray(-64)
  })
  socket.write(startup({application_name: application}))
  await waitFor(() => (readyForQuery(tail) ? true : undefined))
  return {socket, received: () => received, tail: () => tail}
}

/** Whether the server has said that it is ready. */
function readyForQuery(tail: Buffer): boolean {
  return tail.subarray(-6).toString('latin1') === 'Z\0\0\0\x05I'
}

function stranger(): Socket {
  return track(connect({host: '127.0.0.1', port: proxyPort, localAddress: strangers}))
}

describe('strangers', () => {
  it('A09: sockets that drip, and handshakes that withhold the certificate, are closed at their deadline; others connect', async () => {
    const dripping = Array.from({length: scaled(300, 5000)}, stranger)
    const withheld = Array.from({length: scaled(400, 2000)}, stranger)
    for (const socket of withheld) socket.write(hello)
    const before = performance.now()
    let sent = 0
    const drip = setInterval(() => {
      for (const socket of dripping) if (!socket.destroyed) socket.write(hello.subarray(sent, sent + 1))
      sent += 1
    }, 1000)
    const all = [...dripping, ...withheld]
    for (const socket of all) socket.resume()
    const closed = (): true | undefined => (all.every(({destroyed}) => destroyed) ? true : undefined)
    const times = await connectsDuring(waitFor(closed), 10)
    clearInterval(drip)
    const seconds = (performance.now() - before) / 1000
    report(
      `A09: ${dripping.length} drip, ${withheld.length} withhold: closed after ${seconds.toFixed(1)} s; ${spread(times)}`,
    )
    // 10 s for the first message, another 10 s for the handshake, and a machine that has other things to do.
    expect(seconds).toBeLessThan(120)
    expect(times.at(-1)).toBeLessThan(patience)
  }, 300_000)

  it('a flood of ClientHellos from one address leaves the others their connects', async () => {
    const perSecond = scaled(200, 4000)
    const seconds = scaled(2, 10)
    let sent = 0
    let answered = 0
    // A reset leaves no port behind in TIME_WAIT: there are not enough of them for a flood.
    const shoot = (): void => {
      const socket = stranger()
      socket.once('data', () => {
        answered += 1
        socket.resetAndDestroy()
      })
      socket.write(hello)
      setTimeout(() => socket.resetAndDestroy(), 10_000)
      sent += 1
    }
    const flood = async (): Promise<void> => {
      const start = performance.now()
      while (performance.now() - start < seconds * 1000) {
        const due = ((performance.now() - start) / 1000) * perSecond - sent
        // What this process cannot keep up with is left out, or it could not watch the others.
        for (let shots = Math.min(due, perSecond / 50); shots >= 1; shots -= 1) shoot()
        await pause(5)
      }
    }
    const times = await connectsDuring(flood(), 5)
    report(`${perSecond} ClientHellos/s for ${seconds} s: ${sent} sent, ${answered} answered; ${spread(times)}`)
    expect(answered).toBeGreaterThan(0)
    expect(times.at(-1)).toBeLessThan(patience)
  }, 300_000)
})

describe('more than fits into memory', () => {
  it('B02: a giant query that drips in is streamed', async () => {
    const {socket, received, tail} = await openSession('giant')
    const size = scaled(48 * MiB, 1020 * MiB)
    const piece = Buffer.alloc(4096, 'x')
    const pieces = Math.floor(size / piece.length)
    const sql = {head: Buffer.from('select 42 /* '), tail: Buffer.from(' */\0')}
    const header = Buffer.from([frontend.query, 0, 0, 0, 0])
    header.writeUInt32BE(4 + sql.head.length + pieces * piece.length + sql.tail.length, 1)
    const before = received()
    const growth = await growthDuring(async () => {
      socket.write(Buffer.concat([header, sql.head]))
      for (let index = 0; index < pieces; index += 1) {
        if (!socket.write(piece)) await new Promise((resolve) => socket.once('drain', resolve))
      }
      socket.write(sql.tail)
      await waitFor(() => (received() > before && readyForQuery(tail()) ? true : undefined))
    })
    expect(tail().toString('latin1')).toContain('SELECT 1')
    report(`B02: a query of ${size / MiB} MiB in pieces of 4 KiB: growth in MiB ${JSON.stringify(growth)}`)
    for (const grown of Object.values(growth)) expect(grown).toBeLessThan(limitMiB)
  }, 600_000)

  it('B12: a reader that stops pauses the database, and other sessions go on', async () => {
    const {socket, received, tail} = await openSession('stopped')
    const rows = Math.floor(scaled(256 * MiB, 2048 * MiB) / 1024)
    const row = 1024
    const bytes = rows * (5 + row)
    const waiting = "select 1 from pg_stat_activity where application_name = 'stopped' and wait_event = 'ClientWrite'"
    const before = received()
    const growth = await growthDuring(async () => {
      socket.once('data', () => socket.pause())
      socket.write(query(`copy (select repeat('x', ${row - 1}) from generate_series(1, ${rows})) to stdout`))
      await waitFor(() => (received() > before ? true : undefined))
      await waitFor(async () => ((await hosts.postgres.execute(waiting)).length > 0 ? true : undefined))
      const times = await connectsDuring(pause(2000), 5)
      report(`B12: beside the stopped reader: ${spread(times)}`)
      expect(times.at(-1)).toBeLessThan(patience)
      await waitFor(async () => ((await hosts.postgres.execute(waiting)).length > 0 ? true : undefined))
    })
    expect(received() - before).toBeLessThan(bytes / 2)
    report(`B12: ${rows / 1024} MiB and a reader that stopped: growth in MiB ${JSON.stringify(growth)}`)
    for (const grown of Object.values(growth)) expect(grown).toBeLessThan(limitMiB)

    socket.resume()
    await waitFor(() => (received() - before > bytes && readyForQuery(tail()) ? true : undefined))
    const answer = {head: 1 + 4 + 1 + 2 + 2, done: 5, command: 5 + `COPY ${rows}\0`.length, ready: 6}
    expect(received() - before).toBe(bytes + answer.head + answer.done + answer.command + answer.ready)
  }, 600_000)
})
