import {expect, it} from '@jest/globals'
import {Plugin, type Interfaces} from '@oclif/core'
import {readFile} from 'node:fs/promises'

interface Shape {
  readonly flags: Record<string, unknown>
  readonly args: Record<string, unknown>
  readonly summary?: string | undefined
}

/** What a command takes; the rest of an entry is made of it. */
function shapeOf({flags, args, summary}: Shape): unknown {
  return {flags: Object.keys(flags).sort(), args: Object.keys(args), summary}
}

it('the committed oclif.manifest.json describes the commands that exist, with their flags', async () => {
  const plugin = new Plugin({ignoreManifest: true, isRoot: true, root: process.cwd()})
  await plugin.load()
  const committed = JSON.parse(await readFile('oclif.manifest.json', 'utf8')) as Interfaces.Manifest
  const shapes = (commands: readonly (Shape & {readonly id: string})[]): Record<string, unknown> =>
    Object.fromEntries(commands.map((command) => [command.id, shapeOf(command)]))
  expect(shapes(Object.values(committed.commands))).toEqual(shapes(plugin.commands))
})
