/**
 * Predicates are compiled once, with their types, and evaluated often. A value may be unknown (`undefined`), as long as the
 * resource that it belongs to is not known: what follows from an unknown value is unknown too, unless it makes no difference.
 */
import {functions, type Operation, type Parameter, type Type, type Value} from './predicate-functions.js'
import {invalidAt, parsePredicate, type Node} from './predicate-syntax.js'

/** A name that predicates may use: a value, or a map that a key is looked up in. */
export type Name<Scope> =
  | {readonly type: Type; readonly read: (scope: Scope) => Value}
  | {readonly map: 'text' | 'list'; readonly lookUp: (scope: Scope, key: string) => Value}

/** What predicates of one kind may speak of. */
export interface Vocabulary<Scope> {
  /** By their paths, as `user.spec.traits`. */
  readonly names: Readonly<Record<string, Name<Scope>>>
  /** Besides those that all kinds have. */
  readonly functions?: Readonly<Record<string, Operation<Scope>>>
}

/** A predicate, or a part of one, ready to be evaluated. */
export interface Compiled<Scope> {
  readonly type: Type
  readonly evaluate: (scope: Scope) => Value
  /** Instructions of regular expressions that may run for each character. */
  readonly cost: number
}

/** A predicate that says yes or no, or does not know. */
export interface Condition<Scope> {
  readonly holds: (scope: Scope) => boolean | undefined
  readonly cost: number
}

/** @throws PosternError INVALID saying what is wrong, and where */
export function compileCondition<Scope>(text: string, vocabulary: Vocabulary<Scope>): Condition<Scope> {
  const {type, evaluate, cost} = compileNode(parsePredicate(text), vocabulary)
  if (type !== 'flag') throw invalidAt(0, `it gives a ${type}, not yes or no`)
  return {holds: evaluate as Condition<Scope>['holds'], cost}
}

/** @throws PosternError INVALID */
export function compileNode<Scope>(node: Node, vocabulary: Vocabulary<Scope>): Compiled<Scope> {
  const compile = (each: Node): Compiled<Scope> => compileNode(each, vocabulary)
  const flagOf = (each: Node): Compiled<Scope> => {
    const compiled = compile(each)
    if (compiled.type !== 'flag') throw invalidAt(each.at, `this is a ${compiled.type}, not a condition`)
    return compiled
  }
  switch (node.kind) {
    case 'literal': {
      const {value} = node
      const types = {string: 'text', number: 'number', boolean: 'flag'} as const
      return {type: types[typeof value as keyof typeof types], evaluate: () => value, cost: 0}
    }
    case 'path':
      return compilePath(node.path, node.at, vocabulary)
    case 'index':
      return compileIndex(node.of, compile(node.key), node.at, vocabulary)
    case 'call':
      return compileCall(node.name, node.parameters, node.at, vocabulary, compile)
    case 'not': {
      const {evaluate, cost} = flagOf(node.operand)
      return {type: 'flag', evaluate: (scope) => negate(evaluate(scope)), cost}
    }
    case 'and':
    case 'or': {
      const operands = node.operands.map(flagOf)
      const decisive = node.kind === 'or'
      return {type: 'flag', evaluate: (scope) => join(operands, scope, decisive), cost: costOf(operands)}
    }
    case 'equal':
      return compileEqual(compile(node.left), compile(node.right), node.negated, node.at)
  }
}

function negate(value: Value): Value {
  return value === undefined ? undefined : !value
}

/** One decisive operand is enough, also beside unknown ones. */
function join<Scope>(operands: readonly Compiled<Scope>[], scope: Scope, decisive: boolean): Value {
  let unknown = false
  for (const {evaluate} of operands) {
    const value = evaluate(scope)
    if (value === decisive) return decisive
    if (value === undefined) unknown = true
  }
  return unknown ? undefined : !decisive
}

function compileEqual<Scope>(
  left: Compiled<Scope>,
  right: Compiled<Scope>,
  negated: boolean,
  at: number,
): Compiled<Scope> {
  if (left.type !== right.type || left.type === 'list') {
    throw invalidAt(
      at,
      `a ${left.type} cannot be compared with a ${right.type}; for lists there is contains(list, text)`,
    )
  }
  return {
    type: 'flag',
    cost: costOf([left, right]),
    evaluate: (scope) => {
      const [one, other] = [left.evaluate(scope), right.evaluate(scope)]
      return one === undefined || other === undefined ? undefined : (one === other) !== negated
    },
  }
}

function compilePath<Scope>(path: readonly string[], at: number, {names}: Vocabulary<Scope>): Compiled<Scope> {
  const whole = path.join('.')
  const name = own(names, whole)
  if (name && 'type' in name) return {type: name.type, evaluate: name.read, cost: 0}
  if (name) throw invalidAt(at, `"${whole}" needs a key, as in ${whole}["key"]`)
  const key = path.at(-1) ?? ''
  const map = own(names, path.slice(0, -1).join('.'))
  if (map && 'map' in map) return {type: map.map, evaluate: (scope) => map.lookUp(scope, key), cost: 0}
  throw invalidAt(at, `"${whole}" means nothing here; there is ${describeNames(names)}`)
}

function compileIndex<Scope>(of: Node, key: Compiled<Scope>, at: number, {names}: Vocabulary<Scope>): Compiled<Scope> {
  const path = of.kind === 'path' ? of.path.join('.') : ''
  const map = own(names, path)
  if (!map || !('map' in map)) throw invalidAt(at, `only ${describeMaps(names)} can be looked into with [ ]`)
  if (key.type !== 'text') throw invalidAt(at, `the key of ${path} must be a text`)
  return {
    type: map.map,
    cost: key.cost,
    evaluate: (scope) => {
      const value = key.evaluate(scope)
      return typeof value === 'string' ? map.lookUp(scope, value) : undefined
    },
  }
}

function compileCall<Scope>(
  name: string,
  nodes: readonly Node[],
  at: number,
  vocabulary: Vocabulary<Scope>,
  compile: (node: Node) => Compiled<Scope>,
): Compiled<Scope> {
  const operation = own(vocabulary.functions ?? {}, name) ?? own<Operation<unknown>>(functions, name)
  if (!operation) {
    const known = [...Object.keys(functions), ...Object.keys(vocabulary.functions ?? {})]
    throw invalidAt(at, `there is no function "${name}"; there is ${known.join(', ')}`)
  }
  const {takes, more, gives, prepare} = operation
  if (nodes.length < takes.length || (nodes.length > takes.length && !more)) {
    throw invalidAt(at, `${name} takes ${takes.length}${more ? ' or more' : ''} values, not ${nodes.length}`)
  }
  const literals: string[] = []
  const parameters = nodes.flatMap((node, index) => {
    const wanted: Parameter = takes[index] ?? more ?? 'text'
    if (wanted === 'literal') {
      if (node.kind !== 'literal' || typeof node.value !== 'string') {
        throw invalidAt(node.at, `${name} takes a text in quotes here, so that it can be checked beforehand`)
      }
      literals.push(node.value)
      return []
    }
    return [convert(compile(node), wanted, node.at)]
  })
  const {run, cost = 0} = prepare(literals, at)
  return {
    type: gives,
    cost: cost + costOf(parameters),
    evaluate: (scope) => {
      const values = parameters.map(({evaluate}) => evaluate(scope))
      return values.includes(undefined) ? undefined : run(values, scope)
    },
  }
}

/** A text may stand for the list of it alone. */
function convert<Scope>(compiled: Compiled<Scope>, wanted: Type, at: number): Compiled<Scope> {
  const {type, evaluate, cost} = compiled
  if (type === wanted) return compiled
  if (wanted !== 'list' || type !== 'text') throw invalidAt(at, `this is a ${type}, and must be a ${wanted}`)
  return {
    type: 'list',
    cost,
    evaluate: (scope) => {
      const value = evaluate(scope)
      return typeof value === 'string' ? [value] : undefined
    },
  }
}

const costOf = (parts: readonly {readonly cost: number}[]): number => parts.reduce((sum, {cost}) => sum + cost, 0)

const own = <T>(record: Readonly<Record<string, T>>, key: string): T | undefined =>
  Object.hasOwn(record, key) ? record[key] : undefined

function describeNames<Scope>(names: Vocabulary<Scope>['names']): string {
  return Object.entries(names)
    .map(([path, name]) => ('map' in name ? `${path}["key"]` : path))
    .join(', ')
}

function describeMaps<Scope>(names: Vocabulary<Scope>['names']): string {
  return Object.keys(names)
    .filter((path) => 'map' in (names[path] ?? {}))
    .join(' and ')
}
