import {Parser} from '@oclif/core'
import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {describe, expect, it} from '@jest/globals'
import {list, mergeLabels, repeated, seconds} from '../../../src/lib/cli/flags.js'

const spec = {
  args: {name: Args.string()},
  flags: {
    roles: Flags.string({...list, env: 'POSTERN_TEST_LIST'}),
    labels: Flags.string({...repeated}),
    ttl: seconds({}),
  },
}

describe('a list flag', () => {
  it.each([
    [
      ['--roles=a,b', 'alice'],
      ['a', 'b'],
    ],
    [
      ['--roles', 'a,b', 'alice'],
      ['a', 'b'],
    ],
    [
      ['--roles', 'a', '--roles', 'b', 'alice'],
      ['a', 'b'],
    ],
    [
      ['alice', '--roles=a', '--roles=b,c'],
      ['a', 'b', 'c'],
    ],
    [['--roles=*', 'alice'], ['*']],
    [['--roles', '"a"', 'alice'], ['a']],
  ])('reads %j as %j, and leaves the argument alone', async (argv, roles) => {
    const parsed = await Parser.parse(argv, spec)
    expect(parsed.flags.roles).toEqual(roles)
    expect(parsed.args.name).toBe('alice')
  })

  it('reads its environment variable the same way', async () => {
    process.env.POSTERN_TEST_LIST = 'a,b'
    try {
      expect((await Parser.parse([], spec)).flags.roles).toEqual(['a', 'b'])
    } finally {
      delete process.env.POSTERN_TEST_LIST
    }
  })
})

describe('labels', () => {
  it('are comma lists that add to each other, and may hold commas in quotes', async () => {
    const {flags, args} = await Parser.parse(['--labels', 'a=1,b="x, y"', '--labels=c=3', 'alice'], spec)
    expect(mergeLabels(flags.labels)).toEqual({a: '1', b: 'x, y', c: '3'})
    expect(args.name).toBe('alice')
  })

  it('are nothing when there is none', () => {
    expect(mergeLabels(undefined)).toBeUndefined()
    expect(mergeLabels([])).toBeUndefined()
  })

  it('that are none are a mistake of usage', () => {
    expect(() => mergeLabels(['env'])).toThrow(expect.objectContaining({code: 'USAGE'}))
  })
})

describe('a length of time', () => {
  it('is in seconds', async () => {
    expect((await Parser.parse(['--ttl=1h30m'], spec)).flags.ttl).toBe(5400)
  })

  it('that is none is a mistake of usage', async () => {
    await expect(Parser.parse(['--ttl=soon'], spec)).rejects.toMatchObject({code: 'USAGE'})
  })
})
