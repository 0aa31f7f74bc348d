import type {Labels} from '../core/labels.js'
import type {Role, Rule, Verb} from '../resources/role.js'
import {locate} from './compiled-role.js'
import {compileCondition, type Condition, type Vocabulary} from './predicate.js'
import {traitOf, type Traits} from './template.js'

/** What a verb is about, as far as it is known: conditions on what is not known are neither met nor failed. */
export interface About {
  readonly resource?: {
    readonly kind: string
    readonly name: string
    readonly labels?: Labels | undefined
  }
  readonly session?: {
    readonly sid: string
    /** The user whose session it is. */
    readonly participants: readonly string[]
  }
}

/** Who asks the control plane for something. */
export interface Asker {
  readonly user: string
  readonly traits: Traits
  readonly roles: readonly Role[]
}

interface RuleScope extends About {
  readonly asker: Asker
}

/** What conditions of rules may speak of (client contract, 4.7). */
const vocabulary: Vocabulary<RuleScope> = {
  names: {
    'user.metadata.name': {type: 'text', read: ({asker}) => asker.user},
    'user.spec.traits': {map: 'list', lookUp: ({asker}, key) => traitOf(asker.traits, key)},
    'user.spec.roles': {type: 'list', read: ({asker}) => asker.roles.map(({metadata}) => metadata.name)},
    'resource.kind': {type: 'text', read: ({resource}) => resource?.kind},
    'resource.metadata.name': {type: 'text', read: ({resource}) => resource?.name},
    'resource.metadata.labels': {
      map: 'text',
      lookUp: ({resource}, key) =>
        resource && (Object.hasOwn(resource.labels ?? {}, key) ? (resource.labels?.[key] ?? '') : ''),
    },
    'session.sid': {type: 'text', read: ({session}) => session?.sid},
    'session.participants': {type: 'list', read: ({session}) => session?.participants},
  },
}

interface CompiledRule {
  readonly resources: ReadonlySet<string>
  readonly verbs: ReadonlySet<string>
  readonly where: Condition<RuleScope> | undefined
}

interface CompiledRules {
  readonly allow: readonly CompiledRule[]
  readonly deny: readonly CompiledRule[]
  /** Instructions of regular expressions that may run for each character. */
  readonly cost: number
}

const compiled = new WeakMap<Role, CompiledRules>()

/** The rules of a role, read once. @throws PosternError INVALID saying where and why */
export function compileRules(role: Role): CompiledRules {
  const known = compiled.get(role)
  if (known) return known
  const read = (side: 'allow' | 'deny'): CompiledRule[] =>
    (role.spec[side]?.rules ?? []).map((rule, index) =>
      locate(role.metadata.name, `spec.${side}.rules.${index}.where`, () => compileRule(rule)),
    )
  const [allow, deny] = [read('allow'), read('deny')]
  const cost = [...allow, ...deny].reduce((sum, {where}) => sum + (where?.cost ?? 0), 0)
  const rules = {allow, deny, cost}
  compiled.set(role, rules)
  return rules
}

function compileRule({resources, verbs, where}: Rule): CompiledRule {
  return {
    resources: new Set(resources),
    verbs: new Set(verbs),
    where: where === undefined || where === '' ? undefined : compileCondition(where, vocabulary),
  }
}

/**
 * Whether one of the roles grants a verb on a resource of the control plane; a deny rule of any role wins. Undefined when
 * that depends on something that `about` does not tell.
 * @throws PosternError INVALID when a stored role cannot be read
 */
export function permits(asker: Asker, resource: string, verb: Verb, about: About = {}): boolean | undefined {
  const denied = judge(asker, 'deny', resource, verb, about)
  if (denied) return false
  const allowed = judge(asker, 'allow', resource, verb, about)
  return allowed === true && denied === undefined ? undefined : allowed
}

/** Whether one of the roles has a deny rule for a verb on a resource; undefined as above. @throws as above */
export function denies(asker: Asker, resource: string, verb: Verb, about: About = {}): boolean | undefined {
  return judge(asker, 'deny', resource, verb, about)
}

/** Whether a rule of the roles applies: surely, surely not, or not to be told. */
function judge(asker: Asker, side: 'allow' | 'deny', resource: string, verb: Verb, about: About): boolean | undefined {
  let possible: boolean | undefined = false
  for (const role of asker.roles) {
    for (const rule of compileRules(role)[side]) {
      if (!names(rule, resource, verb)) continue
      const applies = rule.where ? rule.where.holds({asker, ...about}) : true
      if (applies) return true
      if (applies === undefined) possible = undefined
    }
  }
  return possible
}

function names({resources, verbs}: CompiledRule, resource: string, verb: Verb): boolean {
  return (resources.has('*') || resources.has(resource)) && (verbs.has('*') || verbs.has(verb))
}
