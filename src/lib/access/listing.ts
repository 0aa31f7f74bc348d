import type {Labels} from '../core/labels.js'
import type {Role} from '../resources/role.js'
import {compileRole} from './compiled-role.js'
import type {Subject} from './decision.js'

export interface AllowedNames {
  readonly allowed: readonly string[]
  readonly denied: readonly string[]
}

export interface Visibility {
  readonly users: AllowedNames
  readonly names: AllowedNames
}

/**
 * What a user may do with a database of these labels, for listings; undefined when no role lets them see it. The roles are
 * looked at once, however many databases there are.
 * @throws PosternError INVALID when a stored role cannot be read
 */
export function viewOf(subject: Subject, roles: ReadonlyMap<string, Role>): (labels: Labels) => Visibility | undefined {
  const held = subject.roles.flatMap((name) => {
    const role = roles.get(name)
    return role ? [compileRole(role).heldBy(subject)] : []
  })
  const allowing = held.map(({allow}) => allow).filter(({labels}) => labels.possible)
  const denying = held.map(({deny}) => deny).filter(({labels}) => labels.possible)
  const forbidden: Forbidden = {
    users: new Set(held.flatMap(({deny}) => deny.users)),
    names: new Set(held.flatMap(({deny}) => deny.names)),
  }
  // Databases that the same roles select look the same.
  const known = new Map<string, Visibility>()
  return (labels) => {
    if (denying.some((side) => side.labels.selects(labels))) return undefined
    const granting = allowing.filter((side) => side.labels.selects(labels))
    if (granting.length === 0) return undefined
    const key = granting.map((side) => allowing.indexOf(side)).join()
    const seen = known.get(key) ?? judgeAll(granting, forbidden)
    known.set(key, seen)
    return seen
  }
}

interface Grant {
  readonly users: readonly string[]
  readonly names: readonly string[]
}

interface Forbidden {
  readonly users: ReadonlySet<string>
  readonly names: ReadonlySet<string>
}

function judgeAll(grants: readonly Grant[], forbidden: Forbidden): Visibility {
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
