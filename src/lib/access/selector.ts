import type {Labels} from '../core/labels.js'
import {compilePattern, type Pattern} from './pattern.js'

/** A label selector of a role: keys and the values that each accepts. */
export type Selector = Readonly<Record<string, readonly string[]>>

export interface SelectorTest {
  /** What of the selector does not fit the labels: a key; `*` for a selector that selects nothing. Undefined when all fits. */
  readonly misfit: (labels: Labels) => string | undefined
  /** Instructions of regular expressions that may run for each character of a label. */
  readonly cost: number
}

/**
 * Every key must be among the labels with one of its values. An empty selector selects nothing.
 * @throws PosternError INVALID when it holds a pattern that cannot be read
 */
export function compileSelector(selector: Selector): SelectorTest {
  const keys = Object.entries(selector)
  if (keys.length === 0) return {misfit: () => '*', cost: 0}
  if (Object.hasOwn(selector, '*') && selector['*']?.includes('*')) return {misfit: () => undefined, cost: 0}
  const tests = keys.map(([key, patterns]) => [key, patterns.map(compilePattern)] as const)
  return {
    misfit: (labels) => tests.find(([key, patterns]) => !fits(labels, key, patterns))?.[0],
    cost: tests.flatMap(([, patterns]) => patterns).reduce((sum, {cost}) => sum + cost, 0),
  }
}

function fits(labels: Labels, key: string, patterns: readonly Pattern[]): boolean {
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined
  return value !== undefined && patterns.some(({matches}) => matches(value))
}

const compiled = new WeakMap<Selector, SelectorTest>()

/** Whether a resource's labels satisfy a selector; undefined selects nothing. @throws as compileSelector */
export function selects(selector: Selector | undefined, labels: Labels): boolean {
  if (!selector) return false
  const test = compiled.get(selector) ?? compileSelector(selector)
  compiled.set(selector, test)
  return test.misfit(labels) === undefined
}
