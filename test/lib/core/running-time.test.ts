import {setImmediate as nextTurn} from 'node:timers/promises'
import {describe, expect, it} from '@jest/globals'
import {systemClock} from '../../../src/lib/core/clock.js'
import {afterRunning, lookWhileRunning} from '../../../src/lib/core/running-time.js'

function holdUp(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}

describe('the time that a process runs', () => {
  it('has turns for what arrived while it was held up', async () => {
    let isOver = false
    const over = new Promise<void>((resolve) => {
      afterRunning(100, () => {
        isOver = true
        resolve()
      })
    })
    holdUp(500)
    // In each turn one part of it passes at most.
    for (let turn = 0; turn < 5; turn += 1) await nextTurn()
    expect(isOver).toBe(false)
    await over
  })

  it('ends once, and not at all when nobody waits for it any more', async () => {
    let ends = 0
    const count = (): void => void (ends += 1)
    afterRunning(10, count)
    const forget = afterRunning(10, count)
    forget()
    await new Promise<void>((resolve) => afterRunning(200, resolve))
    expect(ends).toBe(1)
  })
})

describe('looks again and again', () => {
  it('leave one out after the process was held up', async () => {
    let ahead = 0
    const clock = {...systemClock, monotonic: () => systemClock.monotonic() + ahead}
    let looks = 0
    const looking = lookWhileRunning(20, clock, () => void (looks += 1))
    try {
      while (looks < 2) await nextTurn()
      looks = 0
      ahead = 1000
      holdUp(100)
      await nextTurn()
      expect(looks).toBe(0)
      while (looks < 2) await nextTurn()
    } finally {
      clearInterval(looking)
    }
  })

  it('go on in a process that is always late', async () => {
    let now = 0
    let looks = 0
    const looking = lookWhileRunning(1, {...systemClock, monotonic: () => (now += 1000)}, () => void (looks += 1))
    while (looks < 3) await nextTurn()
    clearInterval(looking)
  })
})
