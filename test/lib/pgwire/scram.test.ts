import {describe, expect, it} from '@jest/globals'
import {Secret} from '../../../src/lib/core/secret.js'
import {md5Password} from '../../../src/lib/pgwire/md5-password.js'
import {startScram} from '../../../src/lib/pgwire/scram.js'

// The exchange of RFC 7677 §3.
const nonce = 'rOprNGfwEbeRWgbNEkqO'
const serverFirst = 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096'
const serverFinal = 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4='
const exchange = () => startScram(new Secret('pencil'), {user: 'user', nonce})

describe('SCRAM-SHA-256', () => {
  it('makes the messages of RFC 7677', async () => {
    const {first, respond} = exchange()
    expect(first).toBe('n,,n=user,r=rOprNGfwEbeRWgbNEkqO')
    const {final, verify} = await respond(serverFirst)
    expect(final).toBe(
      'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
    )
    expect(() => {
      verify(serverFinal)
    }).not.toThrow()
  })

  it.each([
    ['another signature', 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl96G4='],
    ['a short one', 'v=6rri'],
    ['an empty one', 'v='],
    ['none', ''],
    ['an error', 'e=other-error'],
  ])('refuses a server that sends %s for its proof', async (_, message) => {
    const {verify} = await exchange().respond(serverFirst)
    expect(() => {
      verify(message)
    }).toThrow(expect.objectContaining({code: 'UNTRUSTED'}))
  })

  const salt = 's=W22ZaJ0SNY7soEsUEjb6gQ=='
  it.each([
    ['a foreign nonce', `r=abcdefghijklmnopqrstuvwx,${salt},i=4096`],
    ['our nonce unextended', `r=${nonce},${salt},i=4096`],
    ['a nonce of 64 KiB', `r=${nonce}${'x'.repeat(65_536)},${salt},i=4096`],
    ['2^31 rounds', `r=${nonce}x,${salt},i=2147483648`],
    ['more rounds than the cap', `r=${nonce}x,${salt},i=1000001`],
    ['fewer rounds than RFC 7677 asks', `r=${nonce}x,${salt},i=4095`],
    ['a single round', `r=${nonce}x,${salt},i=1`],
    ['no rounds', `r=${nonce}x,${salt},i=0`],
    ['rounds in another notation', `r=${nonce}x,${salt},i=1e9`],
    ['no salt', `r=${nonce}x,s=,i=4096`],
    ['a salt that is no base64', `r=${nonce}x,s=!!,i=4096`],
    ['a salt of 64 KiB', `r=${nonce}x,s=${'A'.repeat(65_536)},i=4096`],
    ['a mandatory extension', `m=x,r=${nonce}x,${salt},i=4096`],
    ['fields out of order', `${salt},r=${nonce}x,i=4096`],
    ['nothing', ''],
  ])('B10: refuses a challenge with %s before any work', async (_, challenge) => {
    await expect(exchange().respond(challenge)).rejects.toMatchObject({code: 'UNTRUSTED'})
  })

  it('takes a nonce of its own each time and writes names so that they cannot end early', () => {
    const options = {user: 'a,r=b'}
    const first = startScram(new Secret('x'), options).first
    expect(first).toMatch(/^n,,n=a=2Cr=3Db,r=[A-Za-z0-9+/]{24}$/)
    expect(startScram(new Secret('x'), options).first).not.toBe(first)
  })

  it('gives the same proof for spellings that SASLprep makes equal, and only for those', async () => {
    const proof = async (password: string): Promise<string> =>
      (await startScram(new Secret(password), {nonce}).respond(serverFirst)).final
    const plain = await proof('IX a')
    // The examples of RFC 4013 §3, a no-break space and a Roman numeral.
    for (const spelling of ['I\u00adX a', '\u2168 \u00aa', 'IX\u00a0a', '\ufeffIX a']) {
      expect(await proof(spelling)).toBe(plain)
    }
    expect(await proof('ix a')).not.toBe(plain)
  })
})

it('an MD5 answer is hashed with the user and then with the salt', () => {
  // md5(md5("secret" + "alice") + 01020304), worked out with openssl.
  const answer = md5Password('alice', new Secret('secret'), Buffer.from([1, 2, 3, 4]))
  expect(answer).toBe('md598a0412b9c31436fc53776e863350083')
})
