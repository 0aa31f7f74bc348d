import {describe, expect, it} from '@jest/globals'
import {compileEntries, compileTemplate} from '../../../src/lib/access/template.js'
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
    ['{{external["https://example.com/groups"]}}', {'https://example.com/groups': ['a']}, ['a']],
    ['{{external.team-name}}', {'team-name': ['a']}, ['a']],
    ['^{{external.team}}-[0-9]{2}$', {team: ['a']}, ['^a-[0-9]{2}$']],
    ['{{email.local(external.email)}}', {email: ['alice@example.com', 'no address', '@x', 'x@']}, ['alice']],
    ['dev-{{email.local(external.email)}}', {email: ['"a@b"@example.com']}, ['dev-"a@b"']],
    ['{{regexp.replace(external.group, "^db-(.*)$", "$1")}}', {group: ['db-reader', 'vpn', 'xdb-a']}, ['reader']],
    ['{{regexp.replace(external.group, `^db-(\\w+)$`, "$1")}}', {group: ['db-reader']}, ['reader']],
    ['{{strings.lower(email.local(external.email))}}', {email: ['Alice@example.com']}, ['alice']],
    ['{{strings.upper(external.team)}}', {team: ['a']}, ['A']],
    // Braces in a text are no end.
    ['{{regexp.replace(external.a, "^x{2}}}$", "y")}}', {a: ['xx}}']}, ['y']],
  ])('%s with %j gives %j', (entry, traits, values) => {
    expect(compileTemplate(entry).fill(traits)).toEqual(values)
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
    '{{"alice"}}',
    '{{external}}',
    '{{internal["logins"]}}',
    '{{email.local(external.email)',
    '{{email.local()}}',
    '{{contains(external.a, "b")}}',
    '{{regexp.replace(external.a, "(", "")}}',
    '{{regexp.replace(external.a, external.b, "")}}',
  ])('%s is refused', (entry) => {
    expect(() => compileTemplate(entry)).toThrow(expect.objectContaining({code: 'INVALID'}))
  })

  it('of a list gives the values of all entries', () => {
    expect(compileEntries(['a', '{{external.team}}']).fill({team: ['b', 'c']})).toEqual(['a', 'b', 'c'])
    expect(compileEntries(undefined).fill({})).toEqual([])
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

  it('beside the key * makes no difference', () => {
    const wide = role('wide', {allow: everything, deny: {db_labels: {'*': '*', team: '{{external.team}}'}}})
    expect(decided(asked([wide])).allowed).toBe(false)
  })

  it('denies by the traits of the user', () => {
    const all = role('all', {allow: everything})
    const but = role('but', {deny: {db_labels: {team: '{{external.barred}}'}}})
    expect(decided(asked([all, but], {barred: ['blue']}, {team: 'blue'}))).toMatchObject({reason: 'deny-rule'})
    expect(decided(asked([all, but], {}, {team: 'blue'})).allowed).toBe(true)
  })
})
