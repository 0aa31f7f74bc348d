import type {Labels} from '../core/labels.js'
import type {Database} from '../resources/database.js'
import {isSameUser, mayBeSameUser, readDatabaseName, type UserScope} from '../resources/database-user.js'
import {classifyDatabase} from '../resources/endpoint.js'
import type {Lock} from '../resources/lock.js'
import type {Role, RoleConditions} from '../resources/role.js'
import {selects, type Selector} from './selector.js'
import {interpolateAll, type Traits} from './template.js'

/** Who asks: the names of the roles in the certificate, and the traits. */
export interface Subject {
  readonly user: string
  readonly roles: readonly string[]
  readonly traits: Traits
}

export interface Target {
  readonly name: string
  readonly labels: Labels
  /** How the database compares names; letter by letter, as PostgreSQL does, unless told. */
  readonly scope?: UserScope | undefined
}

/** A database as the target of a decision. */
export function targetOf({metadata, spec}: Database): Target {
  const {type, aws} = classifyDatabase(spec)
  const account = aws.account_id ?? aws.assume_role_arn?.split(':')[4]
  return {name: metadata.name, labels: metadata.labels ?? {}, scope: {type, account}}
}

export interface AccessRequest {
  readonly dbUser: string
  readonly dbName: string
}

export interface Question {
  readonly subject: Subject
  /** The current definitions of the subject's roles; a name without a definition counts for nothing. */
  readonly roles: ReadonlyMap<string, Role>
  readonly target: Target
  readonly request: AccessRequest
  readonly locks: Iterable<Lock>
  /** The host that would dial the database; a lock may name it. */
  readonly serverId?: string
  /** Wall-clock milliseconds. */
  readonly now: number
}

/** What one role said. */
export interface RoleFinding {
  readonly role: string
  readonly defined: boolean
  readonly allow: {readonly labels: boolean; readonly user: boolean; readonly name: boolean}
  readonly deny: {readonly labels: boolean; readonly user: boolean; readonly name: boolean}
}

const allowedBrand: unique symbol = Symbol('allowed')

interface Trace {
  readonly subject: Subject
  readonly target: Target
  readonly request: AccessRequest
  readonly findings: readonly RoleFinding[]
}

export interface Allowed extends Trace {
  readonly allowed: true
  /** The role that allows it. */
  readonly by: string
  /** Only `decide` can make one. */
  readonly [allowedBrand]: true
}

export interface Denied extends Trace {
  readonly allowed: false
  readonly reason: DenialReason
  /** One sentence for the user, about their own roles only. */
  readonly message: string
}

export type DenialReason = 'lock' | 'deny-rule' | 'no-role'
export type Decision = Allowed | Denied

/**
 * May this subject reach this database as this user and name? Pure: everything it looks at comes in, everything it saw
 * goes out. Deny beats allow across all roles; one role must allow labels, user and name together.
 * @throws PosternError INVALID only when a stored role holds a template or pattern that cannot be read
 */
export function decide(question: Question): Decision {
  const {subject, target, request} = question
  const findings = subject.roles.map((name) => examine(name, question.roles.get(name), question))
  const trace: Trace = {subject, target, request, findings}
  const deny = (reason: DenialReason, message: string): Denied => ({...trace, allowed: false, reason, message})

  const {serverId, locks, now} = question
  const lock = findLock(locks, {user: subject.user, roles: subject.roles, serverId}, now)
  if (lock) return deny('lock', `Access is locked${lock.spec.message ? `: ${lock.spec.message}` : ''}.`)

  const forbidding = findings.find(({deny: {labels, user, name}}) => labels || user || name)
  if (forbidding) return deny('deny-rule', describeForbidden(forbidding, trace))

  const allowing = findings.find(({allow: {labels, user, name}}) => labels && user && name)
  if (!allowing) return deny('no-role', describeMissing(findings, trace))
  return {...trace, allowed: true, by: allowing.role, [allowedBrand]: true}
}

/** A role of version 3 selects every database when it names no labels; later versions must write it. */
const defaultLabels = (role: Role): Selector | undefined => (role.version === 'v3' ? {'*': ['*']} : undefined)

/** The databases that a role allows to a user with these traits. */
export function allowedLabels(role: Role, traits: Traits): Selector | undefined {
  return withTraits(role.spec.allow?.db_labels ?? defaultLabels(role), traits)
}

/** The databases that a role forbids to a user with these traits. */
export function deniedLabels(role: Role, traits: Traits): Selector | undefined {
  return withTraits(role.spec.deny?.db_labels, traits)
}

function examine(name: string, role: Role | undefined, {subject, target, request}: Question): RoleFinding {
  const nothing = {labels: false, user: false, name: false}
  if (!role) return {role: name, defined: false, allow: nothing, deny: nothing}
  const scope: UserScope = target.scope ?? {type: 'self-hosted'}
  const sameName = (entry: string, wanted: string): boolean =>
    readDatabaseName(scope.type, entry) === readDatabaseName(scope.type, wanted)
  const check = (
    conditions: RoleConditions | undefined,
    labels: Selector | undefined,
    sameUser: typeof isSameUser,
  ): RoleFinding['allow'] => ({
    labels: selects(labels, target.labels),
    user: matches(interpolateAll(conditions?.db_users, subject.traits), request.dbUser, (entry, wanted) =>
      sameUser(scope, entry, wanted),
    ),
    name: matches(interpolateAll(conditions?.db_names, subject.traits), request.dbName, sameName),
  })
  return {
    role: name,
    defined: true,
    allow: check(role.spec.allow, allowedLabels(role, subject.traits), isSameUser),
    deny: check(role.spec.deny, deniedLabels(role, subject.traits), mayBeSameUser),
  }
}

function withTraits(selector: Selector | undefined, traits: Traits): Selector | undefined {
  if (!selector) return undefined
  return Object.fromEntries(Object.entries(selector).map(([key, values]) => [key, interpolateAll(values, traits)]))
}

/** Database users and names: the same to the database, or `*`; no pattern. An empty one means another name to PostgreSQL: never allowed. */
function matches(
  entries: readonly string[],
  wanted: string,
  isSame: (entry: string, wanted: string) => boolean,
): boolean {
  return wanted !== '' && entries.some((entry) => entry === '*' || isSame(entry, wanted))
}

/** Who a lock may hit: a user with roles, a host, or a user on a host. */
export interface Lockable {
  readonly user?: string | undefined
  readonly roles?: readonly string[] | undefined
  readonly serverId?: string | undefined
}

/** The first lock in force that hits; with several targets in a lock all must. `now` is in wall-clock milliseconds. */
export function findLock(locks: Iterable<Lock>, {user, roles = [], serverId}: Lockable, now: number): Lock | undefined {
  for (const lock of locks) {
    const {target, expires} = lock.spec
    if (expires !== undefined && Date.parse(expires) <= now) continue
    const hits =
      (target.user === undefined || target.user === user) &&
      (target.role === undefined || roles.includes(target.role)) &&
      (target.server_id === undefined || target.server_id === serverId)
    if (hits) return lock
  }
  return undefined
}

function describeForbidden({role, deny}: RoleFinding, {target, request}: Trace): string {
  const what = deny.labels
    ? `database "${target.name}"`
    : deny.user
      ? `database user "${request.dbUser}"`
      : `database name "${request.dbName}"`
  return `Access to database "${target.name}" is denied: your role "${role}" forbids ${what}.`
}

/** Names the role that came nearest, and what it lacked. */
function describeMissing(findings: readonly RoleFinding[], {target, request}: Trace): string {
  const start = `Access to database "${target.name}" as user "${request.dbUser}" to "${request.dbName}" is denied`
  const nearest = findings
    .filter(({allow}) => allow.labels)
    .toSorted((a, b) => Number(b.allow.user) - Number(a.allow.user))[0]
  if (!nearest) return `${start}: none of your roles allows this database.`
  const lacking = [
    nearest.allow.user ? '' : `database user "${request.dbUser}"`,
    nearest.allow.name ? '' : `database name "${request.dbName}"`,
  ].filter(Boolean)
  return `${start}: your role "${nearest.role}" allows the database, but not ${lacking.join(' and ')}.`
}
