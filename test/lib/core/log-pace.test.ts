import {expect, it} from '@jest/globals'
import {LogPace} from '../../../src/lib/core/log-pace.js'

it('lets so many lines through in a period, and says in the next how many were left out', () => {
  let now = 5000
  const pace = new LogPace(() => now)
  const taken = (count: number): unknown[] => Array.from({length: count}, () => pace.take())
  expect(taken(200)).toEqual(Array.from({length: 200}, () => ({})))
  now += 9999
  expect(taken(50)).toEqual(Array.from({length: 50}, () => undefined))
  now += 1
  expect(taken(2)).toEqual([{left_out: 50}, {}])
  now += 20_000
  expect(taken(1)).toEqual([{}])
})
