import {expect, it} from '@jest/globals'
import {X509Certificate} from 'node:crypto'
import type {PeerCertificate} from 'node:tls'
import {createAuthority, issueCertificate} from '../../../src/lib/pki/issuing.js'
import {generateKeys} from '../../../src/lib/pki/keys.js'
import {checkServerNames} from '../../../src/lib/pki/server-names.js'

async function certificateOf(commonName: string, hosts: readonly string[]): Promise<PeerCertificate> {
  const now = Date.now()
  const keys = await generateKeys()
  const pem = await issueCertificate({
    authority: await createAuthority({cluster: 'test', type: 'host', now}),
    publicKey: keys.publicKey,
    commonName,
    purposes: ['server'],
    hosts,
    notBefore: now,
    notAfter: now + 60_000,
  })
  return new X509Certificate(pem).toLegacyObject()
}

it('a server is known by its alternative names, never by its common name', async () => {
  const named = await certificateOf('other.example.com', ['db.example.com'])
  expect(checkServerNames('db.example.com', named)).toBeUndefined()
  expect(checkServerNames('other.example.com', named)).toMatchObject({code: 'ERR_TLS_CERT_ALTNAME_INVALID'})
  const nameless = await certificateOf('db.example.com', [])
  expect(checkServerNames('db.example.com', nameless)).toMatchObject({code: 'UNTRUSTED'})
})

it('addresses and e-mail names in a certificate do not let its common name count', async () => {
  const {subjectaltname, ...addressed} = await certificateOf('db.example.com', ['192.0.2.1'])
  expect(subjectaltname).toBe('IP Address:192.0.2.1')
  for (const names of [subjectaltname, 'email:admin@example.com']) {
    const shown = {...addressed, subjectaltname: names} as PeerCertificate
    expect(shown.subject.CN).toBe('db.example.com')
    expect(checkServerNames('db.example.com', shown)).toMatchObject({code: 'ERR_TLS_CERT_ALTNAME_INVALID'})
  }
  expect(checkServerNames('192.0.2.1', {...addressed, subjectaltname} as PeerCertificate)).toBeUndefined()
})
