/**
 * A client of its own process that opens connections: `node connections.js JSON`, where the JSON is a `Task`. Prints one
 * line of JSON; with `hold` it prints `open` and keeps them until it is ended.
 */
import {readFileSync} from 'node:fs'
import {setTimeout as sleep} from 'node:timers/promises'
import pg from 'pg'
import type {Endpoint} from './endpoint.js'

export type Task =
  | {readonly kind: 'hold'; readonly endpoint: Endpoint; readonly count: number}
  /** One after the other, with a pause before each. */
  | {readonly kind: 'series'; readonly endpoint: Endpoint; readonly count: number; readonly pauseMilliseconds: number}
  /** At a fixed rate, however long each takes. */
  | {readonly kind: 'rate'; readonly endpoint: Endpoint; readonly perSecond: number; readonly seconds: number}

export interface Connects {
  /** Milliseconds until the server was ready for a query. */
  readonly milliseconds: number[]
  /** What went wrong, by message. */
  readonly failures: Record<string, number>
}

const connectTimeoutMilliseconds = 10_000
/** At once, when sessions are opened to be held. */
const openingAtOnce = 8

function makeClient({authority, ...place}: Endpoint): pg.Client {
  const client = new pg.Client({
    ...place,
    connectionTimeoutMillis: connectTimeoutMilliseconds,
    ssl: authority === undefined ? false : {ca: readFileSync(authority, 'utf8')},
  })
  // A connection that breaks later is seen by whoever waits for it.
  client.on('error', () => undefined)
  return client
}

async function connectOnce(endpoint: Endpoint, into: Connects): Promise<void> {
  const started = performance.now()
  const client = makeClient(endpoint)
  try {
    await client.connect()
    into.milliseconds.push(performance.now() - started)
    await client.end()
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    into.failures[message] = (into.failures[message] ?? 0) + 1
  }
}

async function hold(endpoint: Endpoint, count: number): Promise<void> {
  const clients = Array.from({length: count}, () => makeClient(endpoint))
  for (let next = 0; next < count; next += openingAtOnce) {
    await Promise.all(
      clients.slice(next, next + openingAtOnce).map(async (client) => {
        await client.connect()
        await client.query('SELECT 1')
      }),
    )
  }
  process.stdout.write('open\n')
  await sleep(2 ** 31 - 1)
}

async function series(endpoint: Endpoint, count: number, pauseMilliseconds: number): Promise<Connects> {
  const connects: Connects = {milliseconds: [], failures: {}}
  for (let done = 0; done < count; done += 1) {
    await sleep(pauseMilliseconds)
    await connectOnce(endpoint, connects)
  }
  return connects
}

async function rate(endpoint: Endpoint, perSecond: number, seconds: number): Promise<Connects> {
  const connects: Connects = {milliseconds: [], failures: {}}
  const pending: Promise<void>[] = []
  const started = performance.now()
  for (let sent = 0; sent < perSecond * seconds; sent += 1) {
    const due = started + (sent * 1000) / perSecond
    await sleep(Math.max(0, due - performance.now()))
    pending.push(connectOnce(endpoint, connects))
  }
  await Promise.all(pending)
  return connects
}

const task = JSON.parse(process.argv[2] ?? '') as Task
switch (task.kind) {
  case 'hold':
    await hold(task.endpoint, task.count)
    break
  case 'series':
    process.stdout.write(JSON.stringify(await series(task.endpoint, task.count, task.pauseMilliseconds)))
    break
  case 'rate':
    process.stdout.write(JSON.stringify(await rate(task.endpoint, task.perSecond, task.seconds)))
    break
}
