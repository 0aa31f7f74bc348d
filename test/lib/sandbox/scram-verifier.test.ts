import {createHmac} from 'node:crypto'
import {describe, expect, it} from '@jest/globals'
import {Secret} from '../../../src/lib/core/secret.js'
import {startScram} from '../../../src/lib/pgwire/scram.js'
import {answerScram, isPassword, parseVerifier, verifierOf} from '../../../src/lib/sandbox/scram-verifier.js'

const pencil = new Secret('pencil')

it('a verifier proves the server as in the example of RFC 7677', () => {
  const verifier = verifierOf(pencil, Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'), 4096)
  const nonce = 'rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0'
  const signed = `n=user,r=rOprNGfwEbeRWgbNEkqO,r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=${nonce}`
  const proof = createHmac('sha256', verifier.serverKey).update(signed).digest('base64')
  expect(proof).toBe('6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')
})

describe('a verifier', () => {
  it('is read from PostgreSQL’s own form', () => {
    const {salt, storedKey, serverKey, iterations} = verifierOf(pencil)
    const [a = '', b = '', c = ''] = [salt, storedKey, serverKey].map((part) => part.toString('base64'))
    const verifier = parseVerifier(`SCRAM-SHA-256$${iterations}:${a}$${b}:${c}`)
    expect(verifier && isPassword(pencil, verifier)).toBe(true)
    expect(verifier && isPassword(new Secret('pen'), verifier)).toBe(false)
  })

  it.each(['', 'md5aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'SCRAM-SHA-256$x'])('is not read from %j', (text) => {
    expect(parseVerifier(text)).toBeUndefined()
  })
})

describe('the exchange', () => {
  const verifier = verifierOf(pencil)

  it('convinces both sides', async () => {
    const client = startScram(pencil)
    const server = answerScram(client.first, verifier)
    const final = await client.respond(server?.challenge ?? '')
    final.verify(server?.finish(final.final) ?? '')
  })

  it('fails with another password', async () => {
    const client = startScram(new Secret('pen'))
    const server = answerScram(client.first, verifier)
    const {final} = await client.respond(server?.challenge ?? '')
    expect(server?.finish(final)).toBeUndefined()
  })

  it('fails when the final message is about another exchange', async () => {
    const client = startScram(pencil)
    const server = answerScram(client.first, verifier)
    const {final} = await client.respond(server?.challenge ?? '')
    expect(server?.finish(final)).toMatch(/^v=/)
    const changes = [final.replace(/^c=[^,]*/, 'c=eSws'), final.replace(/,r=/, ',r=x'), `m=x,${final}`, '']
    expect(changes.map((change) => server?.finish(change))).toEqual([undefined, undefined, undefined, undefined])
  })

  it.each(['', 'n=,r=x', 'p=tls-unique,,n=,r=x', 'n,,n='])('does not begin with %j', (first) => {
    expect(answerScram(first, verifier)).toBeUndefined()
  })
})
