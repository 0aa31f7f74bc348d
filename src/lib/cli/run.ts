import {createRequire} from 'node:module'
import {dirname} from 'node:path'
import {fileURLToPath} from 'node:url'
import {readCallingName} from './calling-name.js'
import {describeFailure, wantsJson} from './failure.js'
import {noticeLostOutput} from './lost-output.js'
import {useColour} from './terminal.js'

/** Runs the command line of this process. `metaUrl` is that of bin/run.js, from which oclif finds the package. */
export async function run(metaUrl: string): Promise<void> {
  const alias = readCallingName()
  const words = process.argv.slice(2)
  const argv = words[0] === 'help' ? [...words.slice(1), '--help'] : words
  noticeLostOutput({json: wantsJson(argv)})
  if (argv[0] === '--version') {
    process.stdout.write(`${alias ?? 'postern'} ${readVersion(metaUrl)}\n`)
    return
  }
  try {
    const {dispatch} = await import('./dispatch.js')
    await dispatch(argv, dirname(dirname(fileURLToPath(metaUrl))), alias)
  } catch (error) {
    // Errors of a command are told by the command: this one comes from finding it.
    const {exitCode, text} = describeFailure(error, {
      json: wantsJson(argv),
      colour: useColour(process.stderr),
      commands: () => readCommands(metaUrl),
    })
    if (text !== undefined) process.stderr.write(`${text}\n`)
    process.exitCode = exitCode
  }
}

function readVersion(metaUrl: string): string {
  const {version} = createRequire(metaUrl)('../package.json') as {version: string}
  return version
}

/** As they are typed. */
function readCommands(metaUrl: string): string[] {
  const {commands} = createRequire(metaUrl)('../oclif.manifest.json') as {commands: Readonly<Record<string, unknown>>}
  return Object.keys(commands).map((id) => id.replaceAll(':', ' '))
}
