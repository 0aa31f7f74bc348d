import {describe, expect, it} from '@jest/globals'
import {readFile} from 'node:fs/promises'
import {runCli, runProcess, runShell} from '../helpers/cli.js'

const nowhere = {environment: {POSTERN_HOME: '/nonexistent/postern'}}

describe('the command line', () => {
  it('says its version', async () => {
    const {version} = JSON.parse(await readFile('package.json', 'utf8')) as {version: string}
    expect(await runProcess(['--version'])).toEqual({code: 0, stdout: `postern ${version}\n`, stderr: ''})
  })

  it.each([[['--help']], [['help']], [['db', '--help']], [['help', 'db', 'ls']], [['tokens', 'add', '-h']], [['db']]])(
    'helps with %j',
    async (words) => {
      const {code, stdout, stderr} = await runProcess(words)
      expect({code, stderr}).toEqual({code: 0, stderr: ''})
      expect(stdout).toContain('USAGE\n  $ postern')
    },
  )

  it.each([
    [['nonsense'], 'There is no command "nonsense".'],
    [['db', 'nonsense'], 'There is no command "db nonsense".'],
    [['db', 'ls', '--nonsense'], '--nonsense'],
    [['get'], 'resource'],
    [['tokens', 'add'], 'The flag --type is missing.'],
    [['login', '--proxy=::::'], '"::::" is not an address.'],
    [['db', 'ls', '--', 'x'], 'takes nothing after "--"'],
    [['db', 'ls', '--format=xml'], 'text, json, yaml'],
  ])('%j is a mistake of usage, exit code 2', async (words, said) => {
    const {code, stdout, stderr} = await runCli(words, nowhere)
    expect({code, stdout}).toEqual({code: 2, stdout: ''})
    expect(stderr).toMatch(/^ERROR: /)
    expect(stderr).toContain(said)
    expect(stderr).not.toMatch(/^\s+at /m)
  })

  it('without a login ends with exit code 3, whatever is asked', async () => {
    for (const words of [
      ['db', 'ls'],
      ['get', 'role'],
      ['db', 'connect', 'x'],
      ['audit', 'ls'],
      ['db', 'logout'],
    ]) {
      expect((await runProcess(words, nowhere)).code).toBe(3)
    }
  })

  it('tells errors as JSON where JSON was asked for, on standard error', async () => {
    for (const words of [
      ['db', 'ls', '--format=json'],
      ['db', 'ls', '-f', 'json'],
    ]) {
      const {stdout, stderr} = await runCli(words, nowhere)
      expect(stdout).toBe('')
      expect(JSON.parse(stderr)).toEqual({
        error: {code: 'NOT_LOGGED_IN', message: 'You are not logged in.', hints: ['Run `postern login --proxy=HOST`.']},
      })
    }
    const {stderr} = await runCli(['db', 'nonsense', '--format=json'])
    expect(JSON.parse(stderr)).toMatchObject({error: {code: 'USAGE'}})
  })

  it.each([
    [['--version'], ''],
    [['db', 'nonsense', '--format=json'], ''],
    [['db', 'ls', '--format=xml'], ''],
    [['status', '--format=json'], ''],
    [['create'], 'kind: nonsense'],
  ])('answers %j in a process that has run others as in one of its own', async (words, input) => {
    const inOne = [await runCli(words, {...nowhere, input}), await runCli(words, {...nowhere, input})]
    const ofItsOwn = await runProcess(words, {...nowhere, input})
    expect(inOne).toEqual([ofItsOwn, ofItsOwn])
  })

  it('ends quietly when its reader has left', async () => {
    const {code, stderr} = await runShell('set -o pipefail; postern --help | true')
    expect({code, stderr}).toEqual({code: 0, stderr: ''})
  })

  it('fails when its output cannot be written, and says so; without a place to say it goes on', async () => {
    const full = await runShell('postern completion bash > /dev/full')
    expect(full).toEqual({
      code: 1,
      stdout: '',
      stderr: 'ERROR: The output cannot be written: ENOSPC: no space left on device, write.\n',
    })
    expect((await runShell('postern db ls 2> /dev/full', nowhere)).code).toBe(3)
  })

  it('shows no colours where there is no terminal', async () => {
    const {stderr} = await runProcess(['nonsense'], {environment: {FORCE_COLOR: '1', TERM: 'xterm-256color'}})
    expect(stderr).not.toContain('\u001b[')
  })
})
