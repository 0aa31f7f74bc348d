/**
 * Postern beside other ways to a PostgreSQL server, on this machine alone:
 *
 *   start PostgreSQL, fill tables ─► start every path ─► each workload: every path in turn, shuffled, n times ─► tables, JSON
 *
 * Prints figures and judges nothing. What it started ends with it, also on Ctrl-C.
 */
import {chmod, mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises'
import {join, resolve} from 'node:path'
import {accountForRoot, temporaryDirectoryFor} from '../../src/lib/cluster/postgres-account.js'
import {fullSizes, quickSizes, startDatabase, type BenchDatabase} from './database.js'
import {clientEnvironment} from './endpoint.js'
import {installPeers, missingClients} from './install.js'
import {describeMachine} from './machine.js'
import {measureAll, type Sample} from './matrix.js'
import {readOptions, usage, type Options} from './options.js'
import type {Path, PathDefinition} from './path.js'
import {pathDefinitions} from './paths.js'
import {killAll, run} from './programs.js'
import {renderForeign, renderGoals, renderTables, summarize} from './report.js'
import type {Context, Workload} from './workload.js'
import {workloads} from './workloads.js'
import {stopDistant} from './workloads/connects.js'

const interruptedCode = 130

function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

function help(): string {
  const list = (items: readonly {readonly name: string; readonly text: string}[]): string =>
    items.map(({name, text}) => `  ${name.padEnd(18)} ${text}`).join('\n')
  const paths = pathDefinitions.map(({name, description}) => ({name, text: description}))
  return `${usage}\nPaths:\n${list(paths)}\n\nWorkloads:\n${list(workloads.map(({name, title}) => ({name, text: title})))}\n`
}

function choose<T extends {readonly name: string}>(items: readonly T[], names: readonly string[], what: string): T[] {
  const unknown = names.find((name) => !items.some((item) => item.name === name))
  if (unknown !== undefined) throw new Error(`There is no ${what} "${unknown}"; --help lists them.`)
  return items.filter(({name}) => names.length === 0 || names.includes(name))
}

/** The chosen paths that can be measured here; the others are noted. */
async function available(options: Options, note: (text: string) => void): Promise<PathDefinition[]> {
  const found: PathDefinition[] = []
  for (const definition of choose(pathDefinitions, options.paths, 'path')) {
    const missing = await definition.missing()
    if (missing === undefined) found.push(definition)
    else note(`${definition.name} is left out: ${missing}`)
  }
  return found
}

/** Code is compiled and caches are filled before anything counts. */
async function warmUp(path: Path): Promise<void> {
  const environment = clientEnvironment(path.endpoint)
  await run('pgbench', ['-n', '-S', '-c', '4', '-T', '1'], {environment})
  await run('pgbench', ['-n', '-S', '-C', '-c', '2', '-T', '1'], {environment})
}

interface Ground {
  readonly options: Options
  readonly root: string
  readonly database: BenchDatabase
  readonly notes: string[]
}

async function measure(
  {options, root, database, notes}: Ground,
  chosen: readonly Workload[],
  signal: AbortSignal,
): Promise<Sample[]> {
  const paths = new Map<string, Path>()
  const samples: Sample[] = []
  let directories = 0
  const note = (text: string): void => {
    if (!notes.includes(text)) notes.push(text)
  }
  const directory = async (): Promise<string> => {
    directories += 1
    const path = join(root, String(directories))
    await mkdir(path)
    return path
  }
  // V8 writes one file for each process, named after its start and its number.
  const nodeFlags = options.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${resolve(options.profile)}`]
  const place = async () => ({directory: await directory(), database, nodeFlags})
  const definitions = await available(options, note)
  const context: Context = {options, database, directory, definitions, paths, place, note}
  try {
    if (chosen.some(({usesPaths}) => usesPaths)) {
      for (const definition of definitions) {
        signal.throwIfAborted()
        say(`starting ${definition.name}`)
        try {
          const path = await definition.start(await place())
          paths.set(definition.name, path)
          await warmUp(path)
        } catch (error) {
          signal.throwIfAborted()
          await paths.get(definition.name)?.stop()
          paths.delete(definition.name)
          note(
            `${definition.name} is left out, it did not start: ${error instanceof Error ? error.message : String(error)}`,
          )
        }
      }
    }
    announce(chosen, definitions.length, options)
    await measureAll(chosen, {context, signal, say, onSample: (sample) => samples.push(sample)})
  } catch (error) {
    if (!signal.aborted) throw error
    note('This run was interrupted.')
  } finally {
    await stopDistant()
    for (const path of paths.values()) await path.stop()
  }
  return samples
}

function announce(chosen: readonly Workload[], paths: number, options: Options): void {
  const seconds = chosen.reduce(
    (sum, {estimate, runs = options.runs}) => sum + estimate(options) * runs * Math.max(1, paths),
    0,
  )
  say(`${chosen.length} workloads, ${paths} paths, ${options.runs} runs: about ${Math.ceil(seconds / 60)} minutes`)
}

async function bench(options: Options, signal: AbortSignal): Promise<void> {
  const chosen = choose(workloads, options.workloads, 'workload')
  choose(pathDefinitions, options.paths, 'path')
  const account = await accountForRoot()
  const root = await mkdtemp(join(await temporaryDirectoryFor(account), 'postern-bench-'))
  // Peers that do not run as root get to their own files below it.
  await chmod(root, 0o711)
  const notes: string[] = []
  try {
    say('starting PostgreSQL and filling its tables')
    const database = await startDatabase(root, options.quick ? quickSizes : fullSizes)
    try {
      const machine = await describeMachine()
      const samples = await measure({options, root, database, notes}, chosen, signal)
      const rows = summarize(chosen, samples)
      if (samples.length > 0) notes.push(renderForeign(samples, machine.processors))
      const json = `${JSON.stringify({date: new Date().toISOString(), machine, options, rows, notes, samples}, undefined, 1)}\n`
      if (options.json !== '-') {
        const goals = renderGoals(chosen, rows)
        process.stdout.write(
          `${goals ? `${goals}\n\n` : ''}${renderTables(chosen, rows, samples)}\n\n${notes.map((note) => `- ${note}\n`).join('')}`,
        )
      }
      if (options.json === '-') process.stdout.write(json)
      else if (options.json !== undefined) await writeFile(options.json, json)
    } finally {
      await database.stop()
    }
  } finally {
    await rm(root, {recursive: true, force: true})
  }
}

async function main(): Promise<void> {
  // Node reads this file at every start; on some machines that alone is more than a command takes.
  delete process.env.NODE_EXTRA_CA_CERTS
  const options = readOptions(process.argv.slice(2))
  if (options.help) {
    process.stdout.write(help())
    return
  }
  if (options.install) await installPeers()
  const missing = await missingClients()
  if (missing !== undefined) throw new Error(missing)
  const interrupted = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      say('ending')
      process.exitCode = interruptedCode
      interrupted.abort()
      killAll()
    })
  }
  process.on('exit', killAll)
  await bench(options, interrupted.signal)
}

try {
  await main()
} catch (error) {
  say(error instanceof Error ? error.message : String(error))
  process.exitCode ??= 1
}
