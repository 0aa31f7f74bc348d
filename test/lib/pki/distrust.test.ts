import {describe, expect, it} from '@jest/globals'
import {reasonOfDistrust} from '../../../src/lib/pki/distrust.js'

describe('the reason of a certificate that is not trusted', () => {
  it.each([
    ['unable to verify the first certificate', 'unable to verify the first certificate'],
    [
      'unable to verify the first certificate; if the root CA is installed locally, try running Node.js with --use-system-ca',
      'unable to verify the first certificate',
    ],
    ['certificate has expired', 'certificate has expired'],
  ])('is what OpenSSL says, whatever Node adds: %s', (message, reason) => {
    expect(reasonOfDistrust(new Error(message))).toBe(reason)
  })
})
