import type {Command} from '@oclif/core/command'
import {Config} from '@oclif/core/config'
import {belongsTo, commandUnder, type Alias} from './calling-name.js'

/** The program as it is under another name: with that name, and with the commands that belong to it. */
export class CalledConfig extends Config {
  readonly #alias: Alias | undefined

  constructor(root: string, alias: Alias | undefined) {
    super({root})
    this.#alias = alias
  }

  override async load(): Promise<void> {
    await super.load()
    if (this.#alias !== undefined) this.bin = this.#alias
  }

  override findCommand(id: string, options: {must: true}): Command.Loadable
  override findCommand(id: string, options?: {must: boolean}): Command.Loadable | undefined
  override findCommand(id: string): Command.Loadable | undefined {
    if (this.#alias === undefined) return super.findCommand(id)
    if (!belongsTo(this.#alias, id)) return undefined
    const command = super.findCommand(commandUnder(this.#alias, id))
    return command && {...command, id}
  }
}
