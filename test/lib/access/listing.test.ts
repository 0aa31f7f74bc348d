import {describe, expect, it} from '@jest/globals'
import {viewOf, type Visibility} from '../../../src/lib/access/listing.js'
import type {Traits} from '../../../src/lib/access/template.js'
import type {Role} from '../../../src/lib/resources/role.js'
import {asked, decided, everything, role} from './asked.js'

function listed(roles: readonly Role[], traits: Traits = {}, labels?: Record<string, string>): Visibility | undefined {
  const question = asked(roles, traits, labels)
  return viewOf(question.subject, question.roles)(question.target.labels)
}

const dev = {db_labels: {env: 'dev'}}

describe('a listing', () => {
  it.each<[string, Role[], string[], string[]]>([
    ['a concrete user', [role('a', {allow: {...dev, db_users: ['bob'], db_names: ['*']}})], ['bob'], []],
    ['any user', [role('a', {allow: {...dev, db_users: ['*'], db_names: ['x']}})], ['*'], []],
    ['no user', [role('a', {allow: {...dev, db_names: ['*']}})], [], []],
    ['a user without any name', [role('a', {allow: {...dev, db_users: ['bob']}})], [], []],
    [
      'a user whose only name is denied',
      [role('a', {allow: {...dev, db_users: ['bob'], db_names: ['x']}, deny: {db_names: ['x']}})],
      [],
      [],
    ],
    [
      'any user but one, sorted and once',
      [
        role('a', {allow: {...dev, db_users: ['*', 'carol', 'bob'], db_names: ['*']}}),
        role('b', {allow: {...dev, db_users: ['bob'], db_names: ['x']}, deny: {db_users: ['postgres']}}),
      ],
      ['*', 'bob', 'carol'],
      ['postgres'],
    ],
    [
      'a user of a role for another database',
      [role('a', {allow: {db_labels: {env: 'prod'}, db_users: ['root'], db_names: ['*']}}), role('b', {allow: dev})],
      [],
      [],
    ],
    [
      'nobody, when a role without labels denies everybody',
      [role('a', {allow: {...dev, db_users: ['*', 'bob'], db_names: ['*']}}), role('b', {deny: {db_users: ['*']}})],
      [],
      [],
    ],
  ])('shows %s', (_, roles, allowed, denied) => {
    expect(listed(roles)?.users).toEqual({allowed, denied})
  })

  it('hides a database that a trait of the user makes forbidden', () => {
    const roles = [role('all', {allow: everything}), role('but', {deny: {db_labels: {env: '{{external.barred}}'}}})]
    expect(listed(roles, {barred: ['dev']})).toBeUndefined()
    expect(listed(roles)).toBeDefined()
  })

  it('shows a database that only a trait of the user opens', () => {
    const roles = [role('own', {allow: {...everything, db_labels: {env: '{{external.env}}'}}})]
    expect(listed(roles, {env: ['dev']})).toBeDefined()
    expect(listed(roles)).toBeUndefined()
  })

  it('is empty for a user without a defined role', () => {
    expect(viewOf({user: 'alice', roles: ['gone'], traits: {}}, new Map())({})).toBeUndefined()
  })

  it('is made at once from the longest roles', () => {
    const list = (prefix: string): string[] => Array.from({length: 1024}, (_, index) => `${prefix}${index}`)
    const long = {...dev, db_users: list('u'), db_names: list('n')}
    const users = listed([role('long', {allow: long, deny: {db_names: list('n')}})])?.users
    expect(users).toEqual({allowed: [], denied: []})
  })
})

describe('a listing and the decisions', () => {
  const entries = ['a', 'b', '*']
  const lists = [[], ['a'], ['*'], ['a', '*']]
  const denials = [{}, {db_users: ['a']}, {db_names: ['a']}, {db_users: ['*']}, {db_names: ['*']}]
  const grants = lists.flatMap((db_users) => lists.map((db_names) => ({...dev, db_users, db_names})))
  // What no role names stands for everything that only a wildcard covers.
  const asking = (entry: string): string => (entry === '*' ? 'somebody' : entry)

  it('agree for every mix of two roles and a denial', () => {
    for (const one of grants) {
      for (const other of grants) {
        for (const deny of denials) {
          const roles = [role('one', {allow: one}), role('other', {allow: other}), role('deny', {deny})]
          const question = asked(roles)
          const works = (dbUser: string, dbName: string): boolean => decided(question, {dbUser, dbName}).allowed
          const shown = listed(roles)
          for (const entry of entries) {
            const value = asking(entry)
            const asUser = entries.some((name) => works(value, asking(name)))
            const asName = entries.some((user) => works(asking(user), value))
            const covers = (list: readonly string[] = []): boolean => list.includes(entry) || list.includes('*')
            const {users, names} = shown ?? {users: undefined, names: undefined}
            expect(covers(users?.allowed) && !users?.denied.includes(value)).toBe(asUser)
            expect(covers(names?.allowed) && !names?.denied.includes(value)).toBe(asName)
          }
        }
      }
    }
  })
})
