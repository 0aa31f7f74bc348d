/** What the audit costs while people work, and how fast a recording is played. */
import {createWriteStream} from 'node:fs'
import {once} from 'node:events'
import {join} from 'node:path'
import {formatHead} from '../../../src/lib/audit/recording.js'
import {wideRowBytes} from '../database.js'
import {account} from '../accounting.js'
import {clientEnvironment} from '../endpoint.js'
import type {Path} from '../path.js'
import {isOurs, recordedPath} from '../paths.js'
import {knows, posternCommand} from '../postern-cluster.js'
import {countOutput, run} from '../programs.js'
import {cpuFigures, type Context, type Figures, type Workload} from '../workload.js'
import {runPgbench} from './pgbench.js'

/** From the least to the most. */
const modes = ['off', 'node', 'node-sync'] as const

/** Each sample has a control plane of its own, so that none stores what another one's sessions were. */
export const auditWorkload: Workload = {
  name: 'audit',
  title:
    'The path `postern`, by how sessions are recorded (events flow in every mode): pgbench -S -M prepared -c1, COPY out',
  usesPaths: false,
  figures: [
    {name: 'tps', title: 'statements a second', better: 'more', digits: 0},
    {name: 'rate', title: 'MB/s out', better: 'more', digits: 0},
  ],
  cpu: {title: 'CPU µs of each statement', digits: 0},
  estimate: ({seconds}) => seconds + 12,
  subjects: (context) => {
    const ours = context.definitions.some(({name}) => isOurs(name))
    const known = modes.filter((mode) => ours && knows('auth_service', `session_recording: '${mode}'`))
    return Promise.resolve(known.map((mode) => ({name: mode, measure: () => measureMode(mode, context)})))
  },
}

async function measureMode(mode: string, context: Context): Promise<Figures> {
  const path = await recordedPath(mode).start(await context.place(mode))
  try {
    await run('pgbench', ['-n', '-S', '-M', 'prepared', '-T', '1'], {environment: clientEnvironment(path.endpoint)})
    const words = ['-S', '-M', 'prepared', '-c', '1']
    const {tps, transactions, cpuSeconds} = await runPgbench(path, {words, clients: 1, logged: false}, context)
    return {tps, rate: await copyOut(path, context), ...cpuFigures(cpuSeconds, transactions / 1e6)}
  } finally {
    await path.stop()
  }
}

async function copyOut({endpoint, processes}: Path, {database}: Context): Promise<number> {
  const used = account(processes)
  const environment = clientEnvironment(endpoint)
  await run('psql', ['-X', '-q', '-c', 'COPY wide TO STDOUT'], {environment, to: '/dev/null'})
  return (database.sizes.wideRows * wideRowBytes) / 1e6 / used().seconds
}

const formats = ['text', 'json'] as const
const recordingBytes = {full: 200e6, quick: 20e6}

/** From a file: what comes from a control plane comes as the same stream of lines. */
export const playWorkload: Workload = {
  name: 'play',
  title: 'play of a recording of 200 MB (20 MB with --quick), the whole process',
  usesPaths: false,
  figures: [
    {name: 'first', title: 'ms to the first output', better: 'less', digits: 0},
    {name: 'rate', title: 'MB/s of the recording', better: 'more', digits: 0},
    {name: 'resident', title: 'MB resident', better: 'less', digits: 0},
  ],
  estimate: ({quick}) => (quick ? 2 : 15),
  subjects: async (context) => {
    const size = context.options.quick ? recordingBytes.quick : recordingBytes.full
    const file = join(await context.directory(), 'recording.ndjson')
    await writeRecording(file, size)
    return formats.map((format) => ({name: format, measure: () => play(file, format, size)}))
  },
}

async function play(file: string, format: string, size: number): Promise<Figures> {
  const words = posternCommand(['play', `--format=${format}`, file])
  const {firstMilliseconds, milliseconds, residentKilobytes} = await countOutput(process.execPath, words)
  return {first: firstMilliseconds, rate: size / 1e3 / milliseconds, resident: residentKilobytes / 1000}
}

/** A session of prepared statements of half a kilobyte each. */
async function writeRecording(path: string, size: number): Promise<void> {
  const sid = '307b49d6-56c7-4d20-8cf0-5bc5348a7101'
  const file = createWriteStream(path)
  const who = {user: 'alice', db_service: 'bench', db_name: 'postgres', db_user: 'alice', db_protocol: 'postgres'}
  const began = Date.UTC(2026, 0, 1)
  let written = 0
  let ei = 0
  const write = async (line: string): Promise<void> => {
    written += line.length + 1
    if (!file.write(`${line}\n`)) await once(file, 'drain')
  }
  const event = (name: string, fields: object = {}): Promise<void> => {
    const time = new Date(began + 20 * ei).toISOString()
    const line = JSON.stringify({ei, event: `db.session.${name}`, time, sid, ...who, success: true, ...fields})
    ei += 1
    return write(line)
  }
  await write(formatHead({sid, serverId: sid, cluster: 'bench.example.com'}))
  await event('start')
  const db_query = `select id, word from items where id = $1 and word <> '${'x'.repeat(400)}'`
  const columns = [
    {name: 'id', type: 'int4'},
    {name: 'word', type: 'text'},
  ]
  while (written < size) {
    const db_query_parameters = [String(ei)]
    await event('query', {
      db_query,
      db_query_parameters,
      statement: ei,
      command: 'SELECT',
      columns,
      affected_records: 1,
    })
  }
  await event('end')
  file.end()
  await once(file, 'close')
}
