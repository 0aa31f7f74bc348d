import {expect, it} from '@jest/globals'
import {nearCommands} from '../../../src/lib/cli/near-commands.js'

const commands = [
  'rm',
  'db connect',
  'db config',
  'db env',
  'db exec',
  'login',
  'logout',
  'status',
  'users add',
  'users ls',
]

it.each([
  ['db conect', ['db connect']],
  ['db conenct aurora', ['db connect']],
  ['db confgi', ['db config']],
  ['db exce', ['db exec']],
  ['logn', ['login']],
  ['user ls', ['users ls']],
  ['users lsit', ['users ls']],
  ['db e', ['db env']],
  ['nothing', []],
  ['', []],
])('%s may mean %j', (typed, meant) => {
  expect(nearCommands(typed, commands)).toEqual(meant)
})

it('no command is near a text of any length', () => {
  expect(nearCommands('x'.repeat(1_000_000), commands)).toEqual([])
})
