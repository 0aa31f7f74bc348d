import type {Command} from '@oclif/core/command'
import type {Config} from '@oclif/core/interfaces'
import {belongsTo, calledAs, commandUnder} from './calling-name.js'

/** What a place in the command line takes next. */
export interface Place {
  /** The words that lead there, as `db ls`; empty for the program alone. */
  readonly words: string
  /** The commands and topics beneath. */
  readonly next: readonly {readonly word: string; readonly summary: string}[]
  readonly flags: readonly CompletedFlag[]
  readonly arguments: readonly CompletedArgument[]
}

export interface CompletedFlag {
  readonly name: string
  readonly char: string | undefined
  readonly summary: string
  readonly multiple: boolean
  /** Absent for a flag that takes none. */
  readonly value: CompletedValue | undefined
}

export interface CompletedArgument {
  readonly name: string
  readonly value: CompletedValue
}

/** The only values there are, the name of a file, or anything. */
export type CompletedValue = {readonly oneOf: readonly string[]} | 'file' | 'anything'

const helpFlag: CompletedFlag = {name: 'help', char: 'h', summary: 'explain it', multiple: false, value: undefined}

/** Every place of the command line, as it is under the name that we were called by. */
export function placesOf(config: Config): Place[] {
  const summaries = new Map<string, string>([
    ...config.topics.map(({name, description}) => [name, description ?? ''] as const),
    ...config.commands.map(({id, summary}) => [id, summary ?? ''] as const),
  ])
  const hiddenTopics = config.topics.filter(({hidden}) => hidden).map(({name}) => `${name}:`)
  const commands = calledCommands(config).filter(
    ({id, hidden}) => !hidden && !hiddenTopics.some((topic) => id.startsWith(topic)),
  )
  const leaves = commands.map(({id, flags, args}): Place => {
    return {
      words: id.replaceAll(':', ' '),
      next: beneath(`${id}:`, commands, summaries),
      flags: [...Object.values(flags).flatMap((flag) => completedFlag(flag)), helpFlag],
      arguments: Object.values(args).map(({name, options}) => ({name, value: valueOf(name.toUpperCase(), options)})),
    }
  })
  const topics = [...new Set(commands.flatMap(({id}) => ancestors(id)))]
    .filter((topic) => !commands.some(({id}) => id === topic))
    .map((topic): Place => {
      const next = beneath(topic === '' ? '' : `${topic}:`, commands, summaries)
      return {words: topic.replaceAll(':', ' '), next, flags: [helpFlag], arguments: []}
    })
  return [...topics, ...leaves].sort((one, other) => (one.words < other.words ? -1 : 1))
}

/** The commands that the name which we were called by has; oclif gives commands its own configuration, which has all. */
function calledCommands({commands}: Config): Command.Loadable[] {
  const alias = calledAs()
  if (alias === undefined) return commands
  return commands.flatMap(({id}) => {
    const command = belongsTo(alias, id) && commands.find((each) => each.id === commandUnder(alias, id))
    return command ? [{...command, id}] : []
  })
}

/** `db:configure:aws` for `db:configure:aws:print-iam`, and so on up to the empty one. */
function ancestors(id: string): string[] {
  const words = id.split(':')
  return words.map((_, length) => words.slice(0, length).join(':'))
}

function beneath(
  prefix: string,
  commands: readonly {readonly id: string}[],
  summaries: ReadonlyMap<string, string>,
): Place['next'] {
  const words = commands.flatMap(({id}) => (id.startsWith(prefix) ? (id.slice(prefix.length).split(':')[0] ?? []) : []))
  return [...new Set(words)].sort().map((word) => ({word, summary: summaries.get(prefix + word) ?? ''}))
}

interface ManifestFlag {
  readonly name: string
  readonly type: string
  readonly char?: string | undefined
  readonly description?: string | undefined
  readonly multiple?: boolean | undefined
  readonly hidden?: boolean | undefined
  readonly helpValue?: string | string[] | undefined
  readonly options?: readonly string[] | undefined
}

function completedFlag({name, type, char, description, multiple, hidden, helpValue, options}: ManifestFlag) {
  if (hidden) return []
  const value = type === 'boolean' ? undefined : valueOf(String(helpValue ?? ''), options)
  return [{name, char, summary: description ?? '', multiple: multiple === true, value}]
}

/** Help calls files FILE and directories DIR. */
function valueOf(called: string, options: readonly string[] | undefined): CompletedValue {
  if (options) return {oneOf: options}
  return /FILE|DIR|PATH/.test(called) ? 'file' : 'anything'
}
