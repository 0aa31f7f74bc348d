import {expect, it} from '@jest/globals'
import {execFile} from 'node:child_process'
import {readFile} from 'node:fs/promises'
import {promisify} from 'node:util'

/** In a process of its own: oclif imports the commands, and inside Jest it would silently find none. */
const describeCommands = `
import {Plugin} from '@oclif/core'
const plugin = new Plugin({ignoreManifest: true, isRoot: true, root: process.cwd()})
await plugin.load()
console.log(JSON.stringify(plugin.manifest.commands))`

it('the committed oclif.manifest.json describes the commands that exist, with their flags', async () => {
  const {stdout} = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', describeCommands], {
    maxBuffer: 16 * 1024 * 1024,
  })
  const actual = JSON.parse(stdout) as Record<string, unknown>
  const {commands} = JSON.parse(await readFile('oclif.manifest.json', 'utf8')) as {commands: Record<string, unknown>}
  expect(Object.keys(actual)).toContain('db:connect')
  // Mended by `npm run manifest`.
  expect(commands).toEqual(actual)
})
