import type {BenchDatabase} from './database.js'
import type {Options} from './options.js'
import type {Path, PathDefinition, Place} from './path.js'

/** One number that a workload brings for each path. */
export interface Figure {
  readonly name: string
  readonly title: string
  readonly better: 'more' | 'less'
  readonly digits: number
}

export type Figures = Readonly<Record<string, number>>

export interface Context {
  readonly options: Options
  readonly database: BenchDatabase
  /** A new directory for files of one sample. */
  readonly directory: () => Promise<string>
  readonly definitions: readonly PathDefinition[]
  /** Running ones, by name. */
  readonly paths: ReadonlyMap<string, Path>
  /** Where a path of its own may be started. */
  readonly place: (name: string) => Promise<Place>
  /** Said once, below the tables. */
  readonly note: (text: string) => void
}

/** What is measured beside each other: usually a path. */
export interface Subject {
  readonly name: string
  measure(): Promise<Figures>
}

export interface Workload {
  readonly name: string
  readonly title: string
  readonly figures: readonly Figure[]
  /** What the figures that begin with `cpu ` mean; they are by part, and each path has parts of its own. */
  readonly cpu?: {readonly title: string; readonly digits: number}
  /** Whether the running paths are used; one that starts its own does not need them. */
  readonly usesPaths: boolean
  /** Samples of each subject; without it as many as asked for. */
  readonly runs?: number
  /** In seconds, of one sample: for the announcement of how long it takes. */
  readonly estimate: (options: Options) => number
  subjects(context: Context): Promise<readonly Subject[]>
}

export function onEachPath(
  context: Context,
  measure: (path: Path, name: string) => Promise<Figures>,
  applies: (name: string) => boolean = () => true,
): Promise<readonly Subject[]> {
  const chosen = [...context.paths].filter(([name]) => applies(name))
  return Promise.resolve(chosen.map(([name, path]) => ({name, measure: () => measure(path, name)})))
}

export const cpuPrefix = 'cpu '

/** Processor time by part, for each of so many units of work. */
export const cpuFigures = (seconds: Readonly<Record<string, number>>, units: number): Figures =>
  Object.fromEntries(Object.entries(seconds).map(([part, value]) => [`${cpuPrefix}${part}`, value / units]))
