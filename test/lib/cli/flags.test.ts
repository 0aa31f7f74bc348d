import {Parser} from '@oclif/core'
import * as Args from '@oclif/core/args'
import * as Flags from '@oclif/core/flags'
import {describe, expect, it} from '@jest/globals'
import {readEnvironment} from '../../../src/lib/cli/environment.js'
import {firstTrust, list, mergeLabels, repeated, seconds} from '../../../src/lib/cli/flags.js'

const spec = {
  args: {name: Args.string()},
  flags: {
    roles: Flags.string(list),
    labels: Flags.string(repeated),
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

describe('the trust of a first contact', () => {
  const environment = readEnvironment({POSTERN_CA_PIN: 'sha256:aa,sha256:bb', SSL_CERT_FILE: '/roots.pem'})

  it('is by the pins of the environment, which are a list', () => {
    expect(firstTrust({insecure: false}, environment)).toMatchObject({
      pins: ['sha256:aa', 'sha256:bb'],
      rootsFile: '/roots.pem',
    })
  })

  it('is by the flag when there is one', () => {
    expect(firstTrust({'ca-pin': ['sha256:cc'], insecure: false}, environment).pins).toEqual(['sha256:cc'])
    expect(firstTrust({insecure: false}, readEnvironment({})).pins).toEqual([])
  })
})
