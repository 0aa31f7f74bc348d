/** Condition operators of IAM policies (IAM User Guide, "Condition operators"): those that database access can need. */
import {matchesArn, matchesGlob} from '../core/glob.js'

/** Operator, key in lower case, values. */
export interface Condition {
  readonly operator: string
  readonly key: string
  readonly values: readonly string[]
}

/** Facts about a request, by key in lower case: `sts:externalid`, `aws:principalarn`. */
export type Context = ReadonlyMap<string, readonly string[]>

type Comparison = (actual: string, wanted: string) => boolean

const caseless = (text: string): string => text.toLowerCase()
const equals: Comparison = (actual, wanted) => actual === wanted
const like: Comparison = (actual, wanted) => matchesGlob(wanted, actual)
const arnLike: Comparison = (actual, wanted) => matchesArn(wanted, actual)
const numeric =
  (compare: (actual: number, wanted: number) => boolean): Comparison =>
  (actual, wanted) =>
    compare(Number(actual), Number(wanted))

const comparisons: Readonly<Record<string, Comparison>> = {
  StringEquals: equals,
  StringEqualsIgnoreCase: (actual, wanted) => caseless(actual) === caseless(wanted),
  StringLike: like,
  ArnEquals: arnLike,
  ArnLike: arnLike,
  Bool: (actual, wanted) => caseless(actual) === caseless(wanted),
  NumericEquals: numeric((actual, wanted) => actual === wanted),
  NumericLessThan: numeric((actual, wanted) => actual < wanted),
  NumericLessThanEquals: numeric((actual, wanted) => actual <= wanted),
  NumericGreaterThan: numeric((actual, wanted) => actual > wanted),
  NumericGreaterThanEquals: numeric((actual, wanted) => actual >= wanted),
}

const negations: Readonly<Record<string, string>> = {
  StringNotEquals: 'StringEquals',
  StringNotEqualsIgnoreCase: 'StringEqualsIgnoreCase',
  StringNotLike: 'StringLike',
  ArnNotEquals: 'ArnEquals',
  ArnNotLike: 'ArnLike',
  NumericNotEquals: 'NumericEquals',
}

interface Operator {
  readonly quantifier: string | undefined
  readonly name: string
  readonly ifExists: boolean
}

function parseOperator(text: string): Operator {
  const match = /^(?:(ForAnyValue|ForAllValues):)?(.+?)(IfExists)?$/.exec(text)
  return {quantifier: match?.[1], name: match?.[2] ?? '', ifExists: match?.[3] !== undefined}
}

export function isConditionOperator(text: string): boolean {
  const {name} = parseOperator(text)
  return name === 'Null' || Object.hasOwn(comparisons, name) || Object.hasOwn(negations, name)
}

/** Whether the request's facts meet the condition. */
export function meetsCondition({operator, key, values}: Condition, context: Context): boolean {
  const {quantifier, name, ifExists} = parseOperator(operator)
  const actual = context.get(key) ?? []
  if (name === 'Null') return values.includes(String(actual.length === 0))
  const positive = negations[name]
  const compare = comparisons[positive ?? name]
  if (!compare) return false
  // Without the key, a negated operator holds and an ordinary one does not (IAM User Guide, "...IfExists").
  if (actual.length === 0) return ifExists || quantifier === 'ForAllValues' || positive !== undefined
  const wanted = values.map((value) => substitute(value, context))
  const test = (value: string): boolean =>
    wanted.some((candidate) => compare(value, candidate)) === (positive === undefined)
  if (quantifier === 'ForAllValues') return actual.every(test)
  return actual.some(test)
}

/** Replaces policy variables such as `${aws:username}`; an unknown one matches nothing. */
export function substitute(text: string, context: Context): string {
  return text.replace(/\$\{([^}]*)\}/g, (_, key: string) => {
    if (key === '*' || key === '?' || key === '$') return key
    return context.get(key.toLowerCase())?.[0] ?? '\0'
  })
}
