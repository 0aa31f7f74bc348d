import {getHelpFlagAdditions, Help, normalizeArgv} from '@oclif/core/help'
import type {Alias} from './calling-name.js'
import {readCatalogue, type Catalogue} from './catalogue.js'

/**
 * Runs the command that the words name, or shows help. oclif's own `run` does the same with one name, and loads what
 * commands need before it shows help.
 */
export async function dispatch(argv: readonly string[], root: string, alias?: Alias): Promise<void> {
  const catalogue = await readCatalogue(root, alias)
  const [id = '', ...rest] = normalizeArgv(catalogue.forHelp, [...argv])
  if (asksForHelp(catalogue, argv) || (!catalogue.findCommand(id) && catalogue.findTopic(id))) {
    await new Help(catalogue.forHelp).showHelp(ownWords(argv))
    return
  }
  await runCommand(id, rest, root, alias)
}

/** What follows `--` is for another program. */
function ownWords(argv: readonly string[]): string[] {
  const end = argv.indexOf('--')
  return argv.slice(0, end < 0 ? undefined : end)
}

function asksForHelp(catalogue: Catalogue, argv: readonly string[]): boolean {
  const flags = getHelpFlagAdditions(catalogue.forHelp)
  return argv.length === 0 || ownWords(argv).some((word) => flags.includes(word))
}

async function runCommand(id: string, words: string[], root: string, alias: Alias | undefined): Promise<void> {
  const {CalledConfig} = await import('./called-config.js')
  const config = new CalledConfig(root, alias)
  await config.load()
  await config.runCommand(id, words)
}
