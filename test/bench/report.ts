import {goalOf, reached, type Reached} from './goals.js'
import type {Sample} from './matrix.js'
import {median} from './statistics.js'
import {cpuPrefix, type Figure, type Workload} from './workload.js'

export interface Row {
  readonly workload: string
  readonly figure: string
  readonly subject: string
  readonly n: number
  readonly median: number
  readonly minimum: number
  readonly maximum: number
  /** Median over the direct path's median. */
  readonly ratio?: number
  readonly wanted?: {
    readonly kind: 'ratio' | 'absolute'
    readonly minimum: number
    readonly goal: number
    readonly reached: Reached
  }
}

/** One row for each workload, figure and subject that has samples. */
export function summarize(workloads: readonly Workload[], samples: readonly Sample[]): Row[] {
  return workloads.flatMap((workload) => {
    const mine = samples.filter((sample) => sample.workload === workload.name)
    const subjects = [...new Set(mine.map(({subject}) => subject))]
    return workload.figures.flatMap((figure) => {
      const valuesOf = (subject: string): number[] =>
        mine
          .filter((sample) => sample.subject === subject)
          .map(({figures}) => figures[figure.name] ?? NaN)
          .filter((value) => !Number.isNaN(value))
      const direct = median(valuesOf('direct'))
      return subjects.flatMap((subject) => {
        const values = valuesOf(subject)
        return values.length === 0 ? [] : [makeRow({workload, figure, subject, values, direct})]
      })
    })
  })
}

interface Cell {
  readonly workload: Workload
  readonly figure: Figure
  readonly subject: string
  readonly values: readonly number[]
  readonly direct: number
}

function makeRow({workload, figure, subject, values, direct}: Cell): Row {
  const middle = median(values)
  const ratio = Number.isFinite(middle / direct) ? middle / direct : undefined
  const goal = goalOf(workload.name, figure.name, subject)
  const value = goal?.kind === 'ratio' ? ratio : middle
  return {
    workload: workload.name,
    figure: figure.name,
    subject,
    n: values.length,
    median: middle,
    minimum: Math.min(...values),
    maximum: Math.max(...values),
    ...(ratio !== undefined && {ratio}),
    ...(goal && value !== undefined && {wanted: {...goal, reached: reached(figure, goal, value)}}),
  }
}

/** The tables, in Markdown: one for each figure, the paths below each other. */
export function renderTables(workloads: readonly Workload[], rows: readonly Row[], samples: readonly Sample[]): string {
  return workloads
    .flatMap((workload) => {
      const tables = workload.figures.flatMap((figure) => {
        const mine = rows.filter((row) => row.workload === workload.name && row.figure === figure.name)
        return mine.length > 0 ? [renderTable(figure, inOrder(mine))] : []
      })
      const cpu = renderCpu(workload, samples)
      return tables.length > 0 ? [`## ${workload.name}: ${workload.title}`, ...tables, ...(cpu ? [cpu] : [])] : []
    })
    .join('\n\n')
}

/** The figures for which there is a goal, together. */
export function renderGoals(workloads: readonly Workload[], rows: readonly Row[]): string | undefined {
  const wanted = rows.filter((row) => row.wanted)
  if (wanted.length === 0) return undefined
  const lines = wanted.map((row) => {
    const figure = workloads.find(({name}) => name === row.workload)?.figures.find(({name}) => name === row.figure)
    const value = row.median.toFixed(figure?.digits ?? 0)
    return [
      `${row.workload}, ${figure?.title ?? row.figure}`,
      row.subject,
      value,
      row.wanted?.kind === 'ratio' ? (row.ratio?.toFixed(2) ?? '') : '',
      mark(row, row.wanted?.minimum),
      mark(row, row.wanted?.goal),
      row.wanted?.reached ?? '',
    ]
  })
  const head = ['', 'path', 'median', 'of direct', 'minimum', 'goal', 'reached']
  return `## Goals\n\n${table([head, ...lines])}`
}

/** How much the figures are to be trusted. */
export function renderForeign(samples: readonly Sample[], processors: number): string {
  const foreign = samples.map((sample) => sample.foreign)
  const [middle, most] = [median(foreign), Math.max(...foreign)].map((value) => value.toFixed(1))
  return `Other programs kept ${middle ?? ''} of ${processors} processors busy (median of the samples; at most ${most ?? ''}).`
}

/** Medians of processor time by part. */
function renderCpu(workload: Workload, samples: readonly Sample[]): string | undefined {
  const {cpu} = workload
  const mine = samples.filter((sample) => sample.workload === workload.name)
  const names = [
    ...new Set(mine.flatMap(({figures}) => Object.keys(figures).filter((name) => name.startsWith(cpuPrefix)))),
  ]
  if (!cpu || names.length === 0) return undefined
  const subjects = inOrder([...new Set(mine.map(({subject}) => subject))].map((subject) => ({subject})))
  const lines = subjects.map(({subject}) => {
    const own = mine.filter((sample) => sample.subject === subject)
    const values = names.map((name) => median(own.flatMap(({figures}) => figures[name] ?? [])))
    const sum = values.reduce((total, value) => total + (Number.isNaN(value) ? 0 : value), 0)
    return [subject, ...[...values, sum].map((value) => (Number.isNaN(value) ? '' : value.toFixed(cpu.digits)))]
  })
  const parts = names.map((name) => name.slice(cpuPrefix.length))
  return table([[cpu.title, ...parts, 'all'], ...lines])
}

/** The shuffled order in which they were measured says nothing. */
function inOrder<T extends {readonly subject: string}>(rows: readonly T[]): T[] {
  const rank = ({subject}: T): number => (subject === 'direct' ? 0 : subject.startsWith('postern') ? 1 : 2)
  return [...rows].sort((one, other) => rank(one) - rank(other) || (one.subject < other.subject ? -1 : 1))
}

function renderTable(figure: Figure, rows: readonly Row[]): string {
  const number = (value: number): string => value.toFixed(figure.digits)
  const lines = rows.map((row) => [
    row.subject,
    number(row.median),
    `${number(row.minimum)} – ${number(row.maximum)}`,
    String(row.n),
    row.ratio?.toFixed(2) ?? '',
    mark(row, row.wanted?.minimum),
    mark(row, row.wanted?.goal),
    row.wanted?.reached ?? '',
  ])
  return table([['', figure.title, 'range', 'n', 'ratio', 'minimum', 'goal', 'reached'], ...lines])
}

function mark({wanted}: Row, value: number | undefined): string {
  return value === undefined || !wanted || !Number.isFinite(value)
    ? ''
    : wanted.kind === 'ratio'
      ? value.toFixed(2)
      : String(value)
}

function table(cells: readonly (readonly string[])[]): string {
  const [head = [], ...body] = cells
  const widths = head.map((_, column) => Math.max(3, ...cells.map((row) => (row[column] ?? '').length)))
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join(' | ')} |`
  const rule = `| ${widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`
  return [line(head), rule, ...body.map(line)].join('\n')
}
