import {clientEnvironment} from '../endpoint.js'
import {isOurs} from '../paths.js'
import {connectCommand, posternCommand} from '../postern-cluster.js'
import {run, type RunOptions} from '../programs.js'
import {median, shuffled} from '../statistics.js'
import {onEachPath, type Figures, type Subject, type Workload} from '../workload.js'

const repeats = 10
const select = ['-X', '-A', '-t', '-c', 'select 1'] as const

async function time(
  command: string,
  words: readonly string[],
  options: RunOptions,
  expected?: string,
): Promise<number> {
  const started = performance.now()
  const output = await run(command, words, options)
  const milliseconds = performance.now() - started
  if (expected !== undefined && output !== expected) throw new Error(`${command} printed ${JSON.stringify(output)}`)
  return milliseconds
}

async function times(measure: () => Promise<number>): Promise<Figures> {
  const all: number[] = []
  for (let done = 0; done < repeats; done += 1) all.push(await measure())
  return {milliseconds: median(all)}
}

/** Whole processes, from start to exit. */
export const psqlWorkload: Workload = {
  name: 'psql',
  title: `psql -c 'select 1', the whole process; and db connect -- -c 'select 1', which starts psql`,
  usesPaths: true,
  figures: [{name: 'milliseconds', title: 'ms', better: 'less', digits: 1}],
  estimate: () => repeats * 0.15,
  subjects: async (context) => {
    const psql = await onEachPath(context, ({endpoint}) =>
      times(() => time('psql', select, {environment: clientEnvironment(endpoint)}, '1\n')),
    )
    const [, ours] = [...context.paths].find(([name]) => isOurs(name)) ?? []
    const environment = ours?.person
    if (!environment) return psql
    const connect: Subject = {
      name: 'postern db connect',
      measure: () => times(() => time(process.execPath, connectCommand(select), {environment}, '1\n')),
    }
    return [...psql, connect]
  },
}

const commands: Readonly<Record<string, readonly string[]>> = {
  '--version': posternCommand(['--version']),
  '--help': posternCommand(['--help']),
  'db ls --help': posternCommand(['db', 'ls', '--help']),
}

/** Each beside a bare Node of the same moment. */
export const cliWorkload: Workload = {
  name: 'cli',
  title: 'Start of the command line, above a bare node -e 0',
  usesPaths: false,
  figures: [
    {name: 'above', title: 'ms above node', better: 'less', digits: 1},
    {name: 'milliseconds', title: 'ms', better: 'less', digits: 1},
  ],
  estimate: () => repeats * 0.2,
  subjects: () =>
    Promise.resolve(Object.entries(commands).map(([name, words]) => ({name, measure: () => aboveNode(words)}))),
}

async function aboveNode(words: readonly string[]): Promise<Figures> {
  const node: number[] = []
  const postern: number[] = []
  const pairs = Array.from({length: repeats}, () => [
    async () => node.push(await time(process.execPath, ['-e', '0'], {})),
    async () => postern.push(await time(process.execPath, words, {})),
  ]).flat()
  for (const measure of shuffled(pairs)) await measure()
  return {above: median(postern) - median(node), milliseconds: median(postern)}
}
