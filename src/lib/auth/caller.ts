import type {X509Certificate} from 'node:crypto'
import type {TLSSocket} from 'node:tls'
import {findLock} from '../access/decision.js'
import {describeLock} from '../access/denial.js'
import {permits, type About, type Asker} from '../access/rules.js'
import {standingTraits} from '../access/standing-traits.js'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import {decodeIdentity, type HostIdentity, type UserIdentity} from '../pki/identity.js'
import {verifyPeer} from '../pki/peer.js'
import type {Lock} from '../resources/lock.js'
import type {Role, Verb} from '../resources/role.js'
import type {User} from '../resources/user.js'
import type {Authorities} from './authorities.js'
import type {Stores} from './stores.js'

export interface UserCaller {
  readonly kind: 'user'
  readonly name: string
  /** Those of the certificate that the user still has. */
  readonly roles: readonly string[]
  /** Those of the certificate that the user still has. */
  readonly traits: UserIdentity['traits']
  /** The current definitions of the roles. */
  readonly definitions: ReadonlyMap<string, Role>
  readonly identity: UserIdentity
  readonly user: User
  readonly certificate: X509Certificate
}

export interface HostCaller {
  readonly kind: 'host'
  readonly hostId: string
  readonly identity: HostIdentity
  readonly certificate: X509Certificate
}

/** Who sent a request, by the certificate of the connection, as things stand now. */
export type Caller = UserCaller | HostCaller

/** The name in the audit log of whoever uses the admin identity of the Auth Service's own host. */
export const adminName = '@admin'

export function isAdmin(caller: Caller): boolean {
  return caller.kind === 'host' && caller.identity.systemRoles.includes('Admin')
}

/** A user as the rules of their roles see them. */
export function askerOf({name, traits, definitions}: UserCaller): Asker {
  return {user: name, traits, roles: [...definitions.values()]}
}

/**
 * Whether the caller's roles, or the admin identity, grant a verb on a kind of resource; a rule with a condition counts
 * only when `about` tells what the condition looks at.
 */
export function mayCall(caller: Caller, resource: string, verb: Verb, about?: About): boolean {
  return isAdmin(caller) || (caller.kind === 'user' && permits(askerOf(caller), resource, verb, about) === true)
}

/** Whether some rule may grant it, for routes whose handlers check each resource by its own. */
export function mayCallSome(caller: Caller, resource: string, verb: Verb): boolean {
  return isAdmin(caller) || (caller.kind === 'user' && permits(askerOf(caller), resource, verb) !== false)
}

export function missingPermission(resource: string, verb: Verb): PosternError {
  return new PosternError('ACCESS_DENIED', `None of your roles allows you to ${verb} ${resource} resources.`, {
    hint: 'Ask an administrator for a role with such a rule.',
  })
}

/** The audit log's fields that say who did something. */
export function actorFields(caller: Caller): {user: string; user_kind: number; user_roles?: readonly string[]} {
  return caller.kind === 'user'
    ? {user: caller.name, user_kind: 1, user_roles: caller.roles}
    : {user: isAdmin(caller) ? adminName : caller.hostId, user_kind: 3}
}

/** Checks the certificates of callers against the authorities and against what was revoked since they were issued. */
export class CallerVerifier {
  readonly #authorities: Authorities
  readonly #stores: Stores
  readonly #clock: Clock

  constructor(authorities: Authorities, stores: Stores, clock: Clock) {
    this.#authorities = authorities
    this.#stores = stores
    this.#clock = clock
  }

  /**
   * Who is at the other end. Everything is checked anew for each request: the handshake may be hours ago, and was not
   * asked to refuse anyone.
   * @throws PosternError NOT_LOGGED_IN, EXPIRED, ACCESS_DENIED
   */
  async verify(socket: TLSSocket): Promise<Caller> {
    const certificate = socket.getPeerX509Certificate()
    if (!certificate) {
      throw new PosternError(
        'NOT_LOGGED_IN',
        'This request needs a certificate, and the connection came without one.',
        {
          hint: 'Log in with `postern login`.',
        },
      )
    }
    // What the certificate claims to be chooses the one authority that may have signed it.
    if (decodeIdentity(certificate.raw).kind === 'host') return this.verifyHost(certificate)
    const {identity} = this.verifyUserCertificate(certificate)
    if (identity.usage !== 'login') {
      throw new PosternError('ACCESS_DENIED', 'A database certificate opens databases, not the control plane.')
    }
    return this.checkUser(identity, certificate)
  }

  /** The signature, purpose and validity of a user's certificate alone. @throws as verify */
  verifyUserCertificate(certificate: X509Certificate): {readonly identity: UserIdentity} {
    const {identity} = this.#verifyPeer(certificate, 'user')
    if (identity.kind !== 'user') throw new PosternError('ACCESS_DENIED', 'The certificate is not a user’s.')
    return {identity}
  }

  /** What may have happened to the user since: removal, revocation, locks, roles taken away. @throws as verify */
  async checkUser(identity: UserIdentity, certificate: X509Certificate): Promise<UserCaller> {
    const record = await this.#stores.users.get(identity.user)
    if (!record) throw new PosternError('ACCESS_DENIED', `The user "${identity.user}" no longer exists.`)
    const {user} = record.value
    checkNotRevoked(certificate, user.status?.certs_valid_from)
    const roles = identity.roles.filter((role) => user.spec.roles.includes(role))
    await this.#checkLocks({user: identity.user, roles})
    return {
      kind: 'user',
      name: identity.user,
      roles,
      traits: standingTraits(identity.traits, user.spec.traits),
      definitions: await this.#stores.rolesNamed(roles),
      identity,
      user,
      certificate,
    }
  }

  /** All of it for a host's certificate, also for streams that outlive their request. @throws as verify */
  async verifyHost(certificate: X509Certificate): Promise<HostCaller> {
    const {identity} = this.#verifyPeer(certificate, 'host')
    if (identity.kind !== 'host') throw new PosternError('ACCESS_DENIED', 'The certificate is not a host’s.')
    const record = await this.#stores.hosts.get(identity.hostId)
    if (!record) throw new PosternError('ACCESS_DENIED', `The host ${identity.hostId} is not part of this cluster.`)
    checkNotRevoked(certificate, record.value.certsValidFrom)
    await this.#checkLocks({serverId: identity.hostId})
    return {kind: 'host', hostId: identity.hostId, identity, certificate}
  }

  async #checkLocks(who: Parameters<typeof findLock>[1]): Promise<void> {
    const lock = findLock(await this.#stores.allLocks(), who, this.#clock.now())
    if (lock) throw lockedOut(lock)
  }

  #verifyPeer(certificate: X509Certificate, authority: 'host' | 'user'): ReturnType<typeof verifyPeer> {
    return verifyPeer(certificate, {
      authorities: this.#authorities.trusted(authority),
      purpose: 'client',
      now: this.#clock.now(),
    })
  }
}

export function lockedOut(lock: Lock): PosternError {
  return new PosternError('ACCESS_DENIED', describeLock(lock))
}

function checkNotRevoked(certificate: X509Certificate, certsValidFrom: string | undefined): void {
  if (certsValidFrom !== undefined && Date.parse(certificate.validFrom) < Date.parse(certsValidFrom)) {
    throw new PosternError('EXPIRED', 'The certificate was revoked.', {hint: 'Log in again.'})
  }
}
