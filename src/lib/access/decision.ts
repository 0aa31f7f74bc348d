import type {Labels} from '../core/labels.js'
import type {Database} from '../resources/database.js'
import {isSameUser, mayBeSameUser, readDatabaseName, type UserScope} from '../resources/database-user.js'
import {classifyDatabase} from '../resources/endpoint.js'
import type {DecisionReason, EntriesFinding, Explanation, RoleFinding, SideFinding} from '../resources/explanation.js'
import type {Lock} from '../resources/lock.js'
import type {Role} from '../resources/role.js'
import {compileRole, type HeldSide} from './compiled-role.js'
import {describeForbidden, describeLock, describeMissing, nearestRole} from './denial.js'
import type {Holder} from './label-rule.js'
import {combineOptions, type ClusterLimits, type SessionOptions} from './session-options.js'

/** Who asks: the names of the roles in the certificate, and the traits. */
export interface Subject extends Holder {
  readonly roles: readonly string[]
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
  /** Database roles that are asked for, if any. */
  readonly dbRoles?: readonly string[]
}

export interface Question {
  readonly subject: Subject
  /** The current definitions of the subject's roles; a name without a definition counts for nothing. */
  readonly roles: ReadonlyMap<string, Role>
  readonly target: Target
  readonly request: AccessRequest
  readonly locks: Iterable<Lock>
  /** What limits every session of the cluster, beside the roles. */
  readonly limits?: ClusterLimits
  /** The host that would dial the database; a lock may name it. */
  readonly serverId?: string
  /** Wall-clock milliseconds. */
  readonly now: number
}

const allowedBrand: unique symbol = Symbol('allowed')

/** Allowed or denied, with everything that was looked at. */
interface Trace {
  readonly explanation: Explanation
}

export interface Allowed extends Trace {
  readonly allowed: true
  /** The role that allows it. */
  readonly by: string
  /** What roles and cluster say about the session. */
  readonly options: SessionOptions
  /** Whether it may be a replication connection. */
  readonly replication: boolean
  /** Only `decide` can make one. */
  readonly [allowedBrand]: true
}

export interface Denied extends Trace {
  readonly allowed: false
  readonly reason: DenialReason
  /** One sentence for the user, about their own roles only. */
  readonly message: string
  /** What their nearest role would allow. */
  readonly hint?: string
}

export type DenialReason = Exclude<DecisionReason, 'allowed'>
export type Decision = Allowed | Denied

/**
 * May this subject reach this database as this user and name? Pure: everything it looks at comes in, everything it saw
 * goes out. Deny beats allow across all roles; one role must allow labels, user and name together. Database roles may
 * come from every role that selects the database.
 * @throws PosternError INVALID only when a stored role holds a template or pattern that cannot be read
 */
export function decide(question: Question): Decision {
  const {subject, target, request, locks, serverId, now} = question
  const findings = subject.roles.map((name) => examine(name, question.roles.get(name), question))
  const seen = {
    user: subject.user,
    database: target.name,
    labels: target.labels,
    db_user: request.dbUser,
    db_name: request.dbName,
    db_roles: request.dbRoles ?? [],
    roles: findings,
  }
  const deny = (
    reason: DenialReason,
    {message, hint}: {readonly message: string; readonly hint?: string},
    by: Pick<Explanation, 'lock' | 'role'>,
  ): Denied => ({
    allowed: false,
    reason,
    message,
    ...(hint !== undefined && {hint}),
    explanation: {allowed: false, reason, message, ...by, ...seen},
  })

  const lock = findLock(locks, {user: subject.user, roles: subject.roles, serverId}, now)
  if (lock) return deny('lock', {message: describeLock(lock)}, {lock: lock.metadata.name})

  const forbidding = findings.find(({deny: {labels, user, name, roles}}) =>
    [labels, user, name, roles].some(({matched}) => matched),
  )
  if (forbidding) return deny('deny-rule', {message: describeForbidden(forbidding, seen)}, {role: forbidding.role})

  const allowing = findings.find(({allow: {labels, user, name}}) => labels.matched && user.matched && name.matched)
  const missingRole = seen.db_roles.find((wanted) => !grantsRole(findings, wanted))
  if (!allowing || missingRole !== undefined) {
    const nearest = allowing ?? nearestRole(findings)
    return deny('no-role', describeMissing(nearest, missingRole, seen), nearest ? {role: nearest.role} : {})
  }
  const {role: by} = allowing
  const specs = (names: readonly string[]): Role['spec'][] =>
    names.flatMap((name) => question.roles.get(name)?.spec ?? [])
  const allowingRoles = findings
    .filter(({allow: {labels, user, name}}) => labels.matched && user.matched && name.matched)
    .map(({role}) => role)
  const message = `Your role "${by}" allows access to database "${target.name}".`
  return {
    allowed: true,
    by,
    options: combineOptions(
      subject.roles.flatMap((name) => question.roles.get(name) ?? []),
      question.limits,
    ),
    replication:
      specs(allowingRoles).some(({allow}) => allow?.db_replication === true) &&
      !specs(subject.roles).some(({deny}) => deny?.db_replication === true),
    explanation: {allowed: true, reason: 'allowed', message, role: by, ...seen},
    [allowedBrand]: true,
  }
}

const grantsRole = (findings: readonly RoleFinding[], wanted: string): boolean =>
  findings.some(({allow: {labels, roles}}) => labels.matched && roles.entries.includes(wanted))

const undefinedSide: SideFinding = {
  labels: {matched: false},
  user: {matched: false, entries: []},
  name: {matched: false, entries: []},
  roles: {matched: false, entries: []},
}

function examine(name: string, role: Role | undefined, {subject, target, request}: Question): RoleFinding {
  if (!role) return {role: name, defined: false, allow: undefinedSide, deny: undefinedSide}
  const scope: UserScope = target.scope ?? {type: 'self-hosted'}
  const sameName = (entry: string, wanted: string): boolean =>
    readDatabaseName(scope.type, entry) === readDatabaseName(scope.type, wanted)
  const {dbUser, dbName, dbRoles = []} = request
  const check = ({labels, users, names, dbRoles: roles}: HeldSide, sameUser: typeof isSameUser): SideFinding => ({
    labels: labels.explain(target.labels),
    user: match(users, dbUser, (entry, wanted) => sameUser(scope, entry, wanted)),
    name: match(names, dbName, sameName),
    roles: {matched: dbRoles.some((wanted) => roles.includes('*') || roles.includes(wanted)), entries: roles},
  })
  const held = compileRole(role).heldBy(subject)
  return {role: name, defined: true, allow: check(held.allow, isSameUser), deny: check(held.deny, mayBeSameUser)}
}

/** Database users and names: the same to the database, or `*`; no pattern. An empty one means another name to PostgreSQL: never allowed. */
function match(
  entries: readonly string[],
  wanted: string,
  isSame: (entry: string, wanted: string) => boolean,
): EntriesFinding {
  return {matched: wanted !== '' && entries.some((entry) => entry === '*' || isSame(entry, wanted)), entries}
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
