import {resolve} from 'node:path'
import {describe, expect, it} from '@jest/globals'
import {Config} from '@oclif/core/config'
import {Help} from '@oclif/core/help'
import {readCatalogue} from '../../../src/lib/cli/catalogue.js'

const root = resolve('.')

/** What help says, to a test. */
async function helpOf(config: Config, words: readonly string[]): Promise<string> {
  const lines: string[] = []
  class Kept extends Help {
    protected override log(...texts: string[]): void {
      lines.push(...texts)
    }
  }
  await new Kept(config).showHelp([...words])
  return lines.join('\n')
}

/** The same Config again: help writes into the commands that it shows. */
function copyOf(config: Config): Config {
  const commands = config.commands.map((command) => ({...command}))
  return Object.create(config, {
    commands: {value: commands},
    topics: {value: config.topics.map((topic) => ({...topic}))},
    findCommand: {value: (name: string) => commands.find(({id}) => id === name)},
  }) as Config
}

describe('the catalogue', () => {
  it("says of everything what oclif's own Config says", async () => {
    const {commands, topics} = await readCatalogue(root)
    const names = new Set([...commands.map(({id}) => id), ...topics.map(({name}) => name)])
    expect(names.size).toBeGreaterThan(50)
    const config = await Config.load({root})
    for (const words of [[], ...[...names].map((name) => name.split(':'))]) {
      const catalogue = await readCatalogue(root)
      expect(await helpOf(catalogue.forHelp, words)).toBe(await helpOf(copyOf(config), words))
    }
  })

  it('knows by an alias what belongs to it, by its name there', async () => {
    const catalogue = await readCatalogue(root, 'tctl')
    expect(catalogue.findCommand('db:connect')).toBeUndefined()
    expect(catalogue.findTopic('proxy')).toBeUndefined()
    expect(catalogue.findCommand('db:ls')?.summary).toContain('agents that serve them')
    expect(await helpOf(catalogue.forHelp, ['db', 'ls'])).toContain('$ tctl db ls')
  })
})
