import {describe, expect, it} from '@jest/globals'
import {Cancels} from '../../../src/lib/agent/cancels.js'
import {systemClock} from '../../../src/lib/core/clock.js'

describe('Cancels', () => {
  let now = 0
  const clock = {...systemClock, monotonic: () => now}

  it('lets two sessions have the same process id on different servers', async () => {
    const cancels = new Cancels(clock)
    const cancelled: string[] = []
    const register = (name: string): ReturnType<Cancels['register']> =>
      cancels.register({user: 'alice', pid: 7, minor: 0}, () => {
        cancelled.push(name)
        return Promise.resolve()
      })
    const [first, second] = [register('first'), register('second')]
    await cancels.present('alice', second.key)
    expect(cancelled).toEqual(['second'])
    second.forget()
    await cancels.present('alice', second.key)
    await cancels.present('alice', first.key)
    expect(cancelled).toEqual(['second', 'first'])
  })

  it('stops listening to a user who guesses, and not to the others', async () => {
    const cancels = new Cancels(clock)
    let cancelled = 0
    const {key} = cancels.register({user: 'alice', pid: 7, minor: 2}, () => {
      cancelled += 1
      return Promise.resolve()
    })
    const {key: bobs} = cancels.register({user: 'bob', pid: 8, minor: 0}, () => {
      cancelled += 10
      return Promise.resolve()
    })
    for (let guess = 0; guess < 100; guess += 1) await cancels.present('alice', {pid: 7, secret: Buffer.alloc(32)})
    await cancels.present('alice', key)
    expect(cancelled).toBe(0)
    await cancels.present('bob', bobs)
    expect(cancelled).toBe(10)
    now += 1000
    await cancels.present('alice', key)
    expect(cancelled).toBe(11)
  })
})
