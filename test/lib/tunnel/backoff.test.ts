import {describe, expect, it} from '@jest/globals'
import {retryDelay} from '../../../src/lib/tunnel/backoff.js'

describe('retryDelay', () => {
  const backoff = {firstMilliseconds: 500, mostMilliseconds: 15_000}

  it('doubles up to the most', () => {
    expect([0, 1, 2, 5, 6, 2000].map((attempt) => retryDelay(attempt, backoff, 1))).toEqual([
      500, 1000, 2000, 15_000, 15_000, 15_000,
    ])
  })

  it('is random in its upper half', () => {
    expect(retryDelay(0, backoff, 0)).toBe(250)
    expect(retryDelay(0, backoff, 0.5)).toBe(375)
  })
})
