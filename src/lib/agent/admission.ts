import type {X509Certificate} from 'node:crypto'
import {decide, findLock, targetOf, type Decision} from '../access/decision.js'
import {describeLock} from '../access/denial.js'
import {standingTraits} from '../access/standing-traits.js'
import {PosternError} from '../core/errors.js'
import type {Database} from '../resources/database.js'
import type {DatabaseRoute, UserIdentity} from '../pki/identity.js'
import {verifyPeer} from '../pki/peer.js'
import type {Cache} from './cache.js'

/** What the checks look at. */
export interface AdmissionRules {
  readonly cache: Pick<Cache, 'authorities' | 'users' | 'locks' | 'roles' | 'limits'>
  readonly hostId: string
  /** Wall-clock milliseconds. */
  readonly now: number
}

/** A user who holds a certificate for one database, checked by ourselves. */
export interface Guest {
  readonly identity: UserIdentity
  readonly route: DatabaseRoute
  readonly certificate: X509Certificate
  /** The database name of the route; an empty one means the user's own, as in PostgreSQL. */
  readonly dbName: string
}

/**
 * Who holds a client's leaf certificate: our authority signed it, for clients, and it opens databases and not the API.
 * It may have expired: that is for `checkStanding` to say.
 * @throws PosternError ACCESS_DENIED, or EXPIRED when it is not valid yet
 */
export function identify(certificate: X509Certificate, {cache, now}: AdmissionRules): Guest {
  const lastMoment = Date.parse(certificate.validTo) - 1
  const {identity} = verifyPeer(certificate, {
    authorities: cache.authorities('user'),
    purpose: 'client',
    now: Math.min(now, lastMoment),
  })
  if (identity.kind !== 'user' || identity.usage !== 'db' || !identity.route) {
    throw new PosternError('ACCESS_DENIED', 'The certificate is not for databases.', {
      hint: 'Get one with `postern db login`, or connect with `postern db connect`.',
    })
  }
  const {route} = identity
  return {identity, route, certificate, dbName: route.dbName === '' ? route.dbUser : route.dbName}
}

/** Whether the certificate is still valid. @throws PosternError EXPIRED */
export function checkExpiry({certificate}: Guest, {now}: AdmissionRules): void {
  if (now < Date.parse(certificate.validTo)) return
  throw new PosternError('EXPIRED', `The certificate expired at ${certificate.validTo}.`, {hint: 'Log in again.'})
}

/**
 * What may have happened to the user since the certificate was issued: removal, revocation, locks.
 * @throws PosternError ACCESS_DENIED, EXPIRED
 */
export function checkStanding(guest: Guest, {cache, hostId, now}: AdmissionRules): void {
  const {user} = guest.identity
  const record = cache.users.get(user)
  if (!record) throw new PosternError('ACCESS_DENIED', `The user "${user}" no longer exists.`)
  const {certsValidFrom} = record
  if (certsValidFrom !== undefined && Date.parse(guest.certificate.validFrom) < Date.parse(certsValidFrom)) {
    throw new PosternError('EXPIRED', 'The certificate was revoked.', {hint: 'Log in again.'})
  }
  const lock = findLock(cache.locks.values(), {user, roles: effectiveRoles(guest, cache), serverId: hostId}, now)
  if (lock) throw new PosternError('ACCESS_DENIED', describeLock(lock))
}

/** Roles that the certificate names and the user still has. */
export function effectiveRoles({identity}: Guest, {users}: Pick<Cache, 'users'>): readonly string[] {
  const current = users.get(identity.user)?.roles ?? []
  return identity.roles.filter((role) => current.includes(role))
}

/** May this guest reach this database as the user and name of the certificate's route? */
export function judge(guest: Guest, database: Database, {cache, hostId, now}: AdmissionRules): Decision {
  const {identity, route, dbName} = guest
  const traits = standingTraits(identity.traits, cache.users.get(identity.user)?.traits ?? {})
  return decide({
    subject: {user: identity.user, roles: effectiveRoles(guest, cache), traits},
    roles: cache.roles,
    target: targetOf(database),
    request: {dbUser: route.dbUser, dbName, dbRoles: route.dbRoles},
    locks: cache.locks.values(),
    limits: cache.limits,
    serverId: hostId,
    now,
  })
}
