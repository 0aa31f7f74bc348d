import {describe, expect, it} from '@jest/globals'
import {compileExpression, compilePattern} from '../../../src/lib/access/pattern.js'
import {asked, decided, everything, role} from './asked.js'

describe('a value of a selector', () => {
  it.each<[string, string, boolean]>([
    ['dev', 'dev', true],
    ['dev', 'dev ', false],
    ['dev', 'DEV', false],
    ['i', '\u0131', false],
    ['\u00E9', 'e\u0301', false],
    ['', '', true],
    ['*', '', true],
    ['*', 'any\nthing', true],
    ['a.c', 'abc', false],
    ['a?c', 'abc', false],
    ['a[b]c', 'abc', false],
    ['a*c', 'ac', true],
    ['a*c', 'a\nc', true],
    ['a*c', 'abcd', false],
    ['aa*aa', 'aaa', false],
    ['*b*', 'abc', true],
    ['**', 'x', true],
    ['*ab*ab', 'ab', false],
    ['*ab*ab', 'abab', true],
    ['^a|b$', 'a', true],
    ['^a|b$', 'ax', false],
    ['^a$', 'a\n', false],
    ['^(?i:dev)$', 'DEV', true],
    ['^$', '', true],
    ['^a', '^a', true],
    ['^a', 'a', false],
    ['a$', 'a', false],
  ])('%j on %j: %j', (pattern, value, matches) => {
    expect(compilePattern(pattern).matches(value)).toBe(matches)
  })

  it('is matched whole however long the label is: length evades no rule', () => {
    const long = `prod${'x'.repeat(100_000)}`
    expect(compilePattern('prod*').matches(long)).toBe(true)
    expect(compilePattern('^prod.*$').matches(long)).toBe(true)
    expect(compilePattern(`${'x'.repeat(5000)}*`).matches('x'.repeat(6000))).toBe(true)
  })
})

describe('a regular expression', () => {
  it.each(['^(a+)+$', '^(a|a)*$', '^(a|aa)+$', '^(.*a){12}$', '^(.*.*.*)*x$', '^([a-z]{1,63}\\.){1,8}$'])(
    '%s stalls nobody',
    (pattern) => {
      expect(compilePattern(pattern).matches(`${'a'.repeat(1000)}!`)).toBe(false)
    },
  )

  it.each([
    '^(a{1000}){1000}$',
    `^${'a{0,1000}'.repeat(100)}$`,
    `^(${'a'.repeat(900)}){1000}$`,
    `^(${'\\pL'.repeat(80)}){0,1000}$`,
    '^((a{30}){30}){30}$',
    '^.{0,1000}.{0,1000}.{0,1000}.{0,1000}$',
    '^(a?){600}$',
  ])('%.40s is refused for its size', (pattern) => {
    expect(() => compileExpression(pattern)).toThrow(expect.objectContaining({code: 'INVALID'}))
  })

  it.each(['^[a-z0-9-]{1,63}(\\.[a-z0-9-]{1,63})?$', '^.{1,255}$', '^\\d{12}$', '^us-(east|west)-\\d$', '^a{0}b{,3}$'])(
    '%s is of a size that can be used',
    (pattern) => {
      expect(() => compileExpression(pattern)).not.toThrow()
    },
  )

  it.each(['^($', '^(?<=a)b$', '^(a)\\1$', '^[z-a]$', '^a{1001}$'])(
    '%s is refused: RE2 has no such thing',
    (pattern) => {
      expect(() => compileExpression(pattern)).toThrow(/not a regular expression/)
    },
  )

  it('that cannot be read allows nothing and denies nothing: it is an error', () => {
    const broken = asked([role('all', {allow: everything}), role('but', {deny: {db_labels: {env: '^($'}}})])
    expect(() => decided(broken)).toThrow(expect.objectContaining({code: 'INVALID'}))
  })
})
