import type {LoginRequest, RenewUserRequest, UserCertificateRequest} from '../api/requests.js'
import type {LoginResponse} from '../api/responses.js'
import {findLock} from '../access/decision.js'
import {combineOptions} from '../access/session-options.js'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import type {UserIdentity} from '../pki/identity.js'
import type {User} from '../resources/user.js'
import type {AuditLog, EventFields} from './audit-log.js'
import type {Authorities} from './authorities.js'
import {actorFields, lockedOut, type Caller, type UserCaller} from './caller.js'
import type {CertificateIssuer} from './certificate-issuer.js'
import type {LoginLimits} from './login-limits.js'
import type {Passwords} from './passwords.js'
import type {Client} from './route.js'
import type {Stores} from './stores.js'

/** What an administrator can sign for a machine, where its roles say nothing. */
const longestSigned = 365 * 24 * 3_600_000

export interface UserCertificatesOptions {
  readonly stores: Stores
  readonly authorities: Authorities
  readonly issuer: CertificateIssuer
  readonly passwords: Passwords
  readonly limits: LoginLimits
  readonly audit: AuditLog
  readonly clock: Clock
  readonly defaultSessionTtlMilliseconds: number
  readonly counters: {logins: number; failedLogins: number}
}

interface Wish {
  readonly publicKey: string
  /** The cluster decides when undefined. */
  readonly ttlSeconds?: number | undefined
  /** Milliseconds, where the user's roles say nothing. */
  readonly longest: number
  /** Milliseconds since 1970; not renewable when undefined. */
  readonly renewableUntil?: number | undefined
  /** Whoever asks for somebody else. */
  readonly by?: Caller
}

/** Login certificates: for a password, or from an administrator. */
export class UserCertificates {
  readonly #options: UserCertificatesOptions

  constructor(options: UserCertificatesOptions) {
    this.#options = options
  }

  /** @throws PosternError ACCESS_DENIED for a wrong name or password alike, TOO_MANY_REQUESTS */
  async login(request: LoginRequest, client: Client, userAgent: string | undefined): Promise<LoginResponse> {
    const {audit, counters, defaultSessionTtlMilliseconds} = this.#options
    const fields = {user: request.user, method: 'local', 'addr.remote': client.source, user_agent: userAgent}
    const user = await this.#authenticate(request, client, fields)
    const response = await this.#issue(user, {...request, longest: defaultSessionTtlMilliseconds})
    await audit.append('user.login', {...fields, success: true, user_kind: 1, user_roles: user.spec.roles})
    counters.logins++
    return response
  }

  /** For a machine, without a password. @throws PosternError NOT_FOUND, INVALID */
  async sign(request: UserCertificateRequest, caller: Caller): Promise<LoginResponse> {
    const {user: name, publicKey, ttlSeconds, renewableSeconds} = request
    const {stores, clock} = this.#options
    if (renewableSeconds !== undefined && ttlSeconds !== undefined && renewableSeconds <= ttlSeconds) {
      throw new PosternError('INVALID', 'An identity must be renewable for longer than it is valid.', {
        hint: 'Give --renewable more time than --ttl.',
      })
    }
    const record = await stores.users.get(name)
    if (!record) throw new PosternError('NOT_FOUND', `There is no user "${name}".`)
    const renewableUntil =
      renewableSeconds === undefined ? undefined : clock.now() + Math.min(renewableSeconds * 1000, longestSigned)
    return this.#issue(record.value.user, {publicKey, ttlSeconds, longest: longestSigned, renewableUntil, by: caller})
  }

  /**
   * The same identity with a new key, with the roles of the old certificate that the user still has.
   * @throws PosternError ACCESS_DENIED when the identity is not renewable, EXPIRED when it no longer is
   */
  async renew({publicKey}: RenewUserRequest, caller: UserCaller): Promise<LoginResponse> {
    const {renewable} = caller.identity
    if (!renewable) {
      throw new PosternError('ACCESS_DENIED', 'This identity cannot be renewed.', {
        hint: 'Have one made with `postern auth sign --format=file --renewable=DURATION`, or log in again.',
      })
    }
    const renewableUntil = Date.parse(renewable.until)
    const longest = renewableUntil - this.#options.clock.now()
    if (longest <= 0) {
      throw new PosternError('EXPIRED', `This identity could be renewed until ${renewable.until}.`, {
        hint: 'Have a new one made with `postern auth sign --format=file`.',
      })
    }
    const user = {...caller.user, spec: {...caller.user.spec, roles: [...caller.roles]}}
    return this.#issue(user, {publicKey, ttlSeconds: renewable.ttlSeconds, longest, renewableUntil, by: caller})
  }

  async #authenticate(request: LoginRequest, client: Client, fields: EventFields): Promise<User> {
    const {stores, passwords, limits, audit, counters, clock} = this.#options
    limits.begin(request.user, client.address)
    try {
      const record = (await stores.users.get(request.user))?.value
      const right = await passwords.verify(request.password, record?.password)
      if (!record || !right) throw new PosternError('ACCESS_DENIED', 'The user name or the password is wrong.')
      limits.clear(request.user, client.address)
      const lock = findLock(await stores.allLocks(), {user: request.user, roles: record.user.spec.roles}, clock.now())
      if (lock) throw lockedOut(lock)
      return record.user
    } catch (error) {
      if (!(error instanceof PosternError) || error.code !== 'ACCESS_DENIED') throw error
      counters.failedLogins++
      await audit.append('user.login', {...fields, success: false, error: error.message, message: error.message})
      if (limits.isLocked(request.user)) {
        await audit.append('user.lockout', {user: request.user, 'addr.remote': client.source})
      }
      throw error
    }
  }

  async #issue(user: User, {publicKey, ttlSeconds, longest, renewableUntil, by}: Wish): Promise<LoginResponse> {
    const {stores, authorities, issuer, audit, clock, defaultSessionTtlMilliseconds} = this.#options
    const {name} = user.metadata
    const {roles, traits} = user.spec
    const wanted = ttlSeconds === undefined ? defaultSessionTtlMilliseconds : ttlSeconds * 1000
    const {maxSessionTtl = longest} = combineOptions((await stores.rolesNamed(roles)).values())
    const lifetime = Math.min(wanted, longest, maxSessionTtl)
    const end = Math.floor(Math.min(clock.now() + lifetime, renewableUntil ?? Infinity) / 1000) * 1000
    const renewable: UserIdentity['renewable'] =
      renewableUntil === undefined
        ? undefined
        : {
            until: new Date(renewableUntil).toISOString(),
            ttlSeconds: Math.round(Math.min(wanted, longestSigned) / 1000),
          }
    const loginExpires = new Date(end).toISOString()
    const {certificate, expires} = await issuer.user(
      {kind: 'user', usage: 'login', user: name, roles, traits, loginExpires, ...(renewable && {renewable})},
      publicKey,
      end,
      user.status?.certs_valid_from,
    )
    await audit.append('cert.create', {
      ...(by ? actorFields(by) : {user: name, user_kind: 1}),
      cert_type: 'user',
      identity: {user: name, roles, traits, expires, usage: ['login']},
      certificate_authority: {type: 'user', domain: issuer.cluster},
    })
    return {
      cluster: issuer.cluster,
      user: name,
      roles,
      traits,
      certificate,
      hostAuthorities: authorities.trusted('host'),
      expires,
      ...(renewable && {renewableUntil: renewable.until}),
    }
  }
}
