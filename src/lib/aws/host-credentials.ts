/**
 * The host's own AWS credentials, from the first of these that has any:
 *
 *   environment ──► shared credentials and config files ──► web identity (IRSA) ──► container endpoint ──► IMDSv2
 *
 * A source that is set up and fails ends the search: going on would sign in as somebody else than was meant. The order is
 * ours because the SDK's changes when AWS_PROFILE is set.
 */
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import {afterRunning} from '../core/running-time.js'
import {Secret} from '../core/secret.js'
import type {AwsClients} from './clients.js'
import {credentialSources, type SourceContext} from './credential-sources.js'
import type {AwsEnvironment} from './environment.js'
import {describeAwsError} from './failure.js'
import type {AwsSession, ClearCredentials} from './session.js'

export interface HostCredentialsOptions {
  readonly environment: AwsEnvironment
  readonly clients: AwsClients
  readonly clock: Clock
}

/** What credentials are renewed ahead of their end by. */
export const renewalMargin = 5 * 60_000
/** Keys without an end are read again after this long: files change. */
const longestHeld = 15 * 60_000
/** The whole search; somebody waits for it with a connection. */
const searchMilliseconds = 2800

interface Held {
  readonly session: AwsSession
  readonly readAt: number
}

/** Finds the host's credentials and holds them until they are about to expire. */
export class HostCredentials {
  readonly #options: HostCredentialsOptions
  #held: Held | undefined
  #search: Promise<AwsSession> | undefined

  constructor(options: HostCredentialsOptions) {
    this.#options = options
  }

  /**
   * Credentials with so many milliseconds left, as far as their source gives such.
   * @throws PosternError FAILED naming every source and why it has none
   */
  async get(minimumLifetime = renewalMargin): Promise<AwsSession> {
    const held = this.#held
    if (held && this.#isGood(held, minimumLifetime)) return held.session
    try {
      this.#search ??= this.#find().finally(() => {
        this.#search = undefined
      })
      return await this.#search
    } catch (error) {
      // AWS asks to live through an outage of its own with what is still valid.
      if (held && this.#isGood(held, 0)) return held.session
      throw error
    }
  }

  #isGood({session: {expires}, readAt}: Held, minimumLifetime: number): boolean {
    const {clock} = this.#options
    if (expires === undefined) return minimumLifetime === 0 || clock.monotonic() - readAt < longestHeld
    return expires - clock.now() > minimumLifetime
  }

  async #find(): Promise<AwsSession> {
    const context: SourceContext = {...this.#options, region: await this.#options.clients.defaultRegion()}
    const {over, forget} = within(searchMilliseconds)
    try {
      return this.#hold(await findFirst(context, over))
    } finally {
      forget()
    }
  }

  #hold(credentials: ClearCredentials): AwsSession {
    const {accessKeyId, secretAccessKey, sessionToken, expiration} = credentials
    const session: AwsSession = {
      accessKeyId,
      secretAccessKey: new Secret(secretAccessKey),
      ...(sessionToken !== undefined && {sessionToken: new Secret(sessionToken)}),
      ...(expiration && {expires: expiration.getTime()}),
    }
    this.#held = {session, readAt: this.#options.clock.monotonic()}
    return session
  }
}

/** @param over fails when the search has taken too long */
async function findFirst(context: SourceContext, over: Promise<never>): Promise<ClearCredentials> {
  const reasons: string[] = []
  for (const source of credentialSources) {
    let failure: string
    try {
      const attempt = await Promise.race([source.read(context), over])
      if ('credentials' in attempt) return attempt.credentials
      reasons.push(`${source.name}: ${attempt.absent}`)
      continue
    } catch (error) {
      failure = describeAwsError(error)
    }
    reasons.push(`${source.name}: ${failure}`)
    break
  }
  throw noCredentials(reasons)
}

function noCredentials(reasons: readonly string[]): PosternError {
  const tried = reasons.map((reason) => reason.replace(/\.$/, '')).join('; ')
  return new PosternError(
    'FAILED',
    `The agent has no AWS credentials (NoCredentialProviders: no valid providers in chain). Tried in order: ${tried}.`,
    {hint: 'Give the host of the agent an instance role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for it.'},
  )
}

/** A promise that fails when the time is over; nobody needs to listen to it. */
function within(milliseconds: number): {readonly over: Promise<never>; readonly forget: () => void} {
  let forget = (): void => undefined
  const over = new Promise<never>((_, reject) => {
    forget = afterRunning(milliseconds, () => {
      reject(new Error('no answer in time'))
    })
  })
  over.catch(() => undefined)
  return {over, forget}
}
