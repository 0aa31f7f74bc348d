import {messageOf, PosternError} from '../core/errors.js'
import type {Role, RoleConditions} from '../resources/role.js'
import {compileLabelRule, type Holder, type LabelRule, type LabelTest} from './label-rule.js'
import type {Selector} from './selector.js'
import {compileEntries, type Template} from './template.js'

/** One side of a role, for one holder of it. */
export interface HeldSide {
  readonly labels: LabelTest
  readonly users: readonly string[]
  readonly names: readonly string[]
  readonly dbRoles: readonly string[]
}

/** A role as it is for one holder, with the traits filled in. */
export interface HeldRole {
  readonly name: string
  readonly allow: HeldSide
  readonly deny: HeldSide
}

interface CompiledSide {
  readonly labels: LabelRule
  readonly users: Template
  readonly names: Template
  readonly dbRoles: Template
}

/** A role whose patterns, templates and expressions are read once, however often it is asked. */
export class CompiledRole {
  /** Instructions of regular expressions that may run for each character of a label or trait. */
  readonly cost: number
  /** Whether a label that is not known yet could make it allow too much. */
  readonly needsAllLabels: boolean
  readonly #name: string
  readonly #allow: CompiledSide
  readonly #deny: CompiledSide
  /** The same for everybody, when there is nothing to fill in. */
  readonly #held: HeldRole | undefined

  /** @throws PosternError INVALID saying where and why */
  constructor(role: Role) {
    const {metadata, spec} = role
    this.#name = metadata.name
    this.#allow = compileSide(role, 'allow', spec.allow, spec.allow?.db_labels ?? defaultLabels(role))
    this.#deny = compileSide(role, 'deny', spec.deny, spec.deny?.db_labels)
    const parts = [this.#allow, this.#deny].flatMap(({labels, users, names, dbRoles}) => [
      labels,
      users,
      names,
      dbRoles,
    ])
    this.cost = parts.reduce((sum, {cost}) => sum + cost, 0)
    this.needsAllLabels =
      Object.keys(spec.deny?.db_labels ?? {}).length > 0 ||
      [spec.deny, spec.allow].some((side) => (side?.db_labels_expression ?? '') !== '')
    if (parts.every(({fixed}) => fixed)) this.#held = this.#fill({user: '', traits: {}})
  }

  /** @throws PosternError INVALID when the traits make something of it that cannot be run */
  heldBy(holder: Holder): HeldRole {
    return this.#held ?? this.#fill(holder)
  }

  #fill(holder: Holder): HeldRole {
    const side = (name: 'allow' | 'deny', {labels, users, names, dbRoles}: CompiledSide): HeldSide => ({
      labels: locate(this.#name, `spec.${name}.db_labels`, () => labels.fill(holder)),
      users: locate(this.#name, `spec.${name}.db_users`, () => users.fill(holder.traits)),
      names: locate(this.#name, `spec.${name}.db_names`, () => names.fill(holder.traits)),
      dbRoles: locate(this.#name, `spec.${name}.db_roles`, () => dbRoles.fill(holder.traits)),
    })
    return {name: this.#name, allow: side('allow', this.#allow), deny: side('deny', this.#deny)}
  }
}

const compiled = new WeakMap<Role, CompiledRole>()

/** Compiles a role once; a new revision of it is another object. @throws PosternError INVALID saying where and why */
export function compileRole(role: Role): CompiledRole {
  const known = compiled.get(role)
  if (known) return known
  const fresh = new CompiledRole(role)
  compiled.set(role, fresh)
  return fresh
}

/** Adds the place to an error about something in a role. */
export function locate<T>(role: string, at: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof PosternError)) throw error
    throw new PosternError('INVALID', `Role "${role}", ${at}: ${messageOf(error)}`, {cause: error, hint: error.hints})
  }
}

/** A role of version 3 selects every database when it names no labels; later versions must write it. */
const defaultLabels = ({version}: Role): Selector | undefined => (version === 'v3' ? {'*': ['*']} : undefined)

function compileSide(
  {metadata: {name}}: Role,
  side: 'allow' | 'deny',
  conditions: RoleConditions | undefined,
  selector: Selector | undefined,
): CompiledSide {
  const at = `spec.${side}`
  const entries = (field: 'db_users' | 'db_names' | 'db_roles'): Template =>
    locate(name, `${at}.${field}`, () => compileEntries(conditions?.[field]))
  return {
    labels: compileLabels(name, side, selector, conditions?.db_labels_expression),
    users: entries('db_users'),
    names: entries('db_names'),
    dbRoles: entries('db_roles'),
  }
}

function compileLabels(
  name: string,
  side: 'allow' | 'deny',
  selector: Selector | undefined,
  expression: string | undefined,
): LabelRule {
  // One by one first, so that an error names the key or the expression that it is about.
  for (const [key, values] of Object.entries(selector ?? {})) {
    locate(name, `spec.${side}.db_labels.${key}`, () => compileLabelRule(side, {[key]: values}, undefined))
  }
  return locate(name, `spec.${side}.db_labels_expression`, () => compileLabelRule(side, selector, expression))
}
