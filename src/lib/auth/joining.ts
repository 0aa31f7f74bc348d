import {randomBytes, randomUUID} from 'node:crypto'
import type {AddTokenRequest, JoinRequest} from '../api/requests.js'
import type {JoinChallengeResponse, JoinResponse, RenewHostResponse, TokenResponse} from '../api/responses.js'
import type {CallerIdentity} from '../aws/caller-identity.js'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import type {Secret} from '../core/secret.js'
import type {HostIdentity} from '../pki/identity.js'
import {formatAddress, type Address} from '../resources/endpoint.js'
import {expiryOf} from '../resources/metadata.js'
import {parseResource} from '../resources/resource.js'
import {minimumSecretLength, type JoinRole, type Token} from '../resources/token.js'
import {maskToken, shownName} from '../resources/token-name.js'
import type {Change} from '../storage/backend.js'
import {hashOf} from './accounts.js'
import {noExpiry, type AuditLog} from './audit-log.js'
import type {Authorities} from './authorities.js'
import {actorFields, type Caller, type HostCaller} from './caller.js'
import type {CertificateIssuer} from './certificate-issuer.js'
import type {IamJoining} from './iam-joining.js'
import {RateLimit} from './rate-limit.js'
import type {Client} from './route.js'
import type {Stores} from './stores.js'

const minute = 60_000
const usualTokenLifetime = 30 * minute
const longestTokenLifetime = 10 * 365 * 24 * 60 * minute
const tokenBytes = 16
/** Joining hosts of one process wait for nothing: their tokens only have to bridge its start. */
const internalTokenLifetime = 10 * minute
/** Bad tokens per second, of everyone together; a good one among a flood of them waits. */
const badTokens = {perSecond: 5, burst: 50}

/** A token in the configuration: it never expires, and the API cannot remove it. */
export interface StaticToken {
  readonly roles: readonly JoinRole[]
  readonly token: Secret
}

export interface JoiningOptions {
  readonly stores: Stores
  readonly authorities: Authorities
  readonly iam: IamJoining
  readonly issuer: CertificateIssuer
  readonly audit: AuditLog
  readonly clock: Clock
  readonly staticTokens: readonly StaticToken[]
  readonly publicAddress: Address
  readonly counters: {joins: number; failedJoins: number}
}

/** What a token lets a host do. */
interface Admission {
  readonly roles: readonly JoinRole[]
  readonly databases?: Token['spec']['databases']
  /** A token without a secret, whose hosts prove their AWS identity. */
  readonly iam?: Token
}

/** Join tokens, and the hosts that come with them. A host names itself nowhere: the id and all names are made here. */
export class Joining {
  readonly #options: JoiningOptions
  readonly #static: ReadonlyMap<string, Admission>
  /** Tokens for hosts in this process, by hash; each works once. */
  readonly #internal = new Map<string, {readonly role: JoinRole; readonly expires: number}>()
  readonly #badTokens: RateLimit

  constructor(options: JoiningOptions) {
    this.#options = options
    for (const {token} of options.staticTokens) checkSecretLength(token.reveal())
    this.#static = new Map(options.staticTokens.map(({roles, token}) => [hashOf(token.reveal()), {roles}]))
    this.#badTokens = new RateLimit(badTokens, options.clock)
  }

  /** A new join token. @throws PosternError ALREADY_EXISTS, INVALID */
  async addToken({roles, ttlSeconds, value, databases}: AddTokenRequest, caller: Caller): Promise<TokenResponse> {
    const {clock, authorities, publicAddress} = this.#options
    const lifetime = ttlSeconds === undefined ? usualTokenLifetime : ttlSeconds * 1000
    if (lifetime > longestTokenLifetime) throw new PosternError('INVALID', 'A join token lives at most ten years.')
    const secret = value ?? randomBytes(tokenBytes).toString('hex')
    const expires = new Date(clock.now() + lifetime).toISOString()
    const token = parseResource('token', {
      kind: 'token',
      version: 'v2',
      metadata: {name: secret, expires},
      spec: {roles, join_method: 'token', ...(databases ? {databases} : {})},
    })
    await this.createToken(token, caller)
    return {
      token: secret,
      roles,
      expires,
      ttlSeconds: Math.round(lifetime / 1000),
      caPins: authorities.pins(),
      proxy: formatAddress(publicAddress),
    }
  }

  /** For the join method iam: what a host with this key has to sign. */
  challenge(publicKey: string): JoinChallengeResponse {
    return this.#options.iam.challenge(publicKey)
  }

  /** @throws PosternError ALREADY_EXISTS, INVALID */
  async createToken(token: Token, caller: Caller): Promise<void> {
    const {tokens} = this.#options.stores
    const change = tokens.creating(hashOf(token.metadata.name), token, expiryOf(token.metadata))
    await this.#changeToken(change, token, caller).catch((error: unknown) => {
      if (!(error instanceof PosternError && error.code === 'ALREADY_EXISTS')) throw error
      throw new PosternError('ALREADY_EXISTS', 'There is a join token with this value already.', {
        hint: 'Choose another value, or leave it out to get a random one.',
        cause: error,
      })
    })
  }

  /** Other roles, scope or expiry for a secret that is known already. @throws PosternError CONFLICT, INVALID */
  async replaceToken(token: Token, revision: number, caller: Caller): Promise<void> {
    const {tokens} = this.#options.stores
    const change = tokens.swapping(hashOf(token.metadata.name), revision, token, expiryOf(token.metadata))
    await this.#changeToken(change, token, caller)
  }

  /** A token for a host that runs in this process. */
  issueInternalToken(role: JoinRole): string {
    const secret = randomBytes(tokenBytes).toString('hex')
    this.#internal.set(hashOf(secret), {role, expires: this.#options.clock.now() + internalTokenLifetime})
    return secret
  }

  /** A host comes in. @throws PosternError ACCESS_DENIED, TOO_MANY_REQUESTS */
  async join(request: JoinRequest, client: Client): Promise<JoinResponse> {
    const {stores, authorities, issuer, audit, clock, counters} = this.#options
    const fields = {
      node_name: request.hostname,
      role: request.systemRole,
      method: request.iam ? 'iam' : 'token',
      token_name: request.iam ? request.token : maskToken(request.token),
      'addr.remote': client.source,
    }
    let admission: Admission
    let aws: CallerIdentity | undefined
    try {
      admission = await this.#admit(request)
      aws = admission.iam && (await this.#identify(request, admission.iam))
    } catch (error) {
      if (!(error instanceof PosternError) || error.code !== 'ACCESS_DENIED') throw error
      counters.failedJoins++
      await audit.append('instance.join', {...fields, success: false, error: error.message, message: error.message})
      throw error
    }
    const identity: HostIdentity = {
      kind: 'host',
      hostId: randomUUID(),
      systemRoles: [request.systemRole],
      ...(admission.databases?.names ? {databases: admission.databases.names} : {}),
      ...(admission.databases?.labels ? {labels: admission.databases.labels} : {}),
    }
    const {certificate} = await issuer.host(identity, request.publicKey)
    const host = stores.hosts.creating(identity.hostId, {
      hostId: identity.hostId,
      systemRoles: identity.systemRoles,
      hostname: request.hostname,
      joined: new Date(clock.now()).toISOString(),
      serving: [],
    })
    await audit.change([host], 'instance.join', {
      ...fields,
      success: true,
      host_id: identity.hostId,
      ...(aws && {aws_account: aws.account, aws_arn: aws.arn}),
    })
    counters.joins++
    return {
      cluster: issuer.cluster,
      hostId: identity.hostId,
      certificate,
      hostAuthorities: authorities.trusted('host'),
    }
  }

  /** The same identity with a new key, for 90 more days. */
  async renew(publicKey: string, {identity}: HostCaller): Promise<RenewHostResponse> {
    const {stores, authorities, issuer} = this.#options
    const record = await stores.hosts.get(identity.hostId)
    const {certificate} = await issuer.host(identity, publicKey, record?.value.certsValidFrom)
    return {certificate, hostAuthorities: authorities.trusted('host')}
  }

  #changeToken(change: Change, {metadata, spec}: Token, caller: Caller): Promise<void> {
    const actor = actorFields(caller)
    return this.#options.audit.change([change], 'join_token.create', {
      ...actor,
      name: shownName({metadata, spec}),
      expires: metadata.expires ?? noExpiry,
      roles: spec.roles,
      join_method: spec.join_method,
      updated_by: actor.user,
    })
  }

  async #admit({token, systemRole, iam}: JoinRequest): Promise<Admission> {
    if (!this.#badTokens.hasRoom()) {
      throw new PosternError('TOO_MANY_REQUESTS', 'Too many hosts try to join with bad tokens.', {
        hint: 'Try again in a few seconds.',
      })
    }
    const admission = await this.#find(hashOf(token), systemRole)
    // To ask for the proof of a name that a secret is for would tell that there is such a secret.
    if (!admission || (iam && !admission.iam)) {
      this.#badTokens.take()
      // The same for a token that never was, one that expired and one that was removed.
      throw new PosternError('ACCESS_DENIED', 'The join token has expired or is not valid.', {
        hint: `Make a new one on the control plane: \`postern tokens add --type=${systemRole.toLowerCase()}\`.`,
      })
    }
    if (!admission.roles.includes(systemRole)) {
      this.#badTokens.take()
      throw new PosternError('ACCESS_DENIED', `The join token is not for the role ${systemRole}.`, {
        hint: `It is for: ${admission.roles.join(', ')}.`,
      })
    }
    return admission
  }

  async #identify(request: JoinRequest, token: Token): Promise<CallerIdentity> {
    try {
      return await this.#options.iam.identify(request, token)
    } catch (error) {
      if (error instanceof PosternError && error.code === 'ACCESS_DENIED') this.#badTokens.take()
      throw error
    }
  }

  async #find(key: string, systemRole: JoinRole): Promise<Admission | undefined> {
    const internal = this.#internal.get(key)
    if (internal) {
      if (internal.role === systemRole) this.#internal.delete(key)
      return internal.expires > this.#options.clock.now() ? {roles: [internal.role]} : undefined
    }
    const admission = this.#static.get(key)
    if (admission) return admission
    const token = (await this.#options.stores.tokens.get(key))?.value
    return token && {...token.spec, ...(token.spec.join_method === 'iam' && {iam: token})}
  }
}

function checkSecretLength(token: string): void {
  if (token.length < minimumSecretLength) {
    throw new PosternError('INVALID', `A join token has at least ${minimumSecretLength} characters.`, {
      hint: 'Take a random one: `openssl rand -hex 16`.',
    })
  }
}
