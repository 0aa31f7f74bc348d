import {describe, expect, it} from '@jest/globals'
import {kindNouns, kinds, parseKind, parseReference} from '../../../src/lib/resources/kinds.js'

describe('a kind', () => {
  it.each([
    ...kinds.map((kind) => [kind, kind]),
    ['roles', 'role'],
    ['Users', 'user'],
    ['provision_token', 'token'],
    ['dbs', 'db'],
    ['DATABASE', 'db'],
    ['database_servers', 'db_server'],
    ['locks', 'lock'],
  ])('%s means %s', (word, kind) => {
    expect(parseKind(word)).toBe(kind)
  })

  it.each(['', 'node', 'constructor', '__proto__', 'role ', 'r'])('is not %j', (word) => {
    expect(() => parseKind(word)).toThrow(expect.objectContaining({code: 'USAGE', exitCode: 2}))
  })

  it('has a noun', () => {
    for (const kind of kinds) expect(kindNouns[kind]).toMatch(/^[a-z ]+$/)
  })
})

describe('a reference', () => {
  it.each([
    ['role', {kind: 'role'}],
    ['roles/', {kind: 'role'}],
    ['role/dba', {kind: 'role', name: 'dba'}],
    ['user/email@example.com', {kind: 'user', name: 'email@example.com'}],
    ['db/a/b', {kind: 'db', name: 'a/b'}],
    ['user/__proto__', {kind: 'user', name: '__proto__'}],
  ])('%s', (text, reference) => {
    expect(parseReference(text)).toEqual(reference)
  })

  it.each(['/dba', '', 'node/x'])('is not %j', (text) => {
    expect(() => parseReference(text)).toThrow(expect.objectContaining({code: 'USAGE'}))
  })
})
