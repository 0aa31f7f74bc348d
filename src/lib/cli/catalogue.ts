import {readFile} from 'node:fs/promises'
import {join} from 'node:path'
import {pathToFileURL} from 'node:url'
import type {Command} from '@oclif/core/command'
import type {Config} from '@oclif/core/config'
import type {Topic} from '@oclif/core/interfaces'
import {belongsTo, commandUnder, type Alias} from './calling-name.js'

type CachedCommand = Command.Cached

interface PackageFile {
  readonly name: string
  readonly version: string
  readonly description: string
  readonly oclif: {
    readonly bin: string
    readonly topics: Readonly<Record<string, Omit<Topic, 'name'>>>
    readonly additionalHelpFlags: readonly string[]
    readonly topicSeparator: string
  }
}

/**
 * The command line as the manifest describes it, under the name that the program was called by: all that oclif's help asks
 * of its Config, without what Config loads to run commands.
 */
export class Catalogue {
  readonly pjson: PackageFile
  readonly bin: string
  readonly topicSeparator: string
  readonly userAgent: string
  readonly platform = process.platform
  readonly shell = ''
  readonly plugins = new Map()
  readonly commands: readonly CachedCommand[]
  readonly topics: readonly Topic[]

  constructor(pjson: PackageFile, commands: readonly CachedCommand[], alias?: Alias) {
    this.pjson = pjson
    this.bin = alias ?? pjson.oclif.bin
    this.topicSeparator = pjson.oclif.topicSeparator
    this.userAgent = `${pjson.name}/${pjson.version} ${process.platform}-${process.arch} node-${process.version}`
    this.commands = commands.flatMap(withAliases).flatMap((command, _index, all) => called(command, all, alias))
    this.topics = topicsOf(pjson, this.commands)
  }

  /** What help, and the way to read words, take for a Config. */
  get forHelp(): Config {
    return this as unknown as Config
  }

  get commandIDs(): readonly string[] {
    return this.commands.map(({id}) => id)
  }

  findCommand(id: string): CachedCommand | undefined {
    return this.commands.find((command) => command.id === id)
  }

  findTopic(name: string): Topic | undefined {
    return this.topics.find((topic) => topic.name === name)
  }
}

/** The catalogue of the package in this directory. */
export async function readCatalogue(root: string, alias?: Alias): Promise<Catalogue> {
  const [pjson, manifest] = await Promise.all(
    ['package.json', 'oclif.manifest.json'].map(
      async (name) => JSON.parse(await readFile(join(root, name), 'utf8')) as unknown,
    ),
  )
  const {commands} = manifest as {commands: Record<string, CachedCommand>}
  const loadable = Object.values(commands).map((command) => ({...command, load: () => load(command, root)}))
  return new Catalogue(pjson as PackageFile, loadable, alias)
}

/** For help on what only the class of a command knows. */
async function load({relativePath = []}: CachedCommand, root: string): Promise<Command.Class> {
  const module: unknown = await import(pathToFileURL(join(root, ...relativePath)).href)
  return (module as {default: Command.Class}).default
}

function withAliases(command: CachedCommand): CachedCommand[] {
  return [command, ...command.aliases.map((id) => ({...command, id}))]
}

/** The command by this name of the program; nothing when it is not one of that name's. */
function called(command: CachedCommand, all: readonly CachedCommand[], alias: Alias | undefined): CachedCommand[] {
  if (alias === undefined) return [command]
  if (!belongsTo(alias, command.id)) return []
  const meant = all.find(({id}) => id === commandUnder(alias, command.id))
  return meant ? [{...meant, id: command.id}] : []
}

/**
 * Those of the package file that have commands here, and one for each command and each word before it: help tells topics by
 * what is beneath them. Other names of commands make none.
 */
function topicsOf({oclif}: PackageFile, commands: readonly CachedCommand[]): Topic[] {
  const topics = new Map<string, Topic>()
  for (const [name, topic] of Object.entries(oclif.topics)) {
    if (commands.some(({id}) => id === name || id.startsWith(`${name}:`))) topics.set(name, {...topic, name})
  }
  for (const {id, summary} of commands.filter(({id, hidden, aliases}) => !hidden && !aliases.includes(id))) {
    const words = id.split(':')
    for (const name of words.map((_word, index) => words.slice(0, index + 1).join(':'))) {
      if (!topics.has(name)) topics.set(name, {name, description: summary})
    }
  }
  return [...topics.values()]
}
