import {account} from '../accounting.js'
import {wideRowBytes, type BenchDatabase} from '../database.js'
import {clientEnvironment} from '../endpoint.js'
import type {Path} from '../path.js'
import {run, type RunOptions} from '../programs.js'
import {cpuFigures, onEachPath, type Context, type Figures, type Workload} from '../workload.js'

interface Shape {
  readonly name: string
  readonly title: string
  readonly sql: string
  readonly words?: readonly string[]
  readonly bytes: (database: BenchDatabase) => number
  readonly input?: true
}

const shapes: readonly Shape[] = [
  {
    name: 'copy-out',
    title: 'COPY of wide rows to the client',
    sql: 'COPY wide TO STDOUT',
    bytes: ({sizes}) => sizes.wideRows * wideRowBytes,
  },
  {
    name: 'copy-in',
    title: 'COPY from the client into an unlogged table',
    sql: 'COPY sink FROM STDIN',
    bytes: ({sizes}) => sizes.inputRows * wideRowBytes,
    input: true,
  },
  {
    name: 'select-small',
    title: 'SELECT of many small rows (bytes of the messages)',
    sql: 'SELECT * FROM small',
    words: ['-A', '-t'],
    bytes: ({smallBytes}) => smallBytes,
  },
]

export const bulkWorkloads: readonly Workload[] = shapes.map((shape) => ({
  name: shape.name,
  title: shape.title,
  usesPaths: true,
  figures: [{name: 'rate', title: 'MB/s', better: 'more', digits: 0}],
  cpu: {title: 'CPU seconds per GB', digits: 2},
  estimate: ({quick}) => (quick ? 0.5 : 3),
  subjects: (context) => onEachPath(context, (path) => measure(shape, path, context)),
}))

async function measure(shape: Shape, {endpoint, processes}: Path, {database}: Context): Promise<Figures> {
  const options: RunOptions = {
    environment: clientEnvironment(endpoint),
    to: '/dev/null',
    ...(shape.input && {from: database.inputFile}),
  }
  if (shape.input) await database.empty()
  const used = account({...processes, postgres: database.pid})
  await run('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', ...(shape.words ?? []), '-c', shape.sql], options)
  const {seconds, cpuSeconds} = used()
  const bytes = shape.bytes(database)
  return {rate: bytes / 1e6 / seconds, ...cpuFigures(cpuSeconds, bytes / 1e9)}
}
