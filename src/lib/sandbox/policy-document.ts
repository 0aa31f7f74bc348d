/** IAM policy documents (IAM User Guide, "Grammar of the IAM JSON policy language"), read into one plain form. */
import {PosternError} from '../core/errors.js'
import {isConditionOperator, type Condition} from './conditions.js'

export interface Statement {
  readonly effect: 'Allow' | 'Deny'
  readonly actions: Matcher
  readonly resources: Matcher
  /** By kind (`AWS`, `Service`, `Federated`); `*` alone is everybody, as `AWS`. */
  readonly principals: ReadonlyMap<string, readonly string[]>
  readonly conditions: readonly Condition[]
}

/** Patterns of Action or Resource, or of NotAction and NotResource. */
export interface Matcher {
  readonly patterns: readonly string[]
  readonly negated: boolean
}

export interface Policy {
  /** As it was given. */
  readonly text: string
  readonly statements: readonly Statement[]
}

/** What kind of policy it is: who is meant (trust) or what (permissions). */
export type PolicyKind = 'permissions' | 'trust'

type Json = Readonly<Record<string, unknown>>

const versions: readonly unknown[] = ['2012-10-17', '2008-10-17']

/** @throws PosternError INVALID saying what is wrong with the document. */
export function parsePolicy(text: string, kind: PolicyKind = 'permissions'): Policy {
  const document = asObject(parseJson(text), 'The policy')
  if (document.Version !== undefined && !versions.includes(document.Version)) {
    throw invalid('The policy has an unknown version.')
  }
  const statements = Array.isArray(document.Statement) ? (document.Statement as unknown[]) : [document.Statement]
  return {text, statements: statements.map((statement) => parseStatement(asObject(statement, 'A statement'), kind))}
}

function parseStatement(statement: Json, kind: PolicyKind): Statement {
  const effect = statement.Effect
  if (effect !== 'Allow' && effect !== 'Deny') throw invalid('A statement has no effect Allow or Deny.')
  const actions = readMatcher(statement, 'Action')
  if (!actions) throw invalid('A statement names no action.')
  const resources = readMatcher(statement, 'Resource')
  const principals = readPrincipals(statement.Principal)
  if (kind === 'trust' && (resources || principals.size === 0)) {
    throw invalid('A trust policy names principals and no resources.')
  }
  if (kind === 'permissions' && (!resources || principals.size > 0)) {
    throw invalid('A permissions policy names resources and no principals.')
  }
  return {
    effect,
    actions,
    resources: resources ?? {patterns: ['*'], negated: false},
    principals,
    conditions: readConditions(statement.Condition),
  }
}

function readMatcher(statement: Json, name: 'Action' | 'Resource'): Matcher | undefined {
  const patterns = readTexts(statement[name])
  const excluded = readTexts(statement[`Not${name}`])
  if (patterns.length > 0 && excluded.length > 0) throw invalid(`A statement has both ${name} and Not${name}.`)
  if (patterns.length > 0) return {patterns, negated: false}
  return excluded.length > 0 ? {patterns: excluded, negated: true} : undefined
}

function readPrincipals(principal: unknown): ReadonlyMap<string, readonly string[]> {
  if (principal === undefined) return new Map()
  if (principal === '*') return new Map([['AWS', ['*']]])
  return new Map(Object.entries(asObject(principal, 'A principal')).map(([kind, names]) => [kind, readTexts(names)]))
}

function readConditions(condition: unknown): Condition[] {
  if (condition === undefined) return []
  return Object.entries(asObject(condition, 'A condition')).flatMap(([operator, tests]) => {
    // Refused rather than skipped: a condition that nobody checks would turn into a wider permission.
    if (!isConditionOperator(operator)) throw invalid(`The sandbox does not know the condition operator ${operator}.`)
    return Object.entries(asObject(tests, 'A condition')).map(([key, values]) => ({
      operator,
      key: key.toLowerCase(),
      values: readTexts(values),
    }))
  })
}

function readTexts(value: unknown): string[] {
  if (value === undefined) return []
  return (Array.isArray(value) ? (value as unknown[]) : [value]).map((text) => {
    if (typeof text === 'string') return text
    if (typeof text === 'boolean' || typeof text === 'number') return String(text)
    throw invalid('The policy has something else where a text belongs.')
  })
}

function asObject(value: unknown, what: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(`${what} is not an object.`)
  return value as Json
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw invalid('The policy is not JSON.', error)
  }
}

function invalid(message: string, cause?: unknown): PosternError {
  return new PosternError('INVALID', message, {cause})
}
