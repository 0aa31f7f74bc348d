import {createPublicKey, generateKeyPairSync} from 'node:crypto'
import {inspect} from 'node:util'
import {describe, expect, it} from '@jest/globals'
import {generateKeys, publicKeyOf, readPublicKey} from '../../../src/lib/pki/keys.js'

const spki = ({publicKey}: {publicKey: ReturnType<typeof createPublicKey>}): string =>
  publicKey.export({type: 'spki', format: 'pem'}).toString()

const good = spki(generateKeyPairSync('ec', {namedCurve: 'P-256'}))

describe('generateKeys', () => {
  it('makes a new P-256 pair whose halves belong together', async () => {
    const [one, other] = await Promise.all([generateKeys(), generateKeys()])
    expect(createPublicKey(one.publicKey).asymmetricKeyDetails).toEqual({namedCurve: 'prime256v1'})
    expect(publicKeyOf(one.privateKey)).toBe(one.publicKey)
    expect(other.publicKey).not.toBe(one.publicKey)
  })

  it('hides the private half', async () => {
    expect(inspect(await generateKeys(), {depth: null})).not.toContain('PRIVATE KEY')
  })
})

describe('readPublicKey', () => {
  it('gives the key back in one form', () => {
    expect(readPublicKey(good.replaceAll('\n', '\r\n'))).toBe(good)
    expect(readPublicKey(`some text before\n${good}and after`)).toBe(good)
  })

  it.each<[string, string]>([
    ['nothing', ''],
    ['text', 'BEGIN PUBLIC KEY'],
    ['damaged base64', good.replace('MFkw', '!!!!')],
    ['a truncated key', `${good.slice(0, 80)}\n-----END PUBLIC KEY-----\n`],
    ['a private key', generateKeyPairSync('ed25519').privateKey.export({type: 'pkcs8', format: 'pem'}).toString()],
    ['a small RSA key', spki(generateKeyPairSync('rsa', {modulusLength: 1024}))],
    ['an RSA-PSS key', spki(generateKeyPairSync('rsa-pss', {modulusLength: 2048}))],
    ['another curve', spki(generateKeyPairSync('ec', {namedCurve: 'secp256k1'}))],
    ['a key exchange', spki(generateKeyPairSync('x25519'))],
    ['DSA', spki(generateKeyPairSync('dsa', {modulusLength: 1024, divisorLength: 160}))],
    ['more than any key', `${good}${' '.repeat(4096)}`],
  ])('refuses %s', (_, pem) => {
    expect(() => readPublicKey(pem)).toThrow(expect.objectContaining({code: 'INVALID'}))
  })
})
