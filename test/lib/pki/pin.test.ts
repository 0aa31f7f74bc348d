import {X509Certificate} from 'node:crypto'
import {describe, expect, it} from '@jest/globals'
import {checkPinForm, pinnedCertificates, pinOf} from '../../../src/lib/pki/pin.js'
import {newAuthority} from './issued.js'

const [ours, next, foreign] = await Promise.all([newAuthority(), newAuthority(), newAuthority()])
const hex = '0123456789abcdef'.repeat(4)

/** OpenSSL: x509 -pubkey | pkey -pubin -outform der | sha256 */
const known = `-----BEGIN CERTIFICATE-----
MIIBczCCARmgAwIBAgIUfZLdiXhpC1J8/UzUmAvRjfMskv8wCgYIKoZIzj0EAwIw
DjEMMAoGA1UEAwwDcGluMCAXDTI2MTEyMTAxNDgyOVoYDzIxMjYxMDI4MDE0ODI5
WjAOMQwwCgYDVQQDDANwaW4wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ70yYA
wTjVVChzgQPKL0HybhUoa/+5YmOdYrebiVv0xN2g4dsrDQXEMHN0TWDFFEThcrtV
XChKMFHD0yIYWcZ6o1MwUTAdBgNVHQ4EFgQUxzmtQnmUDQxsF8XqOh9+c4BjDg4w
HwYDVR0jBBgwFoAUxzmtQnmUDQxsF8XqOh9+c4BjDg4wDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNIADBFAiEAuEKlngYXX9XLce5MznogYG/95fnZaKcqI6zZ
Hci8j3MCIB15+kXq5q8svad51IQFluHZ8qvxdXic/BVXLsldbbyR
-----END CERTIFICATE-----`

describe('a pin', () => {
  it('is the SHA-256 of the public key, so a renewed certificate keeps it', () => {
    expect(pinOf(ours.certificate)).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect(pinOf(known)).toBe('sha256:e6a054583db299b57810bb2afc15a810e4c4d7669c088b39e971e665ddbbfc46')
  })

  it('has one form', () => {
    expect(() => {
      checkPinForm(`sha256:${hex}`)
    }).not.toThrow()
  })

  it.each([
    '',
    hex,
    `sha1:${hex}`,
    `sha256:${hex}0`,
    `sha256:${hex.slice(1)}`,
    `sha256:${hex.toUpperCase()}`,
    ` sha256:${hex}`,
    `sha256:${hex}\n`,
    `sha256:${hex},sha256:${hex}`,
  ])('is not %j', (pin) => {
    expect(() => {
      checkPinForm(pin)
    }).toThrow(expect.objectContaining({code: 'INVALID'}))
  })
})

describe('pinnedCertificates', () => {
  const shown = [ours, next, foreign].map(({certificate}) => certificate)

  it('keeps what is pinned and drops the rest', () => {
    expect(pinnedCertificates(shown, [pinOf(ours.certificate)])).toEqual([ours.certificate])
    expect(
      pinnedCertificates(
        shown,
        [next, ours].map(({certificate}) => pinOf(certificate)),
      ),
    ).toEqual([ours, next].map(({certificate}) => certificate))
  })

  it.each<[string, string[]]>([
    ['another authority', [foreign.certificate]],
    ['nothing', []],
    ['no certificate at all', ['', 'x', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----']],
    ['the pinned one behind another', [`${foreign.certificate}${ours.certificate}`]],
  ])('trusts nobody when it is shown %s', (_, certificates) => {
    expect(() => pinnedCertificates(certificates, [pinOf(ours.certificate)])).toThrow(
      expect.objectContaining({code: 'UNTRUSTED', exitCode: 7}),
    )
  })

  it('trusts no second certificate that hides behind the pinned one', () => {
    const [kept = '', ...more] = pinnedCertificates([ours.certificate + foreign.certificate], [pinOf(ours.certificate)])
    expect(more).toEqual([])
    expect(kept.match(/BEGIN CERTIFICATE/g)).toHaveLength(1)
    expect(new X509Certificate(kept).fingerprint256).toBe(new X509Certificate(ours.certificate).fingerprint256)
  })

  it('refuses a list with one pin out of form', () => {
    expect(() => pinnedCertificates(shown, [pinOf(ours.certificate), 'sha256:'])).toThrow(
      expect.objectContaining({code: 'INVALID'}),
    )
  })
})
