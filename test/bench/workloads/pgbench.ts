import {readdir, readFile, writeFile} from 'node:fs/promises'
import {cpus} from 'node:os'
import {join} from 'node:path'
import {account} from '../accounting.js'
import {clientEnvironment} from '../endpoint.js'
import type {Path} from '../path.js'
import {run} from '../programs.js'
import {quantile} from '../statistics.js'
import {cpuFigures, onEachPath, type Context, type Figures, type Workload} from '../workload.js'

interface Shape {
  readonly name: string
  readonly title: string
  readonly words: readonly string[]
  readonly clients: number
  /** A log of every transaction, for percentiles; connections at a time that are many would pay for it. */
  readonly logged?: boolean
}

const shapes: readonly Shape[] = [
  {
    name: 'w1s',
    title: 'One client, simple protocol (pgbench -S -M simple -c1)',
    words: ['-S', '-M', 'simple'],
    clients: 1,
    logged: true,
  },
  {
    name: 'w1p',
    title: 'One client, prepared (pgbench -S -M prepared -c1)',
    words: ['-S', '-M', 'prepared'],
    clients: 1,
    logged: true,
  },
  {name: 'c16', title: '16 clients, prepared', words: ['-S', '-M', 'prepared'], clients: 16},
  {name: 'c64', title: '64 clients, prepared', words: ['-S', '-M', 'prepared'], clients: 64},
  {
    name: 'connect1',
    title: 'A connection for each query, one client (pgbench -C -S -c1)',
    words: ['-C', '-S'],
    clients: 1,
  },
  {
    name: 'connect4',
    title: 'A connection for each query, four clients (pgbench -C -S -c4)',
    words: ['-C', '-S'],
    clients: 4,
  },
]

const rate = {name: 'tps', title: 'per second', better: 'more', digits: 0} as const

export const pgbenchWorkloads: readonly Workload[] = shapes.map((shape) => ({
  name: shape.name,
  title: shape.title,
  usesPaths: true,
  figures: [
    rate,
    ...(shape.logged
      ? ([
          {name: 'p50', title: 'p50, µs', better: 'less', digits: 0},
          {name: 'p99', title: 'p99, µs', better: 'less', digits: 0},
        ] as const)
      : []),
  ],
  cpu: {title: 'CPU µs of each', digits: 0},
  estimate: ({seconds}) => seconds + settling(shape.clients) + 0.5,
  subjects: (context) => onEachPath(context, (path) => measure(shape, path, context)),
}))

async function measure(shape: Shape, path: Path, context: Context): Promise<Figures> {
  const threads = Math.min(shape.clients, cpus().length)
  const words = [...shape.words, '-c', String(shape.clients), '-j', String(threads)]
  const sample = await runPgbench(path, {words, clients: shape.clients, logged: shape.logged ?? false}, context)
  return {
    tps: sample.tps,
    ...(shape.logged && {p50: quantile(sample.microseconds, 0.5), p99: quantile(sample.microseconds, 0.99)}),
    ...cpuFigures(sample.cpuSeconds, sample.transactions / 1e6),
  }
}

interface Run {
  readonly words: readonly string[]
  readonly clients: number
  readonly logged: boolean
}

export interface PgbenchSample {
  readonly tps: number
  readonly transactions: number
  /** Of each transaction. */
  readonly microseconds: readonly number[]
  readonly cpuSeconds: Readonly<Record<string, number>>
}

/** pgbench's clock runs while its clients connect, and its rate leaves that time out. */
const settling = (clients: number): number => Math.ceil(1 + clients / 16)

/** @throws Error when a transaction fails: a rate of failures is no figure */
export async function runPgbench(
  {endpoint, processes}: Path,
  {words, clients, logged}: Run,
  {options, directory, database}: Context,
): Promise<PgbenchSample> {
  const place = await directory()
  const log = logged ? ['-l', `--log-prefix=${join(place, 'log')}`] : []
  const used = account({...processes, postgres: database.pid})
  const output = await run('pgbench', ['-n', '-T', String(options.seconds + settling(clients)), ...words, ...log], {
    environment: clientEnvironment(endpoint),
  })
  const {cpuSeconds} = used()
  const [, tps] = /^tps = ([\d.]+)/m.exec(output) ?? []
  const [, failed] = /^number of failed transactions: (\d+)/m.exec(output) ?? []
  const [, transactions] = /^number of transactions actually processed: (\d+)/m.exec(output) ?? []
  if (tps === undefined || transactions === undefined || (failed !== undefined && failed !== '0'))
    throw new Error(`pgbench says:\n${output}`)
  return {
    tps: Number(tps),
    transactions: Number(transactions),
    cpuSeconds,
    microseconds: logged ? await readLogs(place) : [],
  }
}

/** `client transaction time script epoch microseconds` (pgbench documentation, "Per-Transaction Logging"). */
async function readLogs(place: string): Promise<number[]> {
  const names = (await readdir(place)).filter((name) => name.startsWith('log'))
  const texts = await Promise.all(names.map((name) => readFile(join(place, name), 'utf8')))
  return texts.flatMap((text) =>
    text
      .trim()
      .split('\n')
      .map((line) => Number(line.split(' ')[2])),
  )
}

/** A script that asks the server for nothing: what is left is the way there and back. */
export async function pingScript(directory: string): Promise<string> {
  const file = join(directory, 'ping.sql')
  await writeFile(file, 'SELECT 1;\n')
  return file
}
