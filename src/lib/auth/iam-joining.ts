/** Joining without a secret: a host proves its AWS identity for a challenge of ours, and a token says whose may join. */
import {createHmac, randomBytes, timingSafeEqual} from 'node:crypto'
import type {JoinRequest} from '../api/requests.js'
import type {JoinChallengeResponse} from '../api/responses.js'
import {askCallerIdentity, type CallerIdentity} from '../aws/caller-identity.js'
import type {AwsEnvironment} from '../aws/environment.js'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import {matchesArn} from '../core/glob.js'
import type {AllowRule, Token} from '../resources/token.js'

export interface IamJoiningOptions {
  /** Names the endpoint of STS when it is not AWS's own. */
  readonly environment: AwsEnvironment
  readonly clock: Clock
}

/** From the challenge to the request that answers it, milliseconds. */
const challengeLifetime = 60_000
/** Everybody may ask; who has no identity of AWS must not keep those out who have one. */
const maximumQuestions = 32
const nonceBytes = 16
const sealBytes = 32

export class IamJoining {
  readonly #options: IamJoiningOptions
  readonly #key = randomBytes(sealBytes)
  /** Challenges that let a host in, with their end: each does so once. */
  readonly #used = new Map<string, number>()
  #questions = 0

  constructor(options: IamJoiningOptions) {
    this.#options = options
  }

  /** A challenge for the host that has this key, and for nobody else. Nothing is kept of it here. */
  challenge(publicKey: string): JoinChallengeResponse {
    const end = Buffer.alloc(8)
    end.writeBigUInt64BE(BigInt(this.#options.clock.now() + challengeLifetime))
    const content = Buffer.concat([randomBytes(nonceBytes), end])
    return {challenge: Buffer.concat([content, this.#seal(content, publicKey)]).toString('base64url')}
  }

  /** Who joins, as AWS says. @throws PosternError ACCESS_DENIED, TOO_MANY_REQUESTS, or UNREACHABLE when STS does not answer */
  async identify({publicKey, iam}: JoinRequest, {metadata, spec}: Token): Promise<CallerIdentity> {
    if (!iam) {
      throw new PosternError('ACCESS_DENIED', `The join token "${metadata.name}" is for the join method iam.`, {
        hint: 'Set join_params in the configuration of the agent: method: iam, and the token_name.',
      })
    }
    const {challenge, ...proof} = iam
    const end = this.#checkChallenge(challenge, publicKey)
    if (this.#questions >= maximumQuestions) {
      throw new PosternError('TOO_MANY_REQUESTS', 'Too many hosts join at this moment.', {hint: 'Try again soon.'})
    }
    this.#questions++
    const identity = await askCallerIdentity(proof, {challenge, publicKey}, this.#options.environment).finally(() => {
      this.#questions--
    })
    checkAllowed(identity, spec.allow ?? [])
    this.#use(challenge, end)
    return identity
  }

  #checkChallenge(challenge: string, publicKey: string): number {
    const bytes = Buffer.from(challenge, 'base64url')
    const content = bytes.subarray(0, nonceBytes + 8)
    const seal = bytes.subarray(content.length)
    const isOurs = seal.length === sealBytes && timingSafeEqual(seal, this.#seal(content, publicKey))
    const end = isOurs ? Number(content.readBigUInt64BE(nonceBytes)) : 0
    if (end > this.#options.clock.now()) return end
    throw new PosternError('ACCESS_DENIED', 'The challenge has expired, or is not one for this host.', {
      hint: 'Start the agent again; a challenge is good for a minute.',
    })
  }

  #use(challenge: string, end: number): void {
    const now = this.#options.clock.now()
    for (const [other, itsEnd] of this.#used) if (itsEnd <= now) this.#used.delete(other)
    if (this.#used.has(challenge)) throw new PosternError('ACCESS_DENIED', 'The challenge was answered before.')
    this.#used.set(challenge, end)
  }

  #seal(content: Buffer, publicKey: string): Buffer {
    return createHmac('sha256', this.#key).update(content).update(publicKey).digest()
  }
}

/** @throws PosternError ACCESS_DENIED */
function checkAllowed({account, arn}: CallerIdentity, rules: readonly AllowRule[]): void {
  const isAllowed = rules.some(
    ({aws_account: ofAccount, aws_arn: ofArn}) =>
      (ofAccount === undefined || ofAccount === account) && (ofArn === undefined || matchesArn(ofArn, arn)),
  )
  if (isAllowed) return
  throw new PosternError('ACCESS_DENIED', `The join token does not allow ${arn} of the account ${account}.`, {
    hint: "Add a rule for it to the token's spec.allow, or give the host another role.",
  })
}
