import {describe, expect, it} from '@jest/globals'
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
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

  it('plays a damaged recording up to the damage, and says how much it lacks without end', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'postern-play-'))
    try {
      const file = join(directory, 'cut.ndjson')
      const head = '{"recording":1,"sid":"s","server_id":"h","cluster_name":"c"}\n'
      await writeFile(file, `${head}{"ei":0,"event":"db.session.query","db_query":"select 7"}\n{"ei":1,\n`)
      expect(await runCli(['play', file], nowhere)).toEqual({
        code: 1,
        stdout: '\r\n=> select 7\r\n',
        stderr: 'ERROR: Line 3 of the recording is damaged.\n',
      })
      await writeFile(file, head + '{"ei":7}\n'.repeat(9))
      const {code, stderr} = await runCli(['play', file], nowhere)
      expect({code, lines: stderr.trimEnd().split('\n').length}).toEqual({code: 0, lines: 6})
      expect(stderr).toMatch(/And 5 more\.\n$/)
    } finally {
      await rm(directory, {recursive: true})
    }
  })

  it('audit verify says which file of keys there is not, and for what keys are', async () => {
    const absent = await runCli(['audit', 'verify', '--key=absent.pem', 'README.md'], nowhere)
    expect(absent).toMatchObject({code: 5, stderr: 'ERROR: There is no file absent.pem.\n'})
    const elsewhere = await runCli(['audit', 'verify', '--key=absent.pem'], nowhere)
    expect(elsewhere).toMatchObject({code: 2, stderr: expect.stringContaining('--key is for a recording in a file')})
  })

  it('shows no colours where there is no terminal', async () => {
    const {stderr} = await runProcess(['nonsense'], {environment: {FORCE_COLOR: '1', TERM: 'xterm-256color'}})
    expect(stderr).not.toContain('\u001b[')
  })
})
