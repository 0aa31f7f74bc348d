import {chmod, mkdir, mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, beforeEach, expect, it} from '@jest/globals'
import {startGuideSandbox, type GuideSandbox} from '../../../src/lib/cluster/guide-sandbox.js'
import type {Guide} from '../../../src/lib/cluster/guide-world.js'
import {startPostgres} from '../../../src/lib/cluster/postgres.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {silentLogger} from '../../../src/lib/core/log.js'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'guides-'))
  // For root, PostgreSQL runs under another account, which must get there.
  await chmod(directory, 0o755)
})

afterEach(() => rm(directory, {recursive: true}))

const start = (guide: Guide): Promise<GuideSandbox> =>
  startGuideSandbox({guide, directory, clock: systemClock, logger: silentLogger})

it('guides share a directory, and one that was interrupted is completed', async () => {
  for (const guide of ['aurora', 'rds-proxy'] as const) await (await start(guide)).stop()
  const place = {directory: join(directory, 'postgres-rds-proxy'), logger: silentLogger}
  const interrupted = await startPostgres(place)
  await interrupted.execute('DROP TABLE products', {database: 'dev'})
  await interrupted.stop()
  await (await start('rds-proxy')).stop()
  const completed = await startPostgres(place)
  try {
    expect(await completed.execute('SELECT 1 FROM products', {database: 'dev'})).toHaveLength(10)
  } finally {
    await completed.stop()
  }
})

it('what was started is stopped when the rest fails', async () => {
  await mkdir(join(directory, 'aws', 'roots.pem'), {recursive: true})
  const open = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'TCPServerWrap').length
  const before = open()
  await expect(start('aurora')).rejects.toThrow('EISDIR')
  // What others have left in this process may end meanwhile.
  expect(open()).toBeLessThanOrEqual(before)
})
