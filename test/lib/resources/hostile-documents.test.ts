import {describe, expect, it} from '@jest/globals'
import {parseDocuments} from '../../../src/lib/resources/document.js'

const user = (name: string): string => `kind: user\nversion: v2\nmetadata: {name: ${name}}\nspec: {roles: [access]}\n`
const refusal = (why: string | RegExp): unknown =>
  expect.objectContaining({code: 'INVALID', message: expect.stringMatching(why)})

describe('a hostile text', () => {
  it.each([
    ['of nested lists', '['.repeat(100_000), 'nested too deeply'],
    ['of nested maps', '{a: '.repeat(20_000), 'nested too deeply'],
    ['of nested dashes', '- '.repeat(100_000), 'nested too deeply'],
    ['of lists that strings seem to close', '["]",'.repeat(2000), 'nested too deeply'],
    ['of lists that comments seem to close', '[ # ]\n'.repeat(2000), 'nested too deeply'],
    ['of keys without names', ': '.repeat(5000), 'nested too deeply'],
    ['of maps for keys', '? a: '.repeat(3000), 'nested too deeply'],
    ['of indented maps', Array.from({length: 300}, (_, n) => `${' '.repeat(n)}a:`).join('\n'), 'nested too deeply'],
    ['larger than any resource', `# ${'x'.repeat(4 * 1024 * 1024)}`, 'larger than'],
    ['that uses an alias', `a: &a 1\n${user('*a')}`, 'aliases'],
    ['that uses an alias of nothing', user('*nobody'), 'aliases'],
    ['with a key twice', `${user('alice')}kind: role\n`, 'unique at line 5'],
    ['with a number for a name', user('7'), 'metadata.name'],
    ['with a tag for a name', user('!!binary YWxpY2U='), 'metadata.name'],
    ['with a prototype for a kind', '__proto__: {kind: user}\n', 'no kind'],
    ['with a kind that every object has', 'kind: constructor\n', 'unknown kind'],
    ['with a list for a document', '- kind: user\n', 'no kind'],
  ])('%s is refused in a sentence', (_, text, why) => {
    expect(() => parseDocuments(text)).toThrow(refusal(why))
  })

  it('leaves the prototype of every object alone', () => {
    const text = user('alice').replace('spec: {', 'spec: {traits: {__proto__: [polluted]}, ')
    expect(() => parseDocuments(text)).toThrow(refusal('__proto__'))
    expect(Object.prototype).not.toHaveProperty('polluted')
  })

  it('says the line and not the content, which may be a secret', () => {
    const text = `${user('alice')}---\nkind: token\nmetadata: {name: "hunter2-hunter2-hunter2\n`
    expect(() => parseDocuments(text)).toThrow(refusal(/^(?!.*hunter2).*line 8/s))
  })

  it('with one broken document gives none', () => {
    expect(() => parseDocuments(`${user('alice')}---\n"`)).toThrow(refusal('not valid YAML'))
  })
})

it('empty documents between others are passed over', () => {
  expect(parseDocuments(`---\n---\n# nothing\n---\n${user('alice')}---\n`)).toHaveLength(1)
})

it.each([
  ['wide blank lines and comments', '', `${' '.repeat(200)}\n${' '.repeat(200)}# aside\n${'# see [1\n'.repeat(200)}`],
  ['a wide text', `a\n${' '.repeat(200)}b`, ''],
  ['brackets in strings', '['.repeat(500), ''],
])('%s are no nesting', (_, description, notes) => {
  const text = user('alice').replace('alice', `alice, description: "${description}"`)
  expect(parseDocuments(`${notes}${text}${notes}`)).toHaveLength(1)
})

it.each(['yes', 'no', 'on', '2026-01-01', '~user'])('the word %s is a name, as in YAML 1.2', (word) => {
  expect(parseDocuments(user(word))[0]?.metadata.name).toBe(word)
})
