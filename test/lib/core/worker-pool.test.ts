import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {pathToFileURL} from 'node:url'
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import {WorkerPool, type Worker} from '../../../src/lib/core/worker-pool.js'
import {silentLogger} from '../../../src/lib/core/log.js'
import {until} from '../tunnel/sockets.js'

let directory: string
let pool: WorkerPool<object, object> | undefined
const forked: Worker<object>[] = []
const lost: Worker<object>[] = []

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-pool-'))
  forked.splice(0)
  lost.splice(0)
})

afterEach(async () => {
  await pool?.close()
  await rm(directory, {recursive: true})
})

/** Workers that say every 20 ms that they live, and are looked at every 100 ms. */
async function startPool(silentLooks: number): Promise<WorkerPool<object, object>> {
  const script = join(directory, 'worker.mjs')
  await writeFile(
    script,
    `process.on('disconnect', () => process.exit())
process.send({ready: true})
setInterval(() => process.send({alive: true}), 20)
`,
  )
  pool = await WorkerPool.start<object, object>({
    script: pathToFileURL(script),
    count: 2,
    silentLooks,
    lookMilliseconds: 100,
    onFork: (worker) => forked.push(worker),
    onReport: () => undefined,
    onLost: (worker) => lost.push(worker),
    logger: silentLogger,
  })
  return pool
}

const stopped = (): Worker<object> => {
  const [worker] = forked
  if (!worker) throw new Error('no worker')
  process.kill(worker.pid, 'SIGSTOP')
  return worker
}

describe('a worker that hangs', () => {
  it('gets no more work, and has it again when it goes on', async () => {
    const workers = await startPool(1_000_000)
    const hung = stopped()
    // The other one may be held up for a moment as well.
    await until(() => hung.isQuiet && forked[1]?.isQuiet === false)
    expect(workers.leastLoaded((worker) => !worker.isQuiet)).toBe(forked[1])
    process.kill(hung.pid, 'SIGCONT')
    await until(() => !hung.isQuiet)
    expect(lost).toEqual([])
  })

  it('is killed and replaced, and the others go on', async () => {
    const workers = await startPool(30)
    const hung = stopped()
    await until(() => lost.includes(hung))
    await until(() => workers.workers.length === 2)
    expect(lost).toEqual([hung])
    expect(forked).toHaveLength(3)
  })
})
