/** The figures that the project has set itself: as ratios to the direct path of the same run, or as they are. */
import type {Figure} from './workload.js'

export interface Goal {
  readonly kind: 'ratio' | 'absolute'
  readonly minimum: number
  readonly goal: number
}

const ratio = (minimum: number, goal: number): Goal => ({kind: 'ratio', minimum, goal})
const absolute = (minimum: number, goal: number): Goal => ({kind: 'absolute', minimum, goal})

type Rule = readonly [workload: string, figure: string, subject: RegExp, goal: Goal]

/** The first that fits counts. */
const rules: readonly Rule[] = [
  ['w1p', 'tps', /^postern-direct/, ratio(0.42, 0.55)],
  ['w1p', 'tps', /^postern/, ratio(0.33, 0.4)],
  ['c64', 'tps', /^postern/, ratio(0.32, 0.5)],
  ['copy-out', 'rate', /^postern/, ratio(1, 1.3)],
  ['copy-in', 'rate', /^postern/, ratio(0.95, 1.1)],
  ['connect1', 'tps', /^postern/, ratio(0.45, 0.9)],
  ['connect4', 'tps', /^postern/, ratio(0.45, 0.9)],
  ['wan', 'p50', /1 a second/, absolute(60, 45)],
  ['ping', 'p50', /^postern/, absolute(1, 0.2)],
  ['idle', 'proxy', /^postern/, absolute(20, 12)],
  ['idle', 'agent', /^postern/, absolute(100, 50)],
  ['cli', 'above', /./, absolute(90, 55)],
  ['sustained', 'failures', /^postern/, absolute(0, 0)],
  ['sustained', 'p90', /^postern/, absolute(NaN, 20)],
]

export function goalOf(workload: string, figure: string, subject: string): Goal | undefined {
  return rules.find((rule) => rule[0] === workload && rule[1] === figure && rule[2].test(subject))?.[3]
}

export type Reached = 'goal' | 'minimum' | 'below'

export function reached({better}: Figure, {minimum, goal}: Goal, value: number): Reached {
  const isAtLeast = (mark: number): boolean => (better === 'more' ? value >= mark : value <= mark)
  return isAtLeast(goal) ? 'goal' : isAtLeast(minimum) ? 'minimum' : 'below'
}
