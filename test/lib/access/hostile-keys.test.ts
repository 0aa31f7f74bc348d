import {describe, expect, it} from '@jest/globals'
import {permits} from '../../../src/lib/access/rules.js'
import {selects} from '../../../src/lib/access/selector.js'
import {asked, decided, everything, role} from './asked.js'

const all = role('all', {allow: everything})
/** An object whose prototype's names are keys of its own. */
const own = (text: string): Record<string, string> => JSON.parse(text) as Record<string, string>

describe('names that every object has', () => {
  it.each(['constructor', 'toString', 'hasOwnProperty', '__proto__'])('%s is no label unless it is set', (key) => {
    const selector = Object.fromEntries([[key, ['*']]])
    expect(selects(selector, {})).toBe(false)
    expect(selects(selector, own(`{"${key}": "x"}`))).toBe(true)
  })

  it.each(['constructor', '__proto__', 'toString'])('%s is no role unless it is defined', (name) => {
    const question = asked([all])
    expect(decided({...question, subject: {...question.subject, roles: [name]}}).allowed).toBe(false)
  })

  it('are no traits unless the user has them', () => {
    const traits = role('traits', {allow: {...everything, db_users: ['{{external.constructor}}']}})
    expect(decided(asked([traits]), {dbUser: 'Object'}).allowed).toBe(false)
    expect(decided(asked([traits], {constructor: ['Object']}), {dbUser: 'Object'}).allowed).toBe(true)
  })

  it('are no resources of rules', () => {
    const reader = role('reader', {allow: {rules: [{resources: ['user'], verbs: ['read']}]}})
    expect(permits({user: 'alice', traits: {}, roles: [reader]}, 'constructor', 'read')).toBe(false)
  })
})

describe('a name of a database', () => {
  const exact = asked([role('exact', {allow: {...everything, db_names: ['shop']}})])

  it('is what the role says', () => {
    expect(decided(exact, {dbName: 'shop'}).allowed).toBe(true)
  })

  it.each(['Shop', 'SHOP', 'shop ', ' shop', 'shop\u0000', '"shop"', 'sh\u043Ep', 'shop\u200B', 'host=evil', ''])(
    '%j is another one',
    (dbName) => {
      expect(decided(exact, {dbName}).allowed).toBe(false)
    },
  )

  it.each([
    ['user', {dbUser: ''}],
    ['name', {dbName: ''}],
  ])('and a %s that is empty is not even covered by *', (_, request) => {
    // PostgreSQL reads an empty name as another: a denial of that other one would be walked around.
    expect(decided(asked([all]), request)).toMatchObject({allowed: false, reason: 'no-role'})
  })

  it('may look like a pattern: it is compared literally on both sides', () => {
    const pattern = asked([role('pattern', {allow: {...everything, db_names: ['sh*', '^shop$']}})])
    expect(decided(pattern, {dbName: 'shop'}).allowed).toBe(false)
    expect(decided(pattern, {dbName: 'sh*'}).allowed).toBe(true)
    expect(decided(exact, {dbName: '*'}).allowed).toBe(false)
  })
})
