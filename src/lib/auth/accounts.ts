import {createHash, randomBytes} from 'node:crypto'
import {setTimeout as sleep} from 'node:timers/promises'
import type {AddUserRequest} from '../api/requests.js'
import type {InviteResponse} from '../api/responses.js'
import type {Clock} from '../core/clock.js'
import {formatDuration, describeDuration} from '../core/duration.js'
import {PosternError} from '../core/errors.js'
import {formatAddress, type Address} from '../resources/endpoint.js'
import {expiryOf} from '../resources/metadata.js'
import {parseResource} from '../resources/resource.js'
import type {User} from '../resources/user.js'
import {actorFields, type Caller, type UserCaller} from './caller.js'
import {noExpiry, type AuditLog, type EventFields, type OwnEventName} from './audit-log.js'
import {checkNewPassword, type Passwords} from './passwords.js'
import {orNotFound, type Stored} from './records.js'
import type {InviteRecord, Stores, UserRecord} from './stores.js'

const hour = 3_600_000
/** How long links live: what they are given unless told, and the most. */
const linkLifetimes = {
  invite: {usual: hour, longest: 48 * hour},
  reset: {usual: 8 * hour, longest: 24 * hour},
} as const
const linkSecretBytes = 16

export interface AccountsOptions {
  readonly stores: Stores
  readonly passwords: Passwords
  readonly audit: AuditLog
  readonly clock: Clock
  /** Where people reach the proxy. */
  readonly publicAddress: Address
}

/** Users, and the links by which they set their passwords. */
export class Accounts {
  readonly #options: AccountsOptions

  constructor(options: AccountsOptions) {
    this.#options = options
  }

  /** A new user, with a link to set the first password. @throws PosternError ALREADY_EXISTS, NOT_FOUND (role), INVALID */
  async add({name, roles, traits, ttlSeconds}: AddUserRequest, caller: Caller): Promise<InviteResponse> {
    const lifetime = linkLifetime('invite', ttlSeconds)
    const user = parseResource('user', {kind: 'user', version: 'v2', metadata: {name}, spec: {roles, traits}})
    await this.create(user, caller)
    return this.#link(name, 'invite', lifetime)
  }

  /** A new user without a password. @throws PosternError ALREADY_EXISTS, NOT_FOUND (role) */
  async create(user: User, caller: Caller): Promise<void> {
    const {stores, audit, clock} = this.#options
    const {name} = user.metadata
    await this.#checkRoles(user)
    const now = clock.now()
    const record: UserRecord = {
      user: {
        ...user,
        spec: {...user.spec, created_by: {time: new Date(now).toISOString(), user: {name: actorFields(caller).user}}},
        // Certificates of someone who had this name before are void.
        status: {certs_valid_from: startOfSecond(now)},
      },
    }
    try {
      await audit.change(
        [stores.users.creating(name, record, expiryOf(user.metadata))],
        'user.create',
        changeFields(user, caller),
      )
    } catch (error) {
      if (!(error instanceof PosternError && error.code === 'ALREADY_EXISTS')) throw error
      throw new PosternError('ALREADY_EXISTS', `There is a user "${name}" already.`, {
        cause: error,
        hint: `To change it: \`postern users update ${name} --set-roles=...\`.`,
      })
    }
  }

  /** Replaces roles, traits and metadata; password and revocation stay. @throws PosternError CONFLICT, NOT_FOUND (role) */
  async update(user: User, current: Stored<UserRecord>, caller: Caller): Promise<void> {
    const {stores, audit} = this.#options
    const {user: before} = current.value
    await this.#checkRoles(user)
    const {created_by: createdBy} = before.spec
    const record: UserRecord = {
      ...current.value,
      user: {
        ...user,
        spec: {...user.spec, ...(createdBy ? {created_by: createdBy} : {})},
        ...(before.status ? {status: before.status} : {}),
      },
    }
    const change = stores.users.swapping(user.metadata.name, current.revision, record, expiryOf(user.metadata))
    await audit.change([change], 'user.update', changeFields(user, caller))
  }

  /** @throws PosternError NOT_FOUND */
  async remove(name: string, caller: Caller): Promise<void> {
    const {stores, audit} = this.#options
    const fields = {...actorFields(caller), name, connector: 'local', expires: noExpiry}
    await orNotFound(audit.change([stores.users.removing(name)], 'user.delete', fields), unknownUser(name))
  }

  /** Takes away the password and every certificate, and gives a link to set a new one. @throws PosternError NOT_FOUND */
  async reset(name: string, ttlSeconds: number | undefined, caller: Caller): Promise<InviteResponse> {
    const {stores} = this.#options
    const lifetime = linkLifetime('reset', ttlSeconds)
    const current = await stores.users.get(name)
    if (!current) throw unknownUser(name)
    const {user, setup} = current.value
    await this.#revoke(
      {...current, value: {user, ...(setup === undefined ? {} : {setup})}},
      'reset_password_token.create',
      {...actorFields(caller), name, ttl: formatDuration(lifetime), expires: noExpiry},
    )
    return this.#link(name, 'reset', lifetime)
  }

  /** Voids every certificate that the user has now. */
  async logoutEverywhere(caller: UserCaller): Promise<void> {
    const current = await this.#options.stores.users.get(caller.name)
    if (!current) throw unknownUser(caller.name)
    await this.#revoke(current, 'user.logout_everywhere', actorFields(caller))
  }

  /** Whose link this is; looking does not use it up. @throws PosternError NOT_FOUND, the same for every wrong secret */
  async findLink(secret: string): Promise<InviteRecord> {
    return (await this.#openLink(secret)).invite
  }

  /** Sets the password of the link's user, and uses the link up. @throws PosternError NOT_FOUND, INVALID */
  async setPassword(secret: string, password: string): Promise<InviteRecord> {
    const {stores, passwords, audit} = this.#options
    checkNewPassword(password)
    // Before the costly hash, for those who guess.
    await this.#openLink(secret)
    const hashed = await passwords.hash(password)
    const {invite, record, key} = await this.#openLink(secret)
    try {
      // One write: of two that come together, one finds the user changed.
      await audit.change(
        [
          stores.users.swapping(
            invite.user,
            record.revision,
            {user: record.value.user, password: hashed},
            record.expires,
          ),
          stores.invites.deleting(key),
        ],
        'user.password_change',
        {user: invite.user, user_kind: 1},
      )
    } catch (error) {
      if (error instanceof PosternError && error.code === 'CONFLICT') throw unknownLink()
      throw error
    }
    return invite
  }

  async #openLink(
    secret: string,
  ): Promise<{readonly invite: InviteRecord; readonly record: Stored<UserRecord>; readonly key: string}> {
    const {stores} = this.#options
    const key = hashOf(secret)
    const invite = (await stores.invites.get(key))?.value
    const record = invite && (await stores.users.get(invite.user))
    // A newer link, or another user of the same name, makes an older one void.
    if (!invite || record?.value.setup !== key) throw unknownLink()
    return {invite, record, key}
  }

  async #link(name: string, purpose: InviteRecord['purpose'], lifetime: number): Promise<InviteResponse> {
    const {stores, clock, publicAddress} = this.#options
    const current = await stores.users.get(name)
    if (!current) throw unknownUser(name)
    const secret = randomBytes(linkSecretBytes).toString('hex')
    const key = hashOf(secret)
    const expires = clock.now() + lifetime
    const {setup: older} = current.value
    await stores.backend.write([
      stores.invites.putting(key, {user: name, purpose}, expires),
      stores.users.swapping(name, current.revision, {...current.value, setup: key}, current.expires),
      ...(older === undefined ? [] : [stores.invites.deleting(older)]),
    ])
    const proxy = formatAddress(publicAddress)
    return {
      user: name,
      url: `https://${proxy}/web/${purpose}/${secret}`,
      proxy,
      expires: new Date(expires).toISOString(),
      ttlSeconds: lifetime / 1000,
    }
  }

  async #revoke(
    {value, revision, expires}: Stored<UserRecord>,
    event: OwnEventName,
    fields: EventFields,
  ): Promise<void> {
    const {stores, audit, clock} = this.#options
    const {user} = value
    const before = user.status?.certs_valid_from
    // Certificates count in seconds. A second revocation within one second has to void what the first one let in.
    const from = Math.max(Date.parse(startOfSecond(clock.now())), before === undefined ? 0 : Date.parse(before) + 1000)
    const revoked = {...value, user: {...user, status: {...user.status, certs_valid_from: startOfSecond(from)}}}
    await audit.change([stores.users.swapping(user.metadata.name, revision, revoked, expires)], event, fields)
    // Then the next certificate would begin in the future: it is not asked for before that.
    if (from > clock.now()) await sleep(from - clock.now())
  }

  async #checkRoles({metadata, spec}: User): Promise<void> {
    const known = await this.#options.stores.rolesNamed(spec.roles)
    const missing = spec.roles.find((role) => !known.has(role))
    if (missing !== undefined) {
      throw new PosternError('NOT_FOUND', `There is no role "${missing}" to give to "${metadata.name}".`, {
        hint: 'List the roles with `postern get role`.',
      })
    }
  }
}

function linkLifetime(purpose: InviteRecord['purpose'], ttlSeconds: number | undefined): number {
  const {usual, longest} = linkLifetimes[purpose]
  const lifetime = ttlSeconds === undefined ? usual : ttlSeconds * 1000
  if (lifetime > longest) {
    throw new PosternError('INVALID', `A link of this kind lives at most ${describeDuration(longest)}.`)
  }
  return lifetime
}

function changeFields(user: User, caller: Caller): Readonly<Record<string, unknown>> {
  const {metadata, spec} = user
  return {
    ...actorFields(caller),
    name: metadata.name,
    roles: spec.roles,
    connector: 'local',
    expires: metadata.expires ?? noExpiry,
  }
}

function startOfSecond(milliseconds: number): string {
  return new Date(Math.floor(milliseconds / 1000) * 1000).toISOString()
}

/** Secrets of links and tokens are stored and looked up by this: it tells nothing, also not by the time it takes. */
export function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex')
}

function unknownUser(name: string): PosternError {
  return new PosternError('NOT_FOUND', `There is no user "${name}".`)
}

function unknownLink(): PosternError {
  return new PosternError('NOT_FOUND', 'This link has expired, was used already, or was never valid.', {
    hint: 'Ask an administrator for a new one: `postern users reset NAME`.',
  })
}
