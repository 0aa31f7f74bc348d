import {randomBytes} from 'node:crypto'
import {describe, expect, it} from '@jest/globals'
import {encodeOid, findExtension} from '../../../src/lib/pki/der.js'
import {identityOid} from '../../../src/lib/pki/identity.js'
import {issue, newAuthority, parsed} from './issued.js'

/** A DER element; the length in its shortest form. */
function element(tag: number, ...contents: Buffer[]): Buffer {
  const body = Buffer.concat(contents)
  const {length} = body
  const header =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, Math.floor(length / 256), length % 256]
  return Buffer.concat([Buffer.from([tag, ...header]), body])
}

const sequence = (...parts: Buffer[]): Buffer => element(0x30, ...parts)
const octets = (text: string): Buffer => element(0x04, Buffer.from(text))
const extension = (value: string, oid = identityOid): Buffer => sequence(encodeOid(oid), octets(value))
const wrap = (...extensions: Buffer[]): Buffer => sequence(sequence(element(0xa3, sequence(...extensions))))

const certificate = parsed(await issue(await newAuthority('user'))).raw

describe('encodeOid', () => {
  it.each([
    ['1.3.6.1.5.5.7.3.1', '06082b06010505070301'],
    ['2.5.29.17', '0603551d11'],
    ['2.25.1', '06026901'],
    ['2.999.3', '0603883703'],
    ['2.25.1584301337', '06066985f3ba8a19'],
  ])('%s', (oid, hex) => {
    expect(encodeOid(oid).toString('hex')).toBe(hex)
  })
})

describe('findExtension', () => {
  it('finds the value in a real certificate', () => {
    expect(JSON.parse(String(findExtension(certificate, identityOid)))).toMatchObject({kind: 'user', user: 'alice'})
  })

  it.each<[string, Buffer, string | undefined]>([
    ['alone', wrap(extension('x')), 'x'],
    ['among others', wrap(extension('a', '2.5.29.17'), extension('x'), extension('b', '2.5.29.37')), 'x'],
    ['marked critical', wrap(sequence(encodeOid(identityOid), element(0x01, Buffer.from([255])), octets('x'))), 'x'],
    ['empty', wrap(extension('')), ''],
    ['twice', wrap(extension('x'), extension('y')), undefined],
    ['absent', wrap(extension('x', '2.5.29.17')), undefined],
    ['under a longer identifier', wrap(extension('x', `${identityOid}.1`)), undefined],
    ['without a value', wrap(sequence(encodeOid(identityOid))), undefined],
    ['of another type', wrap(sequence(encodeOid(identityOid), element(0x0c, Buffer.from('x')))), undefined],
    ['before garbage in the list', wrap(extension('x'), Buffer.from([0x30, 0x05])), undefined],
    ['with bytes after the certificate', Buffer.concat([wrap(extension('x')), Buffer.from([0])]), undefined],
    ['with no list', sequence(sequence()), undefined],
    ['in nothing', Buffer.alloc(0), undefined],
  ])('the extension %s', (_, bytes, value) => {
    expect(findExtension(bytes, identityOid)?.toString()).toBe(value)
  })

  it('finds nothing in any truncation of a certificate', () => {
    for (let length = 0; length < certificate.length; length++) {
      expect(findExtension(certificate.subarray(0, length), identityOid)).toBeUndefined()
    }
  })

  it('survives every byte of a certificate being another', () => {
    for (let offset = 0; offset < certificate.length; offset++) {
      for (const value of [0x00, 0x7f, 0x80, 0x84, 0xff]) {
        const broken = Buffer.from(certificate)
        broken[offset] = value
        expect(() => findExtension(broken, identityOid)).not.toThrow()
      }
    }
  })

  it.each([
    ['an indefinite length', '3080020100'],
    ['a length of 4 GiB', '3084ffffffff00'],
    ['a length of five bytes', '3085000000000100'],
    ['a length without its bytes', '3084ff'],
    ['a length longer than needed', '30810100'],
    ['a length with a leading zero', '3083000080' + '00'.repeat(128)],
  ])('refuses %s', (_, hex) => {
    expect(findExtension(Buffer.from(hex, 'hex'), identityOid)).toBeUndefined()
  })

  it('refuses a list whose length is not in its shortest form', () => {
    const list = extension('x')
    const padded = Buffer.concat([Buffer.from([0x30, 0x81, list.length]), list])
    expect(list.length).toBeLessThan(0x80)
    expect(findExtension(sequence(sequence(element(0xa3, padded))), identityOid)).toBeUndefined()
  })

  it('reads random bytes without harm', () => {
    for (let round = 0; round < 2000; round++) {
      expect(findExtension(Buffer.concat([Buffer.from([0x30]), randomBytes(64)]), identityOid)).toBeUndefined()
    }
  })
})
