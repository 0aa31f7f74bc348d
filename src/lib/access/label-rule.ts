import type {Labels} from '../core/labels.js'
import {PosternError} from '../core/errors.js'
import type {LabelsFinding} from '../resources/explanation.js'
import {compileCondition, type Condition, type Vocabulary} from './predicate.js'
import {maximumInstructions} from './pattern.js'
import {compileSelector, type Selector, type SelectorTest} from './selector.js'
import {compileEntries, traitOf, type Template, type Traits} from './template.js'

/** Whose roles they are. */
export interface Holder {
  readonly user: string
  readonly traits: Traits
}

interface LabelScope extends Holder {
  readonly labels: Labels
}

/** What label expressions may speak of (client contract, 4.7). */
const vocabulary: Vocabulary<LabelScope> = {
  names: {
    labels: {map: 'text', lookUp: ({labels}, key) => (Object.hasOwn(labels, key) ? (labels[key] ?? '') : '')},
    'user.spec.traits': {map: 'list', lookUp: ({traits}, key) => traitOf(traits, key)},
    'user.metadata.name': {type: 'text', read: ({user}) => user},
  },
  functions: {
    labels_matching: {
      takes: ['literal'],
      gives: 'list',
      prepare: ([pattern = '']) => {
        const {misfit, cost} = compileSelector({key: [pattern]})
        return {
          cost,
          run: (_values, {labels}) =>
            Object.entries(labels).flatMap(([key, value]) => (misfit({key}) === undefined ? [value] : [])),
        }
      },
    },
  },
}

/** Which databases one side of a role selects, for one holder of it. */
export interface LabelTest {
  /** Whether there is anything that could select one. */
  readonly possible: boolean
  readonly selects: (labels: Labels) => boolean
  readonly explain: (labels: Labels) => LabelsFinding
}

export interface LabelRule {
  /** Whether it is the same for everybody. */
  readonly fixed: boolean
  readonly cost: number
  /** @throws PosternError INVALID when the holder's traits make patterns of it that cannot be run */
  readonly fill: (holder: Holder) => LabelTest
}

/**
 * The labels that one side of a role selects: where there are a selector and an expression, both must hold to allow, and
 * either is enough to deny.
 * @throws PosternError INVALID
 */
export function compileLabelRule(
  side: 'allow' | 'deny',
  selector: Selector | undefined,
  expression: string | undefined,
): LabelRule {
  const filled = selector && compileFilled(selector)
  const condition = expression === undefined || expression === '' ? undefined : compileCondition(expression, vocabulary)
  return {
    fixed: (filled?.fixed ?? true) && condition === undefined,
    cost: (filled?.cost ?? 0) + (condition?.cost ?? 0),
    fill: (holder) =>
      testOf(side, holder, filled?.fill(holder.traits), condition && {text: expression ?? '', condition}),
  }
}

interface FilledSelector {
  readonly selector: Selector
  readonly test: SelectorTest
}

function testOf(
  side: 'allow' | 'deny',
  holder: Holder,
  chosen: FilledSelector | undefined,
  expression: {readonly text: string; readonly condition: Condition<LabelScope>} | undefined,
): LabelTest {
  const misfit = (labels: Labels): string | undefined => chosen?.test.misfit(labels)
  const holds = (labels: Labels): boolean => expression?.condition.holds({...holder, labels}) === true
  const selects = (labels: Labels): boolean => {
    if (!chosen || !expression) return chosen ? misfit(labels) === undefined : holds(labels)
    return side === 'allow'
      ? misfit(labels) === undefined && holds(labels)
      : misfit(labels) === undefined || holds(labels)
  }
  return {
    possible: chosen !== undefined || expression !== undefined,
    selects,
    explain: (labels) => {
      const matched = selects(labels)
      const failed = matched ? undefined : (misfit(labels) ?? (expression && 'expression'))
      return {
        matched,
        ...(chosen && {selector: chosen.selector}),
        ...(expression && {expression: expression.text}),
        ...(failed !== undefined && {failed}),
      }
    },
  }
}

/** A selector whose values may be templates. */
function compileFilled(selector: Selector): {
  fixed: boolean
  cost: number
  fill: (traits: Traits) => FilledSelector
} {
  const keys = Object.entries(selector).map(([key, values]): [string, Template] => [key, compileEntries(values)])
  // With the key `*` it selects everything, whatever else it says.
  if (keys.every(([, {fixed}]) => fixed) || Object.hasOwn(selector, '*')) {
    const test = compileSelector(selector)
    const chosen = {selector, test}
    return {fixed: true, cost: test.cost, fill: () => chosen}
  }
  const same = compileKeys(keys.filter(([, {fixed}]) => fixed).map(([key, {samples}]) => [key, samples]))
  const fillIn = (traits: Traits): FilledSelector => {
    const chosen = Object.fromEntries(keys.map(([key, values]) => [key, values.fill(traits)]))
    // Only what differs between people is read again for each.
    const own = compileKeys(keys.filter(([, {fixed}]) => !fixed).map(([key]) => [key, chosen[key] ?? []]))
    const test = {misfit: (labels: Labels) => same.misfit(labels) ?? own.misfit(labels), cost: own.cost}
    if (test.cost > maximumInstructions) {
      throw new PosternError('INVALID', 'The traits of the user make its regular expressions too large.')
    }
    return {selector: chosen, test}
  }
  const usual = compileSelector(Object.fromEntries(keys.map(([key, {samples}]) => [key, samples])))
  return {fixed: false, cost: keys.reduce((sum, [, {cost}]) => sum + cost, usual.cost), fill: fillIn}
}

/** Some keys of a selector: none of them selects everything. */
function compileKeys(keys: readonly (readonly [string, readonly string[]])[]): SelectorTest {
  return keys.length === 0 ? {misfit: () => undefined, cost: 0} : compileSelector(Object.fromEntries(keys))
}
