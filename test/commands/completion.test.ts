import {execFile} from 'node:child_process'
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {delimiter, join} from 'node:path'
import {existsSync} from 'node:fs'
import {promisify} from 'node:util'
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals'
import {cleanEnvironment, cli, runCli} from '../helpers/cli.js'

const run = promisify(execFile)

interface ManifestCommand {
  readonly id: string
  readonly hidden?: boolean
  readonly flags: Readonly<Record<string, {readonly hidden?: boolean}>>
}

let directory: string
let commands: readonly ManifestCommand[]

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-completion-'))
  const manifest = JSON.parse(await readFile('oclif.manifest.json', 'utf8')) as {
    commands: Record<string, ManifestCommand>
  }
  commands = Object.values(manifest.commands).filter(({id, hidden}) => !hidden && !id.startsWith('configure:'))
  await Promise.all(['bash', 'zsh', 'fish'].map((shell) => write(shell)))
})

afterAll(() => rm(directory, {recursive: true}))

async function write(shell: string, alias = 'postern'): Promise<string> {
  const file = join(directory, `${alias}.${shell}`)
  const environment = alias === 'postern' ? {} : {POSTERN_CALLED_AS: alias}
  await writeFile(file, await cli(['completion', shell], {environment}))
  return file
}

const lines = (text: string): string[] => text.split('\n').filter(Boolean)
const isInstalled = (shell: string): boolean =>
  (process.env.PATH ?? '').split(delimiter).some((path) => existsSync(join(path, shell)))

describe('completion in bash', () => {
  /** What bash offers after these words, of which the last is being typed; `=` is a word of its own, as in bash. */
  async function offers(words: readonly string[], program = 'postern'): Promise<string[]> {
    const script = `source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 ))
compopt() { :; }
_${program}
printf '%s\\n' "\${COMPREPLY[@]}"`
    const file = join(directory, `${program}.bash`)
    const {stdout} = await run('bash', ['-c', script, 'bash', file, program, ...words], {cwd: directory})
    return lines(stdout)
  }

  it.each<[string[], string[]]>([
    [
      ['db', 'l'],
      ['login', 'logout', 'ls'],
    ],
    [['db', 'ls', '--form'], ['--format']],
    [
      ['db', 'ls', '--format', ''],
      ['text', 'json', 'yaml'],
    ],
    [
      ['db', 'ls', '--format', '='],
      ['text', 'json', 'yaml'],
    ],
    [['db', 'ls', '--format', '=', 'j'], ['json']],
    [['db', 'ls', '-f', 'y'], ['yaml']],
    [['db', 'ls', '--verbose', '--form'], ['--format']],
    [['users', 'add', '--roles', 'a'], []],
    [
      ['completion', ''],
      ['bash', 'zsh', 'fish'],
    ],
    [['create', 'postern.b'], ['postern.bash']],
    [['auth', 'sign', '--out', 'postern.f'], ['postern.fish']],
    [['nonsense', ''], []],
  ])('%j offers %j', async (words, expected) => {
    expect((await offers(words)).sort()).toEqual([...expected].sort())
  })

  it('knows every command and every flag', async () => {
    for (const {id, flags} of commands) {
      const words = id.split(':')
      const visible = Object.entries(flags).flatMap(([name, {hidden}]) => (hidden ? [] : [`--${name}`]))
      const [flagsOffered, wordsOffered] = await Promise.all([
        offers([...words, '--']),
        offers([...words.slice(0, -1), words.at(-1) ?? '']),
      ])
      expect({id, flagsOffered: flagsOffered.sort()}).toEqual({id, flagsOffered: [...visible, '--help'].sort()})
      expect({id, wordsOffered}).toEqual({id, wordsOffered: expect.arrayContaining([words.at(-1)])})
    }
  })

  it('under another name is for that name, with its commands', async () => {
    await write('bash', 'tctl')
    expect(await offers(['lo'], 'tctl')).toEqual(['lock'])
    expect(await offers(['db', ''], 'tctl')).toEqual(['ls'])
    expect(await offers(['db', 'ls', '--sta'], 'tctl')).toEqual(['--status'])
  })
})

// bash is where the tests run; the others are asked where they are installed.
describe('completion in other shells', () => {
  it('is a script that they read, and that is theirs', async () => {
    const theirs = ['zsh', 'fish'].filter(isInstalled)
    for (const shell of ['bash', ...theirs]) await run(shell, ['-n', join(directory, `postern.${shell}`)])
    expect(await readFile(join(directory, 'postern.zsh'), 'utf8')).toContain('compdef _postern postern')
    expect(await readFile(join(directory, 'postern.fish'), 'utf8')).toContain('complete -c postern')
    if (theirs.includes('fish')) {
      const ask = async (line: string): Promise<string[]> => {
        const script = `source ${join(directory, 'postern.fish')}; complete -C '${line}'`
        return lines(
          (await run('fish', ['--no-config', '-c', script], {cwd: directory, env: cleanEnvironment()})).stdout,
        )
      }
      expect((await ask('postern db l')).map((line) => line.split('\t')[0])).toEqual(['login', 'logout', 'ls'])
      expect((await ask('postern db ls --format j')).map((line) => line.split('\t')[0])).toEqual(['json'])
      expect(await ask('postern nonsense ')).toEqual([])
      expect(await ask('postern create postern.b')).toEqual(['postern.bash'])
    }
    if (theirs.includes('zsh')) {
      const script = `autoload -U compinit; compinit -u -D; source ${join(directory, 'postern.zsh')}
local -a next specs; _postern_place 'db ls'; print -rl -- $_comps[postern] $specs`
      const {stdout} = await run('zsh', ['-f', '-c', script], {cwd: directory})
      expect(lines(stdout)[0]).toBe('_postern')
      expect(stdout).toContain('--format=[')
    }
  })

  it('of a shell that we do not know is a mistake of usage', async () => {
    expect((await runCli(['completion', 'tcsh'])).code).toBe(2)
  })
})
