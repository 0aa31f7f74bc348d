/** Every subject of a workload in turn, in another order in each round, so that a disturbance hits no path alone. */
import {account} from './accounting.js'
import {shuffled} from './statistics.js'
import type {Context, Figures, Subject, Workload} from './workload.js'

export interface Sample {
  readonly workload: string
  readonly subject: string
  readonly run: number
  readonly seconds: number
  /** Processors that programs other than ours kept busy. */
  readonly foreign: number
  readonly figures: Figures
}

export interface Progress {
  readonly context: Context
  readonly signal: AbortSignal
  readonly say: (text: string) => void
  readonly onSample: (sample: Sample) => void
}

/** A subject that fails is left out after that many samples. */
const maximumFailures = 2

export async function measureAll(workloads: readonly Workload[], progress: Progress): Promise<void> {
  for (const workload of workloads) {
    const subjects = await workload.subjects(progress.context)
    await measureWorkload(workload, subjects, progress)
  }
}

async function measureWorkload(workload: Workload, subjects: readonly Subject[], progress: Progress): Promise<void> {
  const {context, signal, say, onSample} = progress
  const runs = workload.runs ?? context.options.runs
  const failures = new Map<string, number>()
  for (let run = 1; run <= runs; run += 1) {
    for (const subject of shuffled(subjects)) {
      const {name} = subject
      signal.throwIfAborted()
      if ((failures.get(name) ?? 0) >= maximumFailures) continue
      try {
        const used = account(everything(context))
        const figures = await subject.measure()
        const {seconds, foreign} = used()
        onSample({workload: workload.name, subject: name, run, seconds, foreign, figures})
        say(`${workload.name} ${run}/${runs} ${name}: ${firstFigure(workload, figures)}`)
      } catch (error) {
        signal.throwIfAborted()
        failures.set(name, (failures.get(name) ?? 0) + 1)
        const message = error instanceof Error ? error.message : String(error)
        context.note(`${workload.name} of ${name} failed: ${message}`)
        say(`${workload.name} ${run}/${runs} ${name}: FAILED: ${message}`)
      }
    }
  }
}

/** All parts of all paths. */
function everything({paths, database}: Context): Record<string, number> {
  const parts = [...paths].flatMap(([path, {processes}]) =>
    Object.entries(processes).map(([part, pid]) => [`${path} ${part}`, pid] as const),
  )
  return {...Object.fromEntries(parts), postgres: database.pid}
}

function firstFigure({figures}: Workload, values: Figures): string {
  const known = figures.filter(({name}) => values[name] !== undefined).slice(0, 3)
  return known.map(({name, title, digits}) => `${(values[name] ?? NaN).toFixed(digits)} ${title}`).join(', ')
}
