/** The rules of access (client contract, chapter 4) once more, as plainly as they can be said: what decisions are compared with. */
import type {Labels} from '../../../src/lib/core/labels.js'
import type {Lock} from '../../../src/lib/resources/lock.js'
import type {Role, RoleConditions} from '../../../src/lib/resources/role.js'

export interface Case {
  readonly user: string
  /** The roles that the user holds, in order; some may have no definition. */
  readonly held: readonly string[]
  readonly definitions: readonly Role[]
  readonly traits: Readonly<Record<string, readonly string[]>>
  readonly labels: Labels
  readonly dbUser: string
  readonly dbName: string
  readonly locks: readonly Lock[]
  readonly serverId: string
  /** Names are compared as Redshift does. */
  readonly folds: boolean
  readonly now: number
}

export function mayEnter(the: Case): boolean {
  const roles = the.held.flatMap((name) => the.definitions.filter(({metadata}) => metadata.name === name))
  if (the.locks.some((lock) => hits(lock, the))) return false
  const forbidden = roles.some(({spec: {deny}}) => {
    const byLabels = selected(deny?.db_labels, the) === true || holds(deny?.db_labels_expression, the) === true
    return byLabels || named(deny?.db_users, the.dbUser, the) || named(deny?.db_names, the.dbName, the)
  })
  if (forbidden) return false
  return roles.some(({version, spec: {allow}}) => {
    const labels = allow?.db_labels ?? (version === 'v3' ? {'*': ['*']} : undefined)
    const parts = [selected(labels, the), holds(allow?.db_labels_expression, the)].filter((part) => part !== undefined)
    const reached = parts.length > 0 && parts.every(Boolean)
    return reached && named(allow?.db_users, the.dbUser, the) && named(allow?.db_names, the.dbName, the)
  })
}

function hits({spec: {target, expires}}: Lock, {user, held, serverId, now}: Case): boolean {
  if (expires !== undefined && Date.parse(expires) <= now) return false
  if (target.user !== undefined && target.user !== user) return false
  if (target.role !== undefined && !held.includes(target.role)) return false
  return target.server_id === undefined || target.server_id === serverId
}

/** Undefined when there is no selector. */
function selected(selector: RoleConditions['db_labels'], the: Case): boolean | undefined {
  if (!selector) return undefined
  const keys = Object.keys(selector)
  if (keys.includes('*')) return true
  return (
    keys.length > 0 && keys.every((key) => filled(selector[key], the).some((pattern) => fits(pattern, the.labels[key])))
  )
}

function fits(pattern: string, value: string | undefined): boolean {
  if (value === undefined) return false
  if (pattern.startsWith('^') && pattern.endsWith('$')) return new RegExp(pattern, 's').test(value)
  return new RegExp(`^${pattern.split('*').map(escape).join('.*')}$`, 's').test(value)
}

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** The expressions that cases are made of: `labels["KEY"] == "VALUE"` and `!=`. Undefined when there is none. */
function holds(expression: string | undefined, {labels}: Case): boolean | undefined {
  if (expression === undefined) return undefined
  const [, key = '', operator, value] = /^labels\["(\w+)"\] (==|!=) "(\w*)"$/.exec(expression) ?? []
  const same = (labels[key] ?? '') === value
  return operator === '==' ? same : !same
}

function named(entries: readonly string[] | undefined, wanted: string, the: Case): boolean {
  const fold = (name: string): string => (the.folds ? name.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) : name)
  return wanted !== '' && filled(entries, the).some((entry) => entry === '*' || fold(entry) === fold(wanted))
}

function filled(entries: readonly string[] | undefined, {traits}: Case): string[] {
  return (entries ?? []).flatMap((entry) => {
    const [, before = '', name, after = ''] = /^(.*)\{\{(?:in|ex)ternal\.(\w+)\}\}(.*)$/.exec(entry) ?? []
    if (name === undefined) return [entry]
    return (traits[name] ?? []).filter((value) => value !== '').map((value) => `${before}${value}${after}`)
  })
}
