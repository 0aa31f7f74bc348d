import type * as fs from 'node:fs'
import {createRequire} from 'node:module'
import {mkdtemp, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterEach, beforeEach, describe, expect, it, jest} from '@jest/globals'
import {systemClock} from '../../../src/lib/core/clock.js'
import {silentLogger} from '../../../src/lib/core/log.js'

type Done = (error: Error | null) => void

const real = createRequire(import.meta.url)('node:fs') as typeof fs
/** What was done to files, in order: lines written, the beginning of an fdatasync, a descriptor closed. */
const done: string[] = []
/** Ends the fdatasync that is under way. */
let endSync: ((error?: Error) => void) | undefined

jest.unstable_mockModule('node:fs', () => ({
  ...real,
  writeSync: (descriptor: number, lines: Buffer, offset: number) => {
    done.push(`write ${descriptor}`)
    return real.writeSync(descriptor, lines, offset)
  },
  fdatasync: (descriptor: number, callback: Done) => {
    done.push(`sync ${descriptor}`)
    endSync = (error) => {
      endSync = undefined
      callback(error ?? null)
    }
  },
  closeSync: (descriptor: number) => {
    done.push(`close ${descriptor}`)
    real.closeSync(descriptor)
  },
}))

const {Spool} = await import('../../../src/lib/audit/spool.js')

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-segment-'))
  done.length = 0
})

afterEach(async () => {
  await rm(directory, {recursive: true, force: true})
})

/** Ends each fdatasync as soon as it begins, until the work is done. */
async function letSync<T>(work: Promise<T>): Promise<T> {
  const ending = setInterval(() => endSync?.(), 1)
  try {
    return await work
  } finally {
    clearInterval(ending)
  }
}

async function untilSyncing(): Promise<void> {
  while (!endSync) await new Promise((resolve) => setImmediate(resolve))
}

describe('A segment of the spool', () => {
  it('is not closed before what came during its sync is on the disk as well', async () => {
    const spool = await letSync(Spool.open({directory, clock: systemClock, logger: silentLogger, segmentBytes: 1000}))
    spool.append('{"event":"first"}\n')
    done.length = 0
    const syncing = spool.sync()
    await untilSyncing()
    const [first = ''] = done.map((each) => each.split(' ')[1])
    spool.append('{"event":"during the sync"}\n')
    spool.append(`{"event":"${'x'.repeat(1000)}"}\n`)
    await letSync(syncing)
    await letSync(spool.sync())
    const own = done.filter((each) => each.endsWith(` ${first}`)).map((each) => each.split(' ')[0])
    expect(own).toEqual(['sync', 'write', 'sync', 'close'])
    await letSync(spool.close())
  })

  it('is synced again when that failed', async () => {
    const spool = await letSync(Spool.open({directory, clock: systemClock, logger: silentLogger}))
    spool.append('{"event":"first"}\n')
    const failing = spool.sync()
    await untilSyncing()
    // From here on the spool may sync by itself as well, which it does each second.
    done.length = 0
    endSync?.(new Error('EIO'))
    await expect(failing).rejects.toThrow('EIO')
    await letSync(spool.sync())
    expect(done).toEqual([expect.stringMatching(/^sync /)])
    await letSync(spool.close())
  })
})
