import {describe, expect, it} from '@jest/globals'
import {hostRenewalTime, isFresh} from '../../../src/lib/pki/renewal.js'

describe('renewal', () => {
  it('of a host is due at half the certificate’s life', () => {
    expect(hostRenewalTime({notBefore: 1000, notAfter: 5000})).toBe(3000)
  })

  it.each([
    [60_001, true],
    [60_000, false],
    [1, false],
    [0, false],
    [-1, false],
  ])('of a user’s certificate with %i ms left: fresh is %j', (left, fresh) => {
    const now = 1_800_000_000_000
    expect(isFresh(now + left, now)).toBe(fresh)
  })
})
