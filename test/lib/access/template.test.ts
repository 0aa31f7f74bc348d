import {describe, expect, it} from '@jest/globals'
import {interpolate, interpolateAll} from '../../../src/lib/access/template.js'
import {asked, decided, everything, role} from './asked.js'

describe('a template', () => {
  it.each<[string, Record<string, string[]>, string[]]>([
    ['{{internal.db_users}}', {db_users: ['a', 'b']}, ['a', 'b']],
    ['{{ internal.db_users }}', {db_users: ['a']}, ['a']],
    ['pre-{{external.team}}-post', {team: ['x', 'y']}, ['pre-x-post', 'pre-y-post']],
    ['{{external.team}}', {}, []],
    ['{{external.team}}', {team: []}, []],
    ['{{external.team}}', {team: ['']}, []],
    ['{{external.team}}', {team: ['{{internal.db_users}}'], db_users: ['root']}, ['{{internal.db_users}}']],
    ['{{external.team}}', {Team: ['x']}, []],
    ['{{external.constructor}}', {}, []],
    ['{{external.__proto__}}', {}, []],
    ['{plain}', {}, ['{plain}']],
  ])('%s with %j gives %j', (entry, traits, values) => {
    expect(interpolate(entry, traits)).toEqual(values)
  })

  it.each([
    '{{internal.db_user}}',
    '{{internal.constructor}}',
    '{{db_users}}',
    '{{external.a b}}',
    '{{internal.}}',
    '{{internal.logins}',
    '{{internal.logins}}{{external.a}}',
    '{{{{internal.logins}}}}',
    'a}}',
    '{{email.local(external.email)}}',
  ])('%s is refused', (entry) => {
    expect(() => interpolate(entry, {})).toThrow(expect.objectContaining({code: 'INVALID'}))
  })

  it('of a list gives the values of all entries', () => {
    expect(interpolateAll(['a', '{{external.team}}'], {team: ['b', 'c']})).toEqual(['a', 'b', 'c'])
    expect(interpolateAll(undefined, {})).toEqual([])
  })
})

describe('a label selector with a template', () => {
  const own = role('own', {allow: {...everything, db_labels: {team: '{{external.team}}'}}})

  it('selects by the traits of the user', () => {
    const labels = {team: 'blue'}
    expect(decided(asked([own], {team: ['red', 'blue']}, labels)).allowed).toBe(true)
    expect(decided(asked([own], {team: ['red']}, labels)).allowed).toBe(false)
    expect(decided(asked([own], {}, labels)).allowed).toBe(false)
  })

  it('keeps its other keys when the trait is missing', () => {
    const both = role('both', {allow: {...everything, db_labels: {env: 'dev', team: '{{external.team}}'}}})
    expect(decided(asked([both], {}, {env: 'dev', team: 'blue'})).allowed).toBe(false)
  })

  it('denies by the traits of the user', () => {
    const all = role('all', {allow: everything})
    const but = role('but', {deny: {db_labels: {team: '{{external.barred}}'}}})
    expect(decided(asked([all, but], {barred: ['blue']}, {team: 'blue'}))).toMatchObject({reason: 'deny-rule'})
    expect(decided(asked([all, but], {}, {team: 'blue'})).allowed).toBe(true)
  })
})
