import {setTimeout as sleep} from 'node:timers/promises'
import {clientEnvironment} from '../endpoint.js'
import {run} from '../programs.js'
import {quantile} from '../statistics.js'
import {onEachPath, type Context, type Figures, type Workload} from '../workload.js'
import type {Path} from '../path.js'
import {pingScript, runPgbench} from './pgbench.js'

/** The stream flows before the first ping. */
const headStart = 500

export const pingWorkload: Workload = {
  name: 'ping',
  title: 'SELECT 1 of one session beside a COPY at full speed in another',
  usesPaths: true,
  figures: [
    {name: 'p50', title: 'p50, ms', better: 'less', digits: 2},
    {name: 'p99', title: 'p99, ms', better: 'less', digits: 2},
    {name: 'streams', title: 'MB/s of the stream', better: 'more', digits: 0},
  ],
  estimate: ({seconds}) => seconds + 2,
  subjects: (context) => onEachPath(context, (path) => measure(path, context)),
}

async function measure(path: Path, context: Context): Promise<Figures> {
  const {database, directory} = context
  let ended = false
  let streams = 0
  const stream = async (): Promise<void> => {
    while (!ended) {
      await run('psql', ['-X', '-q', '-c', 'COPY wide TO STDOUT'], {
        environment: clientEnvironment(path.endpoint),
        to: '/dev/null',
      })
      streams += 1
    }
  }
  const started = performance.now()
  const streaming = stream()
  try {
    await Promise.race([sleep(headStart), streaming])
    const script = await pingScript(await directory())
    const {microseconds} = await runPgbench(
      path,
      {words: ['-M', 'simple', '-f', script], clients: 1, logged: true},
      context,
    )
    ended = true
    await streaming
    const seconds = (performance.now() - started) / 1000
    return {
      p50: quantile(microseconds, 0.5) / 1000,
      p99: quantile(microseconds, 0.99) / 1000,
      streams: (streams * database.sizes.wideRows * 1024) / 1e6 / seconds,
    }
  } finally {
    ended = true
    await streaming.catch(() => undefined)
  }
}
