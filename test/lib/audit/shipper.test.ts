import {mkdtemp, readFile, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import type {AuditEvent} from '../../../src/lib/audit/event.js'
import {Shipper} from '../../../src/lib/audit/shipper.js'
import {Spool} from '../../../src/lib/audit/spool.js'
import {systemClock} from '../../../src/lib/core/clock.js'
import {PosternError} from '../../../src/lib/core/errors.js'
import {silentLogger} from '../../../src/lib/core/log.js'
import {parseEvents} from '../../helpers/event-lines.js'

let directory: string
let spool: Spool

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-shipper-'))
  spool = await Spool.open({directory, clock: systemClock, logger: silentLogger, segmentBytes: 1000})
})

afterEach(async () => {
  await spool.close()
  await rm(directory, {recursive: true})
})

function ship(take: (events: readonly AuditEvent[]) => Promise<void>): Shipper {
  return new Shipper({
    spool,
    send: (lines) => take(parseEvents(lines)),
    clock: systemClock,
    logger: silentLogger,
    refusedDirectory: directory,
    backoff: {firstMilliseconds: 1, mostMilliseconds: 5},
  })
}

const numbers = (events: readonly AuditEvent[]): unknown[] => events.map(({number}) => number)
const counting = (count: number): number[] => Array.from({length: count}, (_, number) => number)

function append(count: number): void {
  for (let number = 0; number < count; number += 1) spool.append(`${JSON.stringify({number})}\n`)
}

describe('Shipper', () => {
  it('knows for how long nobody has taken anything', async () => {
    let now = 0
    let isTaken = false
    const shipper = new Shipper({
      spool,
      send: () => (isTaken ? Promise.resolve() : Promise.reject(new Error('away'))),
      clock: {monotonic: () => now},
      logger: silentLogger,
      refusedDirectory: directory,
      backoff: {firstMilliseconds: 1, mostMilliseconds: 5},
    })
    now = 60_000
    // With nothing to send nobody is late.
    while (shipper.stalledMilliseconds > 0) await sleep(1)
    expect(shipper.failing).toBe(false)
    append(1)
    while (!shipper.failing) await sleep(1)
    now += 11_000
    expect(shipper.stalledMilliseconds).toBe(11_000)
    isTaken = true
    while (shipper.stalledMilliseconds > 0) await sleep(1)
    expect(shipper.failing).toBe(false)
    await shipper.close(1000)
  })

  it('sends everything in order, also what is appended later', async () => {
    const sent: AuditEvent[] = []
    append(200)
    const shipper = ship((events) => {
      sent.push(...events)
      return Promise.resolve()
    })
    spool.append('{"number":200}\n')
    await shipper.close(120_000)
    expect(numbers(sent)).toEqual(counting(201))
    expect(spool.backlogBytes).toBe(0)
  })

  it('sends batches again until the control plane has them', async () => {
    const sent: AuditEvent[] = []
    let failures = 3
    append(50)
    const shipper = ship((events) => {
      if (failures-- > 0) return Promise.reject(new PosternError('UNREACHABLE', 'nobody there'))
      sent.push(...events)
      return Promise.resolve()
    })
    await shipper.close(120_000)
    expect(numbers(sent)).toEqual(counting(50))
  })

  it('sets aside an event that is refused for good, and goes on', async () => {
    const sent: AuditEvent[] = []
    append(10)
    const shipper = ship((events) => {
      if (events.some(({number}) => number === 4)) return Promise.reject(new PosternError('INVALID', 'no'))
      sent.push(...events)
      return Promise.resolve()
    })
    await shipper.close(120_000)
    expect(numbers(sent)).toEqual(counting(10).filter((number) => number !== 4))
    expect(await readFile(join(directory, 'refused.ndjson'), 'utf8')).toBe('{"number":4}\n')
  })

  it('leaves everything in the spool when it has to stop before', async () => {
    append(10)
    const shipper = ship(() => Promise.reject(new PosternError('UNREACHABLE', 'nobody there')))
    await shipper.close(20)
    expect(numbers(parseEvents((await spool.read())?.lines ?? Buffer.alloc(0)))).toEqual(counting(10))
  })
})
