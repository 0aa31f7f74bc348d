import type {ServerResponse} from 'node:http'
import {afterEach, describe, expect, it, jest} from '@jest/globals'
import {ApiClient} from '../../../src/lib/api/client.js'
import {WatchClient} from '../../../src/lib/api/watch-client.js'
import type {WatchEvent} from '../../../src/lib/api/watch-event.js'
import type {LogFields, Logger} from '../../../src/lib/core/log.js'
import {silentLogger} from '../../../src/lib/core/log.js'
import {patience} from '../../helpers/patience.js'
import {newAuthority} from '../pki/issued.js'
import {closePlanes, startPlane} from './planes.js'

const authority = await newAuthority()
const role = (name: string): object => ({type: 'put', kind: 'role', name, item: {}})

/** A control plane that writes only what the test says, with the client's own clock in the test's hand. */
class Rig {
  /** The streams so far, newest last. */
  readonly streams: ServerResponse[] = []
  /** The sequences of the pings so far. */
  readonly pings: number[] = []
  /** When they were sent, by the client's clock. */
  readonly #sentAt = new Map<number, number>()
  readonly heard: (WatchEvent | 'start')[] = []
  readonly warnings: (LogFields | undefined)[] = []
  time = 1000
  watch: WatchClient | undefined
  client: ApiClient | undefined

  async start(pingIntervalMilliseconds: number): Promise<WatchClient> {
    const {endpoint} = await startPlane({
      authority,
      answer: (request, response) => {
        if (request.method === 'GET') {
          this.streams.push(response)
          response.writeHead(200).flushHeaders()
          return
        }
        request.setEncoding('utf8').on('data', (body: string) => {
          this.pings.push((JSON.parse(body) as {sequence: number}).sequence)
          response.end()
        })
      },
    })
    this.client = new ApiClient(endpoint, patience)
    const ping = this.client.ping.bind(this.client)
    this.client.ping = (watchId, body) => {
      this.#sentAt.set(body.sequence, this.time)
      return ping(watchId, body)
    }
    const logger: Logger = {...silentLogger, warn: (_message, fields) => this.warnings.push(fields)}
    this.watch = new WatchClient({
      client: this.client,
      clock: {now: () => 0, monotonic: () => this.time},
      logger,
      onStart: () => this.heard.push('start'),
      onEvent: (event) => this.heard.push(event),
      pingIntervalMilliseconds,
    })
    await this.until(() => this.heard.length === 1)
    return this.watch
  }

  say(...events: object[]): void {
    this.streams.at(-1)?.write(events.map((event) => `${JSON.stringify(event)}\n`).join(''))
  }

  /** Everything said so far has been heard. */
  async settled(): Promise<void> {
    const mark = `mark-${this.heard.length}`
    this.say(role(mark))
    await this.until(() => this.heard.some((event) => event !== 'start' && 'name' in event && event.name === mark))
  }

  async until(reached: () => boolean): Promise<void> {
    while (!reached()) await new Promise((resolve) => setTimeout(resolve, 5))
  }

  /** The newest ping that was sent at the present time and has arrived; others may be on their way for long. */
  async nextPing(): Promise<number> {
    const ofNow = (): number[] => this.pings.filter((sequence) => this.#sentAt.get(sequence) === this.time)
    await this.until(() => ofNow().length > 0)
    return Math.max(...ofNow())
  }

  async close(): Promise<void> {
    await this.watch?.close()
    await this.client?.close()
  }
}

let rig: Rig
afterEach(async () => {
  jest.useRealTimers()
  await rig.close()
  closePlanes()
})

/** By default it pings once and never again. */
async function started(pingInterval = 1e6): Promise<WatchClient> {
  rig = new Rig()
  return rig.start(pingInterval)
}

/** Milliseconds between pings, for the tests that need more than one. */
const quick = 20
const hello = {type: 'hello', watchId: 'w'}
const pong = (sequence: number): object => ({type: 'pong', sequence})

describe('a watch', () => {
  it('hands on everything but its own bookkeeping, in order, split as it may come', async () => {
    await started()
    const bytes = Buffer.from(
      [hello, role('é🙂'), {type: 'ready'}, role('b')].map((event) => JSON.stringify(event)).join('\n\n') + '\n',
    )
    for (const byte of bytes) {
      rig.streams[0]?.write(Buffer.from([byte]))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await rig.settled()
    expect(rig.heard.slice(0, 4)).toEqual(['start', role('é🙂'), {type: 'ready'}, role('b')])
  })

  it.each([
    ['ends', (stream: ServerResponse) => stream.end()],
    ['breaks', (stream: ServerResponse) => stream.destroy()],
    ['stops being JSON', (stream: ServerResponse) => stream.write('{"secret-of-a-role": oops}\n')],
    ['holds a line that is no event', (stream: ServerResponse) => stream.write('null\n')],
    ['holds a line without end', (stream: ServerResponse) => stream.write('x'.repeat(4 * 1024 * 1024 + 1))],
  ])('begins anew when its stream %s', async (_, end) => {
    await started()
    rig.say(hello, role('old'))
    await rig.until(() => rig.heard.length === 2)
    const [first] = rig.streams
    if (first) end(first)
    await rig.until(() => rig.streams.length === 2)
    rig.say(hello, role('new'))
    await rig.until(() => rig.heard.length === 4)
    expect(rig.heard).toEqual(['start', role('old'), 'start', role('new')])
    // What a parser says may quote what it read.
    expect(JSON.stringify(rig.warnings)).not.toMatch(/secret|Unexpected|Expected/)
  })

  it('is over when it is closed, whatever it waits for', async () => {
    const watch = await started()
    await watch.close()
    await rig.until(() => rig.streams[0]?.destroyed === true)
    expect(rig.streams).toHaveLength(1)
  })
})

describe('freshness', () => {
  /** A watch whose first ping, number 0, was sent at 1000. */
  async function pinged(pingInterval?: number): Promise<WatchClient> {
    const watch = await started(pingInterval)
    rig.say(hello)
    // There may be more by now, and they travel side by side.
    await rig.until(() => rig.pings.includes(0))
    return watch
  }

  it('does not come from a stream alone, however much it says', async () => {
    const watch = await pinged()
    rig.say(role('a'), {type: 'ready'}, role('b'))
    await rig.settled()
    expect(watch.staleness()).toBe(Infinity)
  })

  it('is that of the moment when the answered ping was sent, not of its answer', async () => {
    const watch = await pinged()
    rig.time = 16_000
    rig.say(pong(0))
    await rig.settled()
    expect(watch.staleness()).toBe(15_000)
  })

  it('grows while old lines drip', async () => {
    const watch = await pinged()
    rig.say(pong(0))
    for (let line = 0; line < 5; line++) {
      rig.time += 1000
      await rig.settled()
    }
    expect(watch.staleness()).toBe(5000)
  })

  it('comes from no answer that is repeated, invented or malformed', async () => {
    const watch = await pinged()
    rig.say(pong(0))
    rig.time = 3000
    rig.say(pong(0), pong(1), pong(-1), pong(1e9), {type: 'pong', sequence: '0'}, {type: 'pong'})
    await rig.settled()
    expect(watch.staleness()).toBe(2000)
  })

  it('comes only from answers in order', async () => {
    const watch = await pinged(quick)
    rig.time = 2000
    const sequence = await rig.nextPing()
    rig.time = 3000
    rig.say(pong(sequence))
    await rig.settled()
    expect(watch.staleness()).toBe(1000)
    rig.say(pong(sequence), pong(sequence - 1), pong(0))
    await rig.settled()
    expect(watch.staleness()).toBe(1000)
  })

  it('outlives the stream, and is not renewed by answers to the pings of another', async () => {
    const watch = await pinged()
    rig.say(pong(0))
    await rig.settled()
    rig.streams[0]?.end()
    await rig.until(() => rig.streams.length === 2)
    rig.time = 5000
    rig.say(pong(0))
    await rig.settled()
    expect(watch.staleness()).toBe(4000)
  })

  it.each([
    ['that answers no ping', [hello, {type: 'ready'}], 11_001],
    ['that says nothing at all', [], 61_001],
  ])('gives up a stream %s', async (_, events, time) => {
    await started(quick)
    rig.say(...events)
    await rig.until(() => events.length === 0 || rig.pings.length > 0)
    rig.time = time
    await rig.until(() => rig.streams.length === 2)
    await rig.until(() => rig.streams[0]?.destroyed === true)
  })

  it('gives up a stream that only repeats old answers', async () => {
    await pinged(quick)
    rig.say({type: 'ready'}, pong(0))
    await rig.settled()
    rig.time = 9000
    rig.say(pong(0))
    await rig.settled()
    rig.time = 11_001
    await rig.until(() => rig.streams.length === 2)
    await rig.until(() => rig.streams[0]?.destroyed === true)
  })

  it('keeps a stream that answers', async () => {
    const watch = await pinged(quick)
    rig.say({type: 'ready'})
    for (let round = 0; round < 4; round++) {
      rig.time += 9000
      rig.say(pong(await rig.nextPing()))
      await rig.settled()
    }
    expect(watch.staleness()).toBe(0)
    expect(rig.streams).toHaveLength(1)
  })

  it('keeps a stream for the time in which its own process was held up', async () => {
    // Pings go when the test says so.
    jest.useFakeTimers({
      doNotFake: ['setTimeout', 'setImmediate', 'nextTick', 'queueMicrotask', 'performance', 'Date', 'hrtime'],
    })
    const interval = 2000
    const watch = await pinged(interval)
    rig.say({type: 'ready'}, pong(0))
    await rig.settled()
    rig.time += 60_000
    jest.advanceTimersByTime(interval)
    rig.say(pong(await rig.nextPing()))
    await rig.settled()
    rig.time += interval
    jest.advanceTimersByTime(interval)
    await rig.settled()
    expect(watch.staleness()).toBe(interval)
    expect(rig.streams).toHaveLength(1)
  })

  it('waits longer for an answer behind all there is to know', async () => {
    await pinged(quick)
    rig.time = 30_000
    await rig.nextPing()
    expect(rig.streams).toHaveLength(1)
  })
})
