import type {Role} from '../resources/role.js'
import {allowedLabels, deniedLabels, type Subject, type Target} from './decision.js'
import {selects} from './selector.js'
import {interpolateAll} from './template.js'

export interface AllowedNames {
  readonly allowed: readonly string[]
  readonly denied: readonly string[]
}

export interface Visibility {
  readonly users: AllowedNames
  readonly names: AllowedNames
}

/** What a user may do with one database, for listings; undefined when no role lets them see it. */
export function visibility(subject: Subject, roles: ReadonlyMap<string, Role>, target: Target): Visibility | undefined {
  const {traits} = subject
  const held = subject.roles.flatMap((name) => roles.get(name) ?? [])
  if (held.some((role) => selects(deniedLabels(role, traits), target.labels))) return undefined
  const granting = held.filter((role) => selects(allowedLabels(role, traits), target.labels))
  if (granting.length === 0) return undefined

  const grants = granting.map(({spec: {allow}}) => ({
    users: interpolateAll(allow?.db_users, traits),
    names: interpolateAll(allow?.db_names, traits),
  }))
  const forbidden = {
    users: new Set(held.flatMap(({spec: {deny}}) => interpolateAll(deny?.db_users, traits))),
    names: new Set(held.flatMap(({spec: {deny}}) => interpolateAll(deny?.db_names, traits))),
  }
  const side = (wanted: 'users' | 'names', other: 'users' | 'names'): AllowedNames =>
    judge(
      // A role opens a user only together with a name that is left to it, and the other way round.
      grants
        .filter((grant) => grant[other].some((entry) => isLeft(entry, forbidden[other])))
        .map((grant) => grant[wanted]),
      grants.flatMap((grant) => grant[wanted]),
      forbidden[wanted],
    )
  return {users: side('users', 'names'), names: side('names', 'users')}
}

const isLeft = (entry: string, forbidden: ReadonlySet<string>): boolean => !forbidden.has('*') && !forbidden.has(entry)

/** The entries of the roles that open something, everything that any role names, and what is forbidden. */
function judge(
  opened: readonly (readonly string[])[],
  named: readonly string[],
  forbidden: ReadonlySet<string>,
): AllowedNames {
  const open = opened.flat()
  const wildcard = open.includes('*') && !forbidden.has('*')
  const concrete = (entries: Iterable<string>): string[] =>
    [...new Set(entries)].filter((entry) => entry !== '*').sort()
  return {
    allowed: [
      ...(wildcard ? ['*'] : []),
      ...concrete(wildcard ? named : open).filter((entry) => isLeft(entry, forbidden)),
    ],
    denied: wildcard ? concrete(forbidden) : [],
  }
}
