import {PassThrough} from 'node:stream'
import type {ReadStream} from 'node:tty'
import {setFlagsFromString} from 'node:v8'
import {runInNewContext} from 'node:vm'
import {expect, it} from '@jest/globals'
import type {AuditEvent} from '../../../src/lib/audit/event.js'
import {listenToKeys} from '../../../src/lib/cli/keyboard.js'
import {Player, type PlayerOptions} from '../../../src/lib/cli/player.js'

const begin = Date.parse('2026-11-20T10:00:00Z')

/** A session with a query at each of these seconds. */
async function* session(...seconds: number[]): AsyncGenerator<AuditEvent> {
  for (const [ei, second] of seconds.entries()) {
    await Promise.resolve()
    const time = new Date(begin + second * 1000).toISOString()
    yield {ei, event: 'db.session.query', db_name: 'd', db_query: `q${ei}`, time}
  }
}

/** Plays with timers that are over when the test says it: a clock that jumps by what was asked of it. */
function player(options: Partial<PlayerOptions> = {}): {player: Player; waits: number[]; restore: () => void} {
  let now = 0
  const waits: number[] = []
  const real = globalThis.setTimeout
  const jump = (callback: () => void, milliseconds = 0): NodeJS.Timeout => {
    waits.push(Math.round(milliseconds))
    return real(() => {
      now += milliseconds
      callback()
    }, 0)
  }
  globalThis.setTimeout = jump as typeof setTimeout
  const clock = {monotonic: () => now}
  return {
    player: new Player({speed: '1x', skipIdle: false, clock, ...options}),
    waits,
    restore: () => {
      globalThis.setTimeout = real
    },
  }
}

async function shown(texts: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = []
  for await (const text of texts) all.push(text.trim())
  return all
}

it('shows each statement when its time has come, faster or slower as asked', async () => {
  for (const [speed, expected] of [
    ['1x', [3000, 1500]],
    ['4x', [750, 375]],
    ['0.5x', [6000, 3000]],
  ] as const) {
    const {player: slow, waits, restore} = player({speed})
    try {
      expect(await shown(slow.play(session(0, 3, 4.5)))).toEqual(['d=> q0', 'd=> q1', 'd=> q2'])
      expect(waits).toEqual(expected)
    } finally {
      restore()
    }
  }
})

it('lets no pause be longer than half a second with skipIdle', async () => {
  const {player: quick, waits, restore} = player({skipIdle: true})
  try {
    await shown(quick.play(session(0, 3600, 3600.2)))
    expect(waits).toEqual([500, 200])
  } finally {
    restore()
  }
})

it('is held, stepped, sped up and stopped by keys', async () => {
  const held = new Player({speed: '1x', skipIdle: false, clock: {monotonic: () => performance.now()}})
  const texts = held.play(session(0, 3600, 7200, 7201))
  expect((await texts.next()).value).toContain('q0')
  held.press(' ')
  let isShown = false
  const second = texts.next().then((result) => {
    isShown = true
    return result
  })
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(isShown).toBe(false)
  held.press('\u001b[C')
  expect((await second).value).toContain('q1')
  held.press('.')
  expect((await texts.next()).value).toContain('q2')
  const last = texts.next()
  held.press('q')
  expect((await last).done).toBe(true)
})

it('ends at once when it is told to, also while a live session says nothing', async () => {
  const live = new Player({speed: '1x', skipIdle: false, clock: {monotonic: () => 0}})
  async function* events(): AsyncGenerator<AuditEvent> {
    yield* session(0)
    await new Promise(() => undefined)
  }
  const texts = live.play(events())
  expect((await texts.next()).value).toContain('q0')
  const next = texts.next()
  live.press('\u0003')
  expect((await next).done).toBe(true)
})

it('waits for weeks as one wait after another: a timer of 25 days would be over at once', async () => {
  const {player: patient, waits, restore} = player()
  try {
    const day = 24 * 3600
    expect(await shown(patient.play(session(0, 60 * day)))).toHaveLength(2)
    expect(waits).toEqual([2 ** 31 - 1, 2 ** 31 - 1, 60 * day * 1000 - 2 * (2 ** 31 - 1)])
  } finally {
    restore()
  }
})

it('holds nothing of the events that it has shown', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const used = (): number => {
    collect()
    return process.memoryUsage().heapUsed
  }
  const heaps: number[] = []
  async function* many(): AsyncGenerator<AuditEvent> {
    for (let ei = 0; ei <= 20_000; ei += 1) {
      if (ei % 10_000 === 0) heaps.push(used())
      yield await Promise.resolve({ei, event: 'db.session.query', db_name: 'd', db_query: `${ei} ${'x'.repeat(1000)}`})
    }
  }
  const patient = new Player({speed: '1x', skipIdle: false, clock: {monotonic: () => 0}})
  let count = 0
  for await (const text of patient.play(many())) count += text === '' ? 0 : 1
  expect(count).toBe(20_001)
  const [, before = 0, after = Infinity] = heaps
  // Ten thousand of them have ten million characters.
  expect(after - before).toBeLessThan(5_000_000)
})

it('takes keys that come together one by one', () => {
  const terminal = Object.assign(new PassThrough(), {setRawMode: () => terminal}) as unknown as ReadStream
  const keys: string[] = []
  const stop = listenToKeys(terminal, (each) => keys.push(each))
  terminal.emit('data', Buffer.from('++\u001b[C\u001bOC \u0003'))
  expect(keys).toEqual(['+', '+', '\u001b[C', '\u001bOC', ' ', '\u0003'])
  stop()
})

it('does not wait twice for what a live session has waited already', async () => {
  let now = 0
  const live = new Player({speed: '1x', skipIdle: false, clock: {monotonic: () => now}})
  async function* events(): AsyncGenerator<AuditEvent> {
    yield* session(0)
    now += 3_600_000
    for await (const event of session(0, 3600)) if (event.ei === 1) yield event
  }
  expect(await shown(live.play(events()))).toEqual(['d=> q0', 'd=> q1'])
})
