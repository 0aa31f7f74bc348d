/** What becomes of a decision's explanation: kept by the audit, shown to the user that it is about, turned into advice. */
import {formatLabels} from '../core/labels.js'
import type {EntriesFinding, Explanation, LabelsFinding, RoleFinding, SideFinding} from '../resources/explanation.js'
import {nearestRole} from './denial.js'

/** Of each list in a role this much is kept, and of a value this many characters. */
const keptEntries = 10
const keptCharacters = 128
/** An event of the audit log has room for this many characters of explanation. */
const maximumKept = 48 * 1024

/** As the audit keeps it: long lists are cut, and when it is too long still, roles are left out from the end. */
export function briefExplanation(explanation: Explanation): Explanation {
  const roles = explanation.roles.map(({role, defined, allow, deny}): RoleFinding => ({
    role,
    defined,
    allow: briefSide(allow),
    deny: briefSide(deny),
  }))
  const brief = {...explanation, roles}
  let room = maximumKept - JSON.stringify({...brief, roles: []}).length
  const kept = roles.findIndex((finding) => {
    room -= JSON.stringify(finding).length + 1
    return room < 0
  })
  return kept < 0 ? brief : {...brief, roles: roles.slice(0, kept)}
}

function briefSide({labels, user, name, roles}: SideFinding): SideFinding {
  return {labels: briefLabels(labels), user: briefEntries(user), name: briefEntries(name), roles: briefEntries(roles)}
}

const briefEntries = ({matched, entries}: EntriesFinding): EntriesFinding => ({matched, entries: cut(entries)})

function briefLabels({selector, expression, ...rest}: LabelsFinding): LabelsFinding {
  const keys = Object.entries(selector ?? {}).slice(0, keptEntries)
  return {
    ...rest,
    ...(selector && {selector: Object.fromEntries(keys.map(([key, values]) => [key, cut(values)]))}),
    ...(expression !== undefined && {expression: expression.slice(0, keptCharacters * keptEntries)}),
  }
}

function cut(entries: readonly string[]): string[] {
  const kept = entries.slice(0, keptEntries).map((entry) => entry.slice(0, keptCharacters))
  return entries.length > keptEntries ? [...kept, `... ${entries.length - keptEntries} more`] : kept
}

/**
 * As the user may see it whom it is about: of the roles that they hold now, not which lock it was, and the labels of
 * databases that they see.
 */
export function ownView(explanation: Explanation, held: readonly string[]): Explanation {
  const named = Object.entries(explanation).filter(([key]) => key !== 'lock')
  const shown = Object.fromEntries(named) as Omit<Explanation, 'lock'>
  const roles = shown.roles.filter(({role}) => held.includes(role))
  const sees = roles.some(({allow}) => allow.labels.matched) && !roles.some(({deny}) => deny.labels.matched)
  return {...shown, labels: sees ? shown.labels : {}, roles}
}

/** What an administrator could change so that a denial becomes a permission, the smallest change first. */
export function remediesOf(explanation: Explanation): string[] {
  const {reason, lock, role, roles, db_user: dbUser, db_name: dbName} = explanation
  const decisive = roles.find((finding) => finding.role === role)
  switch (reason) {
    case 'allowed':
      return []
    case 'lock':
      return lock === undefined ? [] : [`Remove the lock: postern rm lock/${lock}`]
    case 'deny-rule':
      return decisive
        ? [`Role "${decisive.role}" denies it by ${denying(decisive)}: change that, or take the role away.`]
        : []
    case 'no-role': {
      const nearest = nearestRole(roles)
      if (nearest) return [`Add to role "${nearest.role}": ${lacking(nearest, explanation).join(', ')}.`]
      const byLabels = roles.find(({allow}) => allow.user.matched && allow.name.matched)
      const labels = formatLabels(explanation.labels)
      const wanted = `a role that selects ${labels === '' ? 'a database without labels' : labels} in spec.allow.db_labels`
      return [
        ...(byLabels ? [`Let role "${byLabels.role}" select the database in spec.allow.db_labels.`] : []),
        `Give the user ${wanted}, with database user "${dbUser}" and database name "${dbName}".`,
      ]
    }
  }
}

function denying({deny: {labels, user, name}}: RoleFinding): string {
  if (labels.matched) return 'spec.deny.db_labels'
  if (user.matched) return 'spec.deny.db_users'
  return name.matched ? 'spec.deny.db_names' : 'spec.deny.db_roles'
}

function lacking({allow}: RoleFinding, {db_user: dbUser, db_name: dbName, db_roles: dbRoles}: Explanation): string[] {
  const missing = dbRoles.filter((wanted) => !allow.roles.entries.includes(wanted))
  return [
    ...(allow.user.matched ? [] : [`"${dbUser}" in spec.allow.db_users`]),
    ...(allow.name.matched ? [] : [`"${dbName}" in spec.allow.db_names`]),
    ...missing.map((wanted) => `"${wanted}" in spec.allow.db_roles`),
  ]
}
