import {describe, expect, it} from '@jest/globals'
import {describeDuration, formatDuration, formatShortDuration, parseDuration} from '../../../src/lib/core/duration.js'

const second = 1000
const minute = 60 * second
const hour = 60 * minute

describe('parseDuration', () => {
  it.each([
    ['0', 0],
    ['0s', 0],
    ['30m', 30 * minute],
    ['12h', 12 * hour],
    ['1h30m', 90 * minute],
    ['12h0m0s', 12 * hour],
    ['1.5h', 90 * minute],
    ['250ms', 250],
    ['1500us', 2],
    ['1500µs', 2],
    [' 5s ', 5 * second],
  ])('reads %j', (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds)
  })

  it.each(['', ' ', '5', 'm', '-1h', '1h 30m', '1d', '1h30', '1hx', '.5h', '1.h', '1e3s', '9'.repeat(400) + 'h', '١h'])(
    'refuses %j',
    (text) => {
      expect(() => parseDuration(text)).toThrow(expect.objectContaining({code: 'INVALID'}))
    },
  )
})

describe('the forms of a duration', () => {
  it.each([
    [12 * hour, '12h0m0s', '12h', '12 hours'],
    [90 * minute, '1h30m0s', '1h30m', '1 hour 30 minutes'],
    [30 * minute, '30m0s', '30m', '30 minutes'],
    [61 * second, '1m1s', '1m1s', '1 minute 1 second'],
    [45 * second, '45s', '45s', '45 seconds'],
    [0, '0s', '0s', '0 seconds'],
    [-5 * hour, '0s', '0s', '0 seconds'],
  ])('%i ms is %s, %s, %s', (milliseconds, exact, short, words) => {
    expect(formatDuration(milliseconds)).toBe(exact)
    expect(formatShortDuration(milliseconds)).toBe(short)
    expect(describeDuration(milliseconds)).toBe(words)
  })

  it('is read back as written', () => {
    for (const milliseconds of [0, second, 59 * minute + second, 100 * hour]) {
      expect(parseDuration(formatDuration(milliseconds))).toBe(milliseconds)
    }
  })
})
