import {expect, it} from '@jest/globals'
import {Pacer} from '../../../src/lib/aws/pacing.js'
import {systemClock, type Clock} from '../../../src/lib/core/clock.js'

const instance = 'db.example.com:5432'
const stays = (): boolean => false

/** Stands still until it is let go: all that is asked for until then is asked for at one moment. */
class HeldClock implements Clock {
  ahead = 0
  #held: number | undefined = systemClock.monotonic()

  now(): number {
    return systemClock.now()
  }

  monotonic(): number {
    return (this.#held ?? systemClock.monotonic()) + this.ahead
  }

  letGo(): void {
    this.#held = undefined
  }
}

/** A pacer that has been told to slow down. */
async function careful(workers?: number): Promise<{pacer: Pacer; clock: HeldClock}> {
  const clock = new HeldClock()
  const pacer = new Pacer({clock, workers})
  await pacer.turn(instance, stays)
  pacer.slowDown(instance)
  return {pacer, clock}
}

/** How many of so many callers are refused at once; the others leave. */
async function refusedOf({pacer, clock}: {pacer: Pacer; clock: HeldClock}, callers: number): Promise<number> {
  let left = false
  const turns = Array.from({length: callers}, () => pacer.turn(instance, () => left))
  const settled = Promise.allSettled(turns)
  clock.letGo()
  left = true
  // Whoever calls next finds that they have left, and does not wait behind them.
  await pacer.turn(instance, stays)
  const codes = (await settled).map((one) => {
    const {cause} = one.status === 'rejected' ? (one.reason as Error & {cause?: {code: string}}) : {}
    return cause?.code
  })
  return codes.filter((code) => code === '53300').length
}

it('nobody waits longer than a client would: the rest is refused at once', async () => {
  // A pause of half a second, then one in 110 ms: 223 get a turn within 25 s.
  expect(await refusedOf(await careful(), 300)).toBe(300 - 223)
})

it('workers share the pace', async () => {
  expect(await refusedOf(await careful(4), 300)).toBe(300 - 56)
})

it('whoever left does not use up a turn', async () => {
  const {pacer, clock} = await careful()
  const order: string[] = []
  let left = false
  const follow = (name: string, isGone: () => boolean): Promise<unknown> =>
    pacer.turn(instance, isGone).then(
      () => order.push(name),
      () => order.push(`${name} left`),
    )
  const gone = Array.from({length: 200}, () => follow('first', () => left))
  const last = follow('last', stays)
  left = true
  clock.letGo()
  await Promise.all([...gone, last])
  expect(order).toEqual([...Array<string>(200).fill('first left'), 'last'])
})

it('an instance is busy when sign-ins come close together', async () => {
  const clock = new HeldClock()
  const pacer = new Pacer({clock})
  for (let count = 0; count < 4; count += 1) await pacer.turn(instance, stays)
  const turn = await pacer.turn(instance, stays)
  expect(pacer.isBusy(instance, turn)).toBe(false)
  await pacer.turn(instance, stays)
  expect(pacer.isBusy(instance, turn)).toBe(true)
  clock.ahead += 2000
  expect(pacer.isBusy(instance, await pacer.turn(instance, stays))).toBe(false)
})

it('a refusal that comes late is about the time of its sign-in', async () => {
  const clock = new HeldClock()
  const pacer = new Pacer({clock})
  const [turn = NaN] = await Promise.all(Array.from({length: 6}, () => pacer.turn(instance, stays)))
  clock.ahead += 50_000
  // Others come and are looked after meanwhile.
  await pacer.turn('another.example.com:5432', stays)
  expect(pacer.isBusy(instance, turn)).toBe(true)
  clock.letGo()
  pacer.slowDown(instance)
  const careful = await pacer.turn(instance, stays)
  expect((await pacer.turn(instance, stays)) - careful).toBeGreaterThan(100)
})
