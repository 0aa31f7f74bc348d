import {describe, expect, it} from '@jest/globals'
import {PosternError} from '../../../src/lib/core/errors.js'
import {decodeIdentity, encodeIdentity, maximumIdentityBytes, type Identity} from '../../../src/lib/pki/identity.js'
import {hostIdentity, issue, newAuthority, parsed, userIdentity} from './issued.js'
import {certificateWith} from './forged.js'

const authority = await newAuthority('user')
const route = {database: 'aurora', protocol: 'postgres', dbUser: 'alice', dbName: 'dev', dbRoles: []} as const
const databaseIdentity = userIdentity({usage: 'db', route: {...route, dbRoles: []}})

const malformed = (changes: object, identity: Identity = userIdentity()): Identity => ({...identity, ...changes})

describe('an identity', () => {
  it.each<[string, Identity]>([
    ['of a login', userIdentity()],
    ['of a database session', databaseIdentity],
    ['of a host', hostIdentity()],
    ['of a host with a scope', {...hostIdentity(), databases: ['aurora'], labels: {env: 'dev'}}],
    ['with every kind of character', userIdentity({user: 'é,=" \\ 🙂', traits: {'a b': ['"}]']}})],
  ])('%s comes out of the certificate as it went in', async (_, identity) => {
    const certificate = parsed(await issue(authority, {identity}))
    expect(decodeIdentity(certificate.raw)).toEqual(identity)
  })

  it.each<[string, Identity]>([
    ['no user', malformed({user: ''})],
    ['a user name too long', malformed({user: 'x'.repeat(257)})],
    ['too many roles', malformed({roles: Array.from({length: 257}, () => 'r')})],
    ['an unknown usage', malformed({usage: 'root'})],
    ['an unknown kind', malformed({kind: 'admin'})],
    ['a key of its own', malformed({admin: true})],
    ['a trait that is no list', malformed({traits: {db_users: '*'}})],
    ['no end', malformed({loginExpires: 'never'})],
    ['another protocol', malformed({route: {...route, protocol: 'mysql'}}, databaseIdentity)],
    ['the usage db without a route', malformed({usage: 'db'})],
    ['a route with the usage login', malformed({usage: 'login'}, databaseIdentity)],
    ['a host id that is no UUID', malformed({hostId: '../x'}, hostIdentity())],
    ['a host without a system role', malformed({systemRoles: []}, hostIdentity())],
    ['an unknown system role', malformed({systemRoles: ['Root']}, hostIdentity())],
  ])('with %s goes into no certificate', (_, identity) => {
    expect(() => encodeIdentity(identity)).toThrow(expect.objectContaining({code: 'INVALID'}))
  })

  it('has a size limit that counts bytes', () => {
    const withTrait = (value: string): Identity => userIdentity({traits: {a: Array.from({length: 9}, () => value)}})
    const free = maximumIdentityBytes - encodeIdentity(withTrait('')).length
    const wide = Array.from({length: 9}, () => 'x'.repeat(Math.floor(free / 9)))
    expect(encodeIdentity(userIdentity({traits: {a: wide}})).length).toBeLessThanOrEqual(maximumIdentityBytes)
    expect(() => encodeIdentity(withTrait('x'.repeat(Math.floor(free / 9) + 1)))).toThrow(/larger than 8192 bytes/)
    expect(() => encodeIdentity(withTrait('é'.repeat(Math.floor(free / 18) + 1)))).toThrow(/larger than 8192 bytes/)
  })
})

describe('decodeIdentity', () => {
  it.each<[string, string | Buffer]>([
    ['nothing', ''],
    ['text', 'alice'],
    ['null', 'null'],
    ['a list', '[]'],
    ['an unknown key', JSON.stringify({...userIdentity(), admin: true})],
    ['a missing field', JSON.stringify({kind: 'user', usage: 'login', user: 'alice'})],
    ['two objects', JSON.stringify(userIdentity()).repeat(2)],
    ['bytes that are no UTF-8', Buffer.from(JSON.stringify(userIdentity({user: 'aliceÿ'})), 'latin1')],
    ['a byte order mark', `\uFEFF\uFEFF${JSON.stringify(userIdentity())}`],
    ['more than the limit', JSON.stringify(userIdentity()) + ' '.repeat(maximumIdentityBytes)],
    ['nested lists without end', '['.repeat(maximumIdentityBytes)],
  ])('refuses %s', async (_, value) => {
    const certificate = await certificateWith(authority, [Buffer.from(value)])
    expect(() => decodeIdentity(certificate.raw)).toThrow(PosternError)
    expect(() => decodeIdentity(certificate.raw)).toThrow(expect.objectContaining({code: 'ACCESS_DENIED'}))
  })

  it('does not let a prototype key in', async () => {
    const text = JSON.stringify(userIdentity()).replace('"traits":{', '"traits":{"__proto__":["*"],')
    const certificate = await certificateWith(authority, [Buffer.from(text)])
    const identity = decodeIdentity(certificate.raw)
    expect(identity).toEqual(userIdentity())
    expect(Object.hasOwn(identity.kind === 'user' ? identity.traits : {}, '__proto__')).toBe(false)
  })
})
