import {generateKeyPairSync, X509Certificate} from 'node:crypto'
import {describe, expect, it} from '@jest/globals'
import {decodeIdentity} from '../../../src/lib/pki/identity.js'
import {readPublicKey} from '../../../src/lib/pki/keys.js'
import {createAuthority} from '../../../src/lib/pki/issuing.js'
import {subjectOf} from './forged.js'
import {cluster, hour, issue, minute, newAuthority, parsed, userIdentity} from './issued.js'

const authority = await newAuthority()
const now = Date.now()
const toSecond = (time: number): number => Math.floor(time / 1000) * 1000
const year = 365 * 24 * hour

describe('createAuthority', () => {
  it('makes a certificate that signs itself, names the cluster and may sign', () => {
    const certificate = parsed(authority)
    expect(certificate.ca).toBe(true)
    expect(certificate.verify(certificate.publicKey)).toBe(true)
    expect(certificate.subject).toBe(`CN=${cluster} host CA\nO=${cluster}`)
    expect(certificate.issuer).toBe(certificate.subject)
  })

  it('is valid an hour ago, for clocks that are behind, and for ten years', async () => {
    const certificate = parsed(await newAuthority('db', now))
    expect(Date.parse(certificate.validFrom)).toBe(toSecond(now - hour))
    expect(Date.parse(certificate.validTo)).toBe(toSecond(now + 10 * year))
  })

  it('gives each its own key and serial number', async () => {
    const other = await newAuthority()
    expect(parsed(other).serialNumber).not.toBe(parsed(authority).serialNumber)
    expect(other.privateKey.reveal()).not.toBe(authority.privateKey.reveal())
  })

  it('writes dates beyond 2049 as well', async () => {
    const certificate = parsed(await createAuthority({cluster, type: 'host', now: Date.parse('2045-06-01T00:00:00Z')}))
    expect(new Date(certificate.validTo).getUTCFullYear()).toBe(2055)
  })
})

describe('issueCertificate', () => {
  it('makes a leaf of the authority', async () => {
    const certificate = parsed(await issue(authority))
    expect(certificate.ca).toBe(false)
    expect(certificate.checkIssued(parsed(authority))).toBe(true)
    expect(certificate.verify(parsed(authority).publicKey)).toBe(true)
    expect(certificate.serialNumber).toMatch(/^[4-7][0-9A-F]{31}$/)
  })

  it.each([
    [['client'] as const, ['1.3.6.1.5.5.7.3.2']],
    [['server'] as const, ['1.3.6.1.5.5.7.3.1']],
    [['server', 'client'] as const, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']],
  ])('for the purposes %j', async (purposes, usages) => {
    expect(parsed(await issue(authority, {purposes})).keyUsage).toEqual(usages)
  })

  it.each<[string[], string | undefined]>([
    [['db.example.com'], 'DNS:db.example.com'],
    [['localhost', '127.0.0.1', '::1'], 'DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1'],
    [[], undefined],
  ])('with exactly the names %j', async (hosts, names) => {
    expect(parsed(await issue(authority, {hosts})).subjectAltName).toBe(names)
  })

  it('keeps a name with a comma one name', async () => {
    const certificate = parsed(await issue(authority, {hosts: ['a, DNS:evil.example.com'], commonName: 'x'}))
    expect(certificate.checkHost('evil.example.com')).toBeUndefined()
  })

  it.each([
    'alice',
    'email@example.com',
    'a,b',
    'a=b',
    'a"b"',
    "a'b",
    'a\\b',
    'a+b',
    'a/CN=root',
    'alice, CN=root',
    'alice,CN=root',
    'alice\nCN=root',
    'alice+CN=root',
    'CN=root',
    '#30',
    ' padded ',
    'ünïcödé 日本語 🙂',
    'x'.repeat(256),
  ])('keeps the common name %j one attribute', async (commonName) => {
    const {certificate} = await issue(authority, {commonName})
    expect(subjectOf(certificate)).toEqual([{CN: [commonName]}])
  })

  it('carries the identity beside the name', async () => {
    const identity = userIdentity({user: 'bob'})
    expect(decodeIdentity(parsed(await issue(authority, {identity})).raw)).toEqual(identity)
  })

  it('refuses an identity that its schema refuses', async () => {
    const identity = userIdentity({user: ''})
    await expect(issue(authority, {identity})).rejects.toMatchObject({code: 'INVALID'})
  })

  it('is valid as asked, to the second', async () => {
    const certificate = parsed(await issue(authority, {notBefore: now - 5 * minute, notAfter: now + 5 * minute}))
    expect(Date.parse(certificate.validFrom)).toBe(toSecond(now - 5 * minute))
    expect(Date.parse(certificate.validTo)).toBe(toSecond(now + 5 * minute))
  })

  it('never outlives its authority', async () => {
    const certificate = parsed(await issue(authority, {notAfter: now + 100 * year}))
    expect(certificate.validTo).toBe(parsed(authority).validTo)
  })

  it.each([
    ['ECDSA P-256', generateKeyPairSync('ec', {namedCurve: 'P-256'})],
    ['ECDSA P-384', generateKeyPairSync('ec', {namedCurve: 'P-384'})],
    ['Ed25519', generateKeyPairSync('ed25519')],
    ['RSA 2048', generateKeyPairSync('rsa', {modulusLength: 2048})],
  ])('for an %s key', async (_, {publicKey, privateKey}) => {
    const pem = readPublicKey(publicKey.export({type: 'spki', format: 'pem'}).toString())
    const certificate = new X509Certificate((await issue(authority, {publicKey: pem})).certificate)
    expect(certificate.checkPrivateKey(privateKey)).toBe(true)
    expect(certificate.verify(parsed(authority).publicKey)).toBe(true)
  })
})
