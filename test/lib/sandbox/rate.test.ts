import {expect, it} from '@jest/globals'
import {Rate} from '../../../src/lib/sandbox/rate.js'

it('takes as many at once as come in a second, and more as time goes on', () => {
  const rate = new Rate()
  const take = (now: number, key = 'a'): boolean => rate.take(key, 2, now)
  expect([take(0), take(0), take(0), take(499), take(500), take(500)]).toEqual([true, true, false, false, true, false])
  expect([take(500, 'b'), take(60_000), take(60_000), take(60_000)]).toEqual([true, true, true, false])
})

it('has no limit when there is none', () => {
  const rate = new Rate()
  expect(Array.from({length: 100}, () => rate.take('a', Infinity, 0))).not.toContain(false)
})
