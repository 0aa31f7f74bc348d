/** As whom the agent speaks to AWS: the host itself, or at the end of a chain of roles that it assumes. */
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import {Secret} from '../core/secret.js'
import {using, type AwsClients} from './clients.js'
import {awsFailure} from './failure.js'
import {renewalMargin, type HostCredentials} from './host-credentials.js'
import type {AwsSession} from './session.js'

/** A role to assume. */
export interface RoleHop {
  readonly arn: string
  readonly externalId?: string | undefined
  /** Tags of the session. */
  readonly tags?: Readonly<Record<string, string>> | undefined
}

export interface SessionRequest {
  /** From the host outwards; empty for the host itself. */
  readonly chain: readonly RoleHop[]
  readonly region: string
  /** Milliseconds that the session should have left. */
  readonly minimumLifetime?: number
}

export interface AwsIdentitiesOptions {
  readonly clients: AwsClients
  readonly host: Pick<HostCredentials, 'get'>
  readonly clock: Clock
}

/** The role of a database, and the role that its user takes. */
const longestChain = 2
const sessionName = 'postern'

/** Sessions of roles, one per chain, renewed five minutes before their end. */
export class AwsIdentities {
  readonly #options: AwsIdentitiesOptions
  readonly #sessions = new Map<string, AwsSession>()
  readonly #pending = new Map<string, Promise<AwsSession>>()
  readonly #accounts = new Map<string, string>()

  constructor(options: AwsIdentitiesOptions) {
    this.#options = options
  }

  /** @throws PosternError saying which source or which role gave nothing, and why */
  async session(request: SessionRequest): Promise<AwsSession> {
    const {chain, minimumLifetime = renewalMargin} = request
    if (chain.length > longestChain) throw new PosternError('INVALID', 'At most two IAM roles can be chained.')
    if (chain.length === 0) return this.#options.host.get(minimumLifetime)
    const key = JSON.stringify(chain)
    const known = this.#sessions.get(key)
    if (known && this.#leftOf(known) > minimumLifetime) return known
    const pending = this.#pending.get(key) ?? this.#renew(key, request)
    try {
      return await pending
    } catch (error) {
      if (known && this.#leftOf(known) > 0) return known
      throw error
    }
  }

  /** The account that a session belongs to. @throws PosternError */
  async accountOf(session: AwsSession, region: string): Promise<string> {
    const known = this.#accounts.get(session.accessKeyId)
    if (known !== undefined) return known
    const {GetCallerIdentityCommand} = await import('@aws-sdk/client-sts')
    const client = await this.#options.clients.sts({session, region})
    const {Account = ''} = await using(client, (sts) => sts.send(new GetCallerIdentityCommand({}))).catch(
      (error: unknown) => {
        throw awsFailure(error, 'AWS does not say whose credentials the agent has')
      },
    )
    this.#accounts.clear()
    this.#accounts.set(session.accessKeyId, Account)
    return Account
  }

  #leftOf({expires = Infinity}: AwsSession): number {
    return expires - this.#options.clock.now()
  }

  #renew(key: string, request: SessionRequest): Promise<AwsSession> {
    const renewing = this.#assume(request)
      .then((session) => {
        for (const [other, {expires = Infinity}] of this.#sessions) {
          if (expires <= this.#options.clock.now()) this.#sessions.delete(other)
        }
        this.#sessions.set(key, session)
        return session
      })
      .finally(() => this.#pending.delete(key))
    this.#pending.set(key, renewing)
    return renewing
  }

  async #assume({chain, region}: SessionRequest): Promise<AwsSession> {
    const hop = chain.at(-1)
    if (!hop) throw new Error('there is no role to assume')
    const before = await this.session({chain: chain.slice(0, -1), region})
    const {AssumeRoleCommand} = await import('@aws-sdk/client-sts')
    const {arn, externalId, tags = {}} = hop
    const command = new AssumeRoleCommand({
      RoleArn: arn,
      RoleSessionName: sessionName,
      ExternalId: externalId,
      ...(Object.keys(tags).length > 0 && {Tags: Object.entries(tags).map(([Key, Value]) => ({Key, Value}))}),
    })
    const client = await this.#options.clients.sts({session: before, region})
    try {
      const {Credentials} = await using(client, (sts) => sts.send(command))
      return readSession(Credentials)
    } catch (error) {
      throw assumeFailure(error, hop)
    }
  }
}

interface GivenCredentials {
  readonly AccessKeyId?: string | undefined
  readonly SecretAccessKey?: string | undefined
  readonly SessionToken?: string | undefined
  readonly Expiration?: Date | undefined
}

function readSession({AccessKeyId, SecretAccessKey, SessionToken, Expiration}: GivenCredentials = {}): AwsSession {
  if (!AccessKeyId || !SecretAccessKey || !SessionToken || !Expiration) {
    throw new PosternError('FAILED', 'AWS answered without credentials.')
  }
  return {
    accessKeyId: AccessKeyId,
    secretAccessKey: new Secret(SecretAccessKey),
    sessionToken: new Secret(SessionToken),
    expires: Expiration.getTime(),
  }
}

/** How to try a role by hand. */
export function testOf({arn, externalId}: RoleHop): string {
  const external = externalId === undefined ? '' : ` --external-id ${externalId}`
  return `Test it on the agent’s host: aws sts assume-role --role-arn ${arn} --role-session-name test${external}`
}

function assumeFailure(error: unknown, {arn, externalId, tags}: RoleHop): PosternError {
  const more = [
    ...(externalId === undefined ? [] : ['the same external id (sts:ExternalId)']),
    ...(tags && Object.keys(tags).length > 0 ? ['sts:TagSession'] : []),
  ]
  return awsFailure(error, `The agent cannot assume the IAM role ${arn}`, [
    `The trust policy of the role must name the identity of the agent${more.map((what) => `, and allow ${what}`).join('')}; ` +
      'policies and a permissions boundary of that identity must allow sts:AssumeRole on the role.',
    testOf({arn, externalId}),
  ])
}
