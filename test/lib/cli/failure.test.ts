import {describe, expect, it} from '@jest/globals'
import {describeFailure, wantsJson} from '../../../src/lib/cli/failure.js'
import {useColour} from '../../../src/lib/cli/terminal.js'
import {PosternError, type ErrorCode} from '../../../src/lib/core/errors.js'

const plain = {json: false, colour: false}

describe('a failure', () => {
  it.each<[ErrorCode, number]>([
    ['FAILED', 1],
    ['INVALID', 1],
    ['USAGE', 2],
    ['NOT_LOGGED_IN', 3],
    ['EXPIRED', 3],
    ['ACCESS_DENIED', 4],
    ['NOT_FOUND', 5],
    ['ALREADY_EXISTS', 6],
    ['UNREACHABLE', 7],
    ['UNTRUSTED', 7],
  ])('%s ends with exit code %d', (code, exitCode) => {
    expect(describeFailure(new PosternError(code, 'Why.'), plain).exitCode).toBe(exitCode)
  })

  it('is a sentence and what to do next', () => {
    const error = new PosternError('NOT_FOUND', 'There is no user "bob".', {hint: ['List them.', 'Or make one.']})
    expect(describeFailure(error, plain).text).toBe('ERROR: There is no user "bob".\n  List them.\n  Or make one.')
  })

  it('is red on a terminal that shows colours', () => {
    const {text} = describeFailure(new PosternError('FAILED', 'Why.'), {json: false, colour: true})
    expect(text).toBe('\u001b[31mERROR\u001b[39m: Why.')
  })

  it('is JSON where JSON was asked for', () => {
    const error = new PosternError('ALREADY_EXISTS', 'It is there.', {hint: 'Add -f.'})
    const {text = ''} = describeFailure(error, {json: true, colour: true})
    expect(JSON.parse(text)).toEqual({
      error: {code: 'ALREADY_EXISTS', message: 'It is there.', hints: ['Add -f.']},
    })
  })

  it('cannot write to the terminal what a server put into it', () => {
    const {text} = describeFailure(new PosternError('FAILED', 'a\u001b[2Jb', {hint: '\u0007c'}), plain)
    expect(text).not.toContain('\u001b')
    expect(text).not.toContain('\u0007')
  })

  it('of any other kind is told with its message', () => {
    expect(describeFailure(new Error('boom'), plain)).toEqual({exitCode: 1, text: 'ERROR: boom'})
    const refused = Object.assign(new Error('connect ECONNREFUSED'), {code: 'ECONNREFUSED'})
    expect(describeFailure(refused, plain).exitCode).toBe(7)
  })

  it('of the command line is a mistake of usage', () => {
    const thrown = Object.assign(new Error('Nonexistent flag: --nope\nSee more help with --help'), {oclif: {exit: 2}})
    expect(describeFailure(thrown, plain)).toEqual({
      exitCode: 2,
      text: 'ERROR: Nonexistent flag: --nope.\n  Add --help to see what the command takes.',
    })
    for (const message of [
      'Parsing --ttl \n\t"x" is not one.\nSee more help with --help',
      'Parsing --ttl \n\t"x" is not one.',
    ]) {
      const ofFlag = Object.assign(new Error(message), {oclif: {exit: 2}})
      expect(describeFailure(ofFlag, plain).text).toMatch(/^ERROR: --ttl: "x" is not one\.\n {2}Add --help/)
      expect(describeFailure(new PosternError('USAGE', message, {hint: 'Write 3h.'}), plain)).toEqual({
        exitCode: 2,
        text: 'ERROR: --ttl: "x" is not one.\n  Write 3h.',
      })
    }
    const unknown = Object.assign(new Error('command db:nons not found'), {oclif: {exit: 2}})
    expect(describeFailure(unknown, plain).text).toContain('There is no command "db nons".')
    const commands = (): string[] => ['db env', 'db ls', 'status']
    expect(describeFailure(unknown, {...plain, commands}).text).not.toContain('Did you mean')
    const near = Object.assign(new Error('command db:evn not found'), {oclif: {exit: 2}})
    expect(describeFailure(near, {...plain, commands}).text).toContain('Did you mean `postern db env`?')
  })

  it('is silent when the reader has gone, and 130 when a prompt was interrupted', () => {
    expect(describeFailure(Object.assign(new Error('write EPIPE'), {code: 'EPIPE'}), plain)).toEqual({exitCode: 0})
    expect(describeFailure(Object.assign(new Error('x'), {name: 'ExitPromptError'}), plain)).toEqual({exitCode: 130})
  })

  it('that is an exit code of another program passes through', () => {
    const thrown = Object.assign(new Error('EEXIT: 3'), {code: 'EEXIT', oclif: {exit: 3}})
    expect(describeFailure(thrown, plain)).toEqual({exitCode: 3})
  })
})

it.each([
  [['--format', 'json'], true],
  [['--format=json'], true],
  [['-f', 'json'], true],
  [['-fjson'], true],
  [['-f=json'], true],
  [['json'], false],
  [['--format', 'yaml', 'json'], false],
  [['--name', 'json'], false],
  [[], false],
])('%j asks for JSON: %j', (argv, wanted) => {
  expect(wantsJson(argv)).toBe(wanted)
})

it.each([
  [{isTTY: true}, {}, true],
  [{isTTY: true}, {NO_COLOR: '1'}, false],
  [{isTTY: true}, {TERM: 'dumb'}, false],
  [{isTTY: false}, {}, false],
  [{}, {FORCE_COLOR: '1'}, false],
])('a stream %j with %j is coloured: %j', (stream, variables, coloured) => {
  expect(useColour(stream, variables)).toBe(coloured)
})
