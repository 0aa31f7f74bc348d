import type {Command} from '@oclif/core/command'
import {Config} from '@oclif/core/config'
import {getHelpFlagAdditions, Help, normalizeArgv} from '@oclif/core/help'
import type {Topic} from '@oclif/core/interfaces'
import {belongsTo, commandUnder, type Alias} from './calling-name.js'

/** The program as it is under another name: with that name, and with the commands that belong to it. */
class CalledConfig extends Config {
  readonly #alias: Alias

  constructor(alias: Alias, root: string) {
    super({root})
    this.#alias = alias
  }

  override async load(): Promise<void> {
    await super.load()
    this.bin = this.#alias
  }

  override get commands(): Command.Loadable[] {
    return super.commands.flatMap((command) => this.#under(command.id) ?? [])
  }

  override get commandIDs(): string[] {
    return this.commands.map(({id}) => id)
  }

  override get topics(): Topic[] {
    // Commands are among them: help tells topics by what is beneath them.
    return super.topics.filter(({name}) => this.#has(name) || this.findCommand(name) !== undefined)
  }

  override findTopic(name: string, options: {must: true}): Topic
  override findTopic(name: string, options?: {must: boolean}): Topic | undefined
  override findTopic(name: string): Topic | undefined {
    return this.#has(name) ? super.findTopic(name) : undefined
  }

  override findCommand(id: string, options: {must: true}): Command.Loadable
  override findCommand(id: string, options?: {must: boolean}): Command.Loadable | undefined
  override findCommand(id: string): Command.Loadable | undefined {
    return this.#under(id)
  }

  #under(id: string): Command.Loadable | undefined {
    if (!belongsTo(this.#alias, id)) return undefined
    const command = super.findCommand(commandUnder(this.#alias, id))
    return command && {...command, id}
  }

  #has(topic: string): boolean {
    return this.commandIDs.some((id) => id.startsWith(`${topic}:`))
  }
}

/** Runs the command line as oclif's own `run` does, which takes no other Config than its own. */
export async function runAs(alias: Alias, argv: readonly string[], root: string): Promise<void> {
  const config = new CalledConfig(alias, root)
  await config.load()
  const [id = '', ...rest] = normalizeArgv(config, [...argv])
  const helpFlags = getHelpFlagAdditions(config)
  const end = argv.indexOf('--')
  const own = end < 0 ? argv : argv.slice(0, end)
  const asksForHelp = argv.length === 0 || own.some((word) => helpFlags.includes(word))
  if (asksForHelp || (!config.findCommand(id) && config.findTopic(id))) {
    await new Help(config).showHelp([...own])
    return
  }
  await config.runCommand(id, rest)
}
