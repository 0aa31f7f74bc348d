/** What users are told about a denial: about their own roles, and nothing else. */
import type {EntriesFinding, Explanation, RoleFinding} from '../resources/explanation.js'
import type {Lock} from '../resources/lock.js'

type Asked = Pick<Explanation, 'database' | 'db_user' | 'db_name'>

/** Entries of a role that a hint lists. */
const listed = 5

export function describeLock({spec: {message}}: Lock): string {
  return `Access is locked${message ? `: ${message}` : ''}.`
}

export function describeForbidden(
  {role, deny}: RoleFinding,
  {database, db_user: dbUser, db_name: dbName}: Asked,
): string {
  const what = deny.labels.matched
    ? `database "${database}"`
    : deny.user.matched
      ? `database user "${dbUser}"`
      : deny.name.matched
        ? `database name "${dbName}"`
        : 'a database role that you ask for'
  return `Access to database "${database}" is denied: your role "${role}" forbids ${what}.`
}

/** The role that lacks least: it selects the database, and covers the user, the name, or both. */
export function nearestRole(findings: readonly RoleFinding[]): RoleFinding | undefined {
  const score = ({allow: {user, name}}: RoleFinding): number => (user.matched ? 2 : 0) + (name.matched ? 1 : 0)
  return findings.filter(({allow}) => allow.labels.matched).toSorted((a, b) => score(b) - score(a))[0]
}

/** Names the role that came nearest, what it lacked, and what it would allow. */
export function describeMissing(
  nearest: RoleFinding | undefined,
  missingRole: string | undefined,
  {database, db_user: dbUser, db_name: dbName}: Asked,
): {readonly message: string; readonly hint?: string} {
  const start = `Access to database "${database}" as user "${dbUser}" to "${dbName}" is denied`
  if (!nearest) return {message: `${start}: none of your roles allows this database.`}
  const {role, allow} = nearest
  const lacking = [
    allow.user.matched ? '' : `database user "${dbUser}"`,
    allow.name.matched ? '' : `database name "${dbName}"`,
  ].filter(Boolean)
  if (lacking.length === 0 && missingRole !== undefined) {
    return {message: `${start}: none of your roles grants the database role "${missingRole}" there.`}
  }
  return {
    message: `${start}: your role "${role}" allows the database, but not ${lacking.join(' and ')}.`,
    hint: [
      ...(allow.user.matched ? [] : [`It allows ${list('database users', allow.user)}.`]),
      ...(allow.name.matched ? [] : [`It allows ${list('database names', allow.name)}.`]),
    ].join(' '),
  }
}

/** `no database users`, `the database users "a", "b" and 3 others` */
function list(what: string, {entries}: EntriesFinding): string {
  if (entries.length === 0) return `no ${what}`
  const shown = entries.slice(0, listed).map((entry) => (entry === '*' ? 'any' : `"${entry}"`))
  const more = entries.length - shown.length
  return `the ${what} ${shown.join(', ')}${more > 0 ? ` and ${more} others` : ''}`
}
