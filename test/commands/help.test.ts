import {readdirSync, readFileSync} from 'node:fs'
import {readdir} from 'node:fs/promises'
import {join, resolve} from 'node:path'
import {beforeAll, describe, expect, it} from '@jest/globals'
import {CommandHelp, Config, Parser, type Command} from '@oclif/core'
import {BaseCommand} from '../../src/lib/cli/base-command.js'

interface FlagShape {
  readonly type: string
  readonly description?: string
  readonly default?: unknown
  readonly dependsOn?: readonly string[]
  readonly multiple?: boolean
  readonly multipleNonGreedy?: boolean
  readonly env?: string
  readonly helpValue?: string
  readonly options?: readonly string[]
}

const root = resolve('src/commands')
const pages = ['README.md', ...['docs', 'docs/guides'].flatMap(pagesIn)]
const commands = new Map<string, typeof Command>()

beforeAll(async () => {
  for (const file of await readdir(root, {recursive: true})) {
    if (!file.endsWith('.ts')) continue
    const module = (await import(join(root, file))) as {default: typeof Command}
    commands.set(file.slice(0, -'.ts'.length).replaceAll('/', ' '), module.default)
  }
})

/** Those that answer with nothing but a file, another program's output, or one sentence. */
const withoutData = [
  'audit export',
  'start',
  'quickstart',
  'db connect',
  'db configure create',
  'auth sign',
  'install systemd',
  'completion',
  'edit',
  'rm',
  'tokens rm',
  'users rm',
]

const each = (check: (command: typeof Command, name: string) => void): void => {
  expect(commands.size).toBeGreaterThan(20)
  for (const [name, command] of commands) check(command, name)
}

describe('every command', () => {
  it('is one of ours', () => {
    each((command) => {
      expect(command.prototype).toBeInstanceOf(BaseCommand)
    })
  })

  it('has a one-line summary that is a sentence', () => {
    each((command, name) => {
      expect({name, summary: command.summary}).toEqual({name, summary: expect.stringMatching(/^[A-Z][^\n]*\.$/)})
    })
  })

  it('has examples that begin with itself', () => {
    each((command, name) => {
      const examples = command.examples.map((example) => (typeof example === 'string' ? example : example.command))
      expect({name, count: examples.length}).not.toEqual({name, count: 0})
      for (const example of examples) expect(example).toContain('<%= config.bin %> <%= command.id %>')
    })
  })

  it('describes each flag and argument, and names what values are', () => {
    each((command, name) => {
      const flags = command.flags as unknown as Record<string, FlagShape>
      for (const [flag, {description, type, helpValue, options}] of Object.entries(flags)) {
        expect({name, flag, description}).toEqual({name, flag, description: expect.stringMatching(/\S/)})
        if (type === 'option')
          expect({name, flag, value: helpValue ?? options}).not.toEqual({name, flag, value: undefined})
      }
      for (const [arg, {description}] of Object.entries(command.args)) {
        expect({name, arg, description}).toEqual({name, arg, description: expect.stringMatching(/\S/)})
      }
    })
  })

  it('never lets a flag swallow the argument after its value', () => {
    each((command, name) => {
      for (const [flag, {multiple, multipleNonGreedy}] of Object.entries(
        command.flags as unknown as Record<string, FlagShape>,
      )) {
        expect({name, flag, greedy: multiple === true && multipleNonGreedy !== true}).toEqual({
          name,
          flag,
          greedy: false,
        })
      }
    })
  })

  it('gives no environment variable to a list, since oclif would not split it', () => {
    each((command, name) => {
      for (const [flag, {multiple, env}] of Object.entries(command.flags as unknown as Record<string, FlagShape>)) {
        if (multiple) expect({name, flag, env}).toEqual({name, flag, env: undefined})
      }
    })
  })

  it('has yes-or-no flags that are never undefined, but where others depend on them: for oclif a default is given, too', () => {
    each((command, name) => {
      const flags = Object.entries(command.flags as unknown as Record<string, FlagShape>)
      const neededByOthers = new Set(flags.flatMap(([, {dependsOn = []}]) => dependsOn))
      for (const [flag, {type, default: value}] of flags) {
        if (type !== 'boolean' || flag === 'help') continue
        expect({name, flag, default: typeof value}).toEqual({
          name,
          flag,
          default: neededByOthers.has(flag) ? 'undefined' : 'boolean',
        })
      }
    })
  })

  it('prints its data as text, JSON or YAML', () => {
    each((command, name) => {
      if (withoutData.includes(name)) return
      const {format} = command.flags as unknown as Record<string, FlagShape | undefined>
      expect({name, options: format?.options}).toEqual({
        name,
        options: expect.arrayContaining(['text', 'json', 'yaml']),
      })
    })
  })

  it('has examples that its own flags and arguments take', async () => {
    let count = 0
    for (const [name, command] of commands) {
      for (const example of command.examples) {
        const text = typeof example === 'string' ? example : example.command
        for (const words of invocations(text.replaceAll('<%= command.id %>', name))) {
          await parse(words, text)
          count += 1
        }
      }
    }
    expect(count).toBeGreaterThan(commands.size)
  })

  it('names no flag and no command that does not exist', () => {
    each((command, name) => {
      const flags = command.flags as unknown as Record<string, FlagShape>
      const texts = [
        command.summary,
        command.description,
        ...Object.values(flags).map(({description}) => description),
        ...Object.values(command.args).map(({description}) => description),
      ]
      const text = texts.join('\n').replaceAll('<%= config.bin %>', 'postern')
      for (const [, words = ''] of text.matchAll(/postern ((?:[a-z-]+ ?)+)/g)) {
        const known = [...commands.keys()].some((each) => `${words.trim()} `.startsWith(`${each} `))
        expect({name, words, known}).toEqual({name, words, known: true})
      }
      for (const [, flag = ''] of text.matchAll(/(?<![\w-])--([a-z][a-z-]*)/g)) {
        const everywhere = [...commands.values()].some((other) => Object.hasOwn(other.flags, flag))
        expect({name, flag, known: everywhere}).toEqual({name, flag, known: true})
      }
    })
  })
})

describe('a page', () => {
  it.each(pages)('%s has no command line that commands do not take', async (page) => {
    if (page === 'README.md') expect(commandLines(readFileSync(page, 'utf8')).length).toBeGreaterThan(20)
    for (const line of commandLines(readFileSync(page, 'utf8'))) {
      for (const words of invocations(line)) await parse(words, `${page}: ${line}`)
    }
  })

  it('names no command and no flag in its sentences that does not exist', () => {
    const sources = readdirSync('src', {recursive: true, encoding: 'utf8'}).filter((file) => file.endsWith('.ts'))
    let count = 0
    for (const file of [...pages, ...sources.map((source) => `src/${source}`)]) {
      for (const [, call = ''] of readFileSync(file, 'utf8').matchAll(/(?<!`)\\?`postern ([a-z][^`$\n\\]*)\\?`/g)) {
        const words = call.split(' ')
        const {name, command} = commandOf(words) ?? {}
        expect({file, call, known: name !== undefined || isTopic(words)}).toEqual({file, call, known: true})
        for (const [, flag = ''] of call.matchAll(/(?<![\w-])--([a-z][a-z-]*)/g)) {
          const known = command === undefined || flag === 'help' || Object.hasOwn(command.flags, flag)
          expect({file, call, flag, known}).toEqual({file, call, flag, known: true})
        }
        count += 1
      }
    }
    expect(count).toBeGreaterThan(100)
  })
})

describe('help', () => {
  let config: Config

  beforeAll(async () => {
    config = await Config.load(process.cwd())
  })

  it('has usage lines without an alternative that is empty and without dots twice', () => {
    expect(config.commands.length).toBeGreaterThan(50)
    for (const command of config.commands) {
      expect(new CommandHelp(command, config, {maxWidth: 300, stripAnsi: true}).generate()).not.toMatch(
        /\| ?\]|\[ ?\||\.{4}/,
      )
    }
  })

  it('says what each topic is for', () => {
    const {oclif} = JSON.parse(readFileSync('package.json', 'utf8')) as {
      oclif: {topics: Record<string, {description?: string; hidden?: boolean}>}
    }
    const topics = new Set(
      config.commands.flatMap(({id}) => id.split(':').map((_, end, words) => words.slice(0, end).join(':'))),
    )
    topics.delete('')
    expect(topics.size).toBeGreaterThan(10)
    for (const topic of topics) {
      const {description, hidden} = oclif.topics[topic] ?? {}
      expect({topic, said: hidden === true || /\S/.test(description ?? '')}).toEqual({topic, said: true})
    }
  })
})

function pagesIn(directory: string): string[] {
  return readdirSync(directory).flatMap((file) => (file.endsWith('.md') ? [join(directory, file)] : []))
}

/** The command that words begin with: the one with the longest name. */
function commandOf(words: readonly string[]): {name: string; command: typeof Command} | undefined {
  const [name] = [...commands.keys()]
    .filter((known) => `${words.join(' ')} `.startsWith(`${known} `))
    .sort((one, other) => other.length - one.length)
  const command = name === undefined ? undefined : commands.get(name)
  return name === undefined || !command ? undefined : {name, command}
}

const isTopic = (words: readonly string[]): boolean =>
  [...commands.keys()].some((name) => name.startsWith(`${words.join(' ')} `))

/** @throws when there is no such command, or it does not take these words */
async function parse(words: readonly string[], where: string): Promise<void> {
  const found = commandOf(words)
  if (!found) throw new Error(`${where}: there is no such command`)
  const {name, command} = found
  const end = words.indexOf('--')
  const own = (end < 0 ? words : words.slice(0, end)).slice(name.split(' ').length)
  const options = {args: command.args, flags: command.flags, strict: command.strict}
  await Parser.parse(own, options).catch((error: unknown) => {
    throw new Error(`${where}: ${String(error)}`)
  })
}

/** The lines of shell in the blocks of a page that call us: whole, without comments and texts that follow. */
function commandLines(page: string): string[] {
  return Array.from(page.matchAll(/^```(\w*)\n(.*?)^```$/gms))
    .flatMap(([, language, block = '']) => (language === '' || language === 'sh' ? [block] : []))
    .flatMap((block) => block.replace(/ *\\\n */g, ' ').split('\n'))
    .filter((line) => /^(\$ )?(sudo )?postern /.test(line))
    .map((line) => line.replace(/ +#.*$/, ''))
}

/** The words of each call of ours in a line of shell: quotes are taken off, redirections left out. */
function invocations(line: string): string[][] {
  const words = [...line.replaceAll('<%= config.bin %>', 'postern').matchAll(/(?:[^\s"']|"[^"]*"|'[^']*')+/g)]
  const calls: string[][] = [[]]
  for (const [word] of words) {
    if (/^(\||&&|;)$/.test(word)) calls.push([])
    else calls.at(-1)?.push(word.replace(/^<\(/, '').replace(/^(\w+)\)$/, '$1'))
  }
  return calls.flatMap((call) => {
    const start = call.indexOf('postern')
    const end = call.findIndex((word) => /^\d?[<>]/.test(word))
    const own = call.slice(start + 1, end < 0 ? undefined : end)
    return start < 0 ? [] : [own.map((word) => word.replace(/"([^"]*)"|'([^']*)'/g, '$1$2'))]
  })
}
