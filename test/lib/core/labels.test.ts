import {describe, expect, it} from '@jest/globals'
import {formatLabels, isInternalLabel, parseLabels} from '../../../src/lib/core/labels.js'

describe('parseLabels', () => {
  it.each<[string, Record<string, string>]>([
    ['', {}],
    ['env=dev', {env: 'dev'}],
    ['env=dev,region=us-east-1', {env: 'dev', region: 'us-east-1'}],
    [' env = dev , team = a b ', {env: 'dev', team: 'a b'}],
    ['team="a, b",env=dev', {team: 'a, b', env: 'dev'}],
    ['note=""', {note: ''}],
    ['note=', {note: ''}],
    ['url=a=b', {url: 'a=b'}],
    ['env=dev,', {env: 'dev'}],
    ['postern.dev/origin=dynamic', {'postern.dev/origin': 'dynamic'}],
  ])('reads %j', (text, labels) => {
    expect(parseLabels(text)).toEqual(labels)
  })

  it.each(['env', '=dev', ',', 'env=dev,,a=b', 'a b=c', 'env="dev', 'env="dev"x', 'env=d"e', '"env"=dev', ' '])(
    'refuses %j',
    (text) => {
      expect(() => parseLabels(text)).toThrow(expect.objectContaining({code: 'INVALID'}))
    },
  )

  it('takes the names of prototypes as plain keys', () => {
    const labels = parseLabels('__proto__=x,constructor=y')
    expect(Object.entries(labels)).toEqual([
      ['__proto__', 'x'],
      ['constructor', 'y'],
    ])
    expect(Object.getPrototypeOf(labels)).toBe(Object.prototype)
  })

  it('is done at once with input made to be slow', () => {
    expect(() => parseLabels(`${' '.repeat(100_000)}x="`)).toThrow()
    expect(() => parseLabels(`${'a=b,'.repeat(20_000)}x`)).toThrow()
  })
})

describe('formatLabels', () => {
  const labels = {team: 'a', 'postern.dev/origin': 'dynamic', env: 'dev', 'postern.internal/x': '1'}

  it('sorts, ours last', () => {
    expect(formatLabels(labels)).toBe('env=dev,team=a,postern.dev/origin=dynamic,postern.internal/x=1')
  })

  it('leaves ours out of short listings', () => {
    expect(formatLabels(labels, {all: false})).toBe('env=dev,team=a')
  })

  it.each([
    ['postern.dev/origin', true],
    ['postern.hidden/x', true],
    ['postern.development', false],
    ['env', false],
  ])('%s is internal: %j', (key, internal) => {
    expect(isInternalLabel(key)).toBe(internal)
  })
})
