import {setTimeout as sleep} from 'node:timers/promises'
import type {Clock} from '../core/clock.js'
import {messageOf, PosternError, toPosternError} from '../core/errors.js'
import {Secret} from '../core/secret.js'
import type {AwsDatabase} from './aws-database.js'
import {listCandidates} from './candidates.js'
import {AwsClients, using, type Caller} from './clients.js'
import {describeOnAws} from './description.js'
import type {AwsEnvironment} from './environment.js'
import {awsFailure, describeAwsError, isDenied} from './failure.js'
import {HostCredentials} from './host-credentials.js'
import {IamAccount} from './iam-account.js'
import {grantFor, type NamedGrant} from './iam-grants.js'
import {parseIdentity} from './iam-identity.js'
import {
  isChosen,
  planEverybody,
  planOne,
  type AccessNeed,
  type IamAction,
  type PlanRequest,
  type Target,
  type TargetChoice,
  type TargetPlan,
  type WholePlan,
} from './iam-plan.js'
import type {Effect} from './iam-simulation.js'
import {survey, type Matcher, type SurveyOptions} from './survey.js'
import {Turnstile} from './turnstile.js'

/** AWS throttles who asks about many databases at once. */
const describedAtOnce = 5
const sessionName = 'postern-bootstrap'

export interface ApplyOptions {
  readonly onDone: (action: IamAction) => void
  readonly onFailed: (action: IamAction, error: unknown) => void
}

export interface WaitOptions {
  /** How far AWS is; only told when it changes. */
  readonly onProgress: (effect: Effect) => void
  /** Milliseconds in all; two minutes unless told. */
  readonly atMost?: number | undefined
}

/** Changes of IAM mostly take a few seconds, and seldom a minute. */
const patience = {atMost: 120_000, firstWait: 500, longestWait: 5000} as const

/** IAM, in the accounts that the credentials of this host reach. */
export class IamAccounts {
  readonly #own: IamAccount
  readonly #clients: AwsClients
  readonly #caller: Caller
  readonly #clock: Clock
  readonly #describing = new Turnstile(describedAtOnce)
  #ownAccount: string | undefined

  private constructor(clients: AwsClients, caller: Caller, clock: Clock) {
    this.#own = new IamAccount(clients, caller)
    this.#clients = clients
    this.#caller = caller
    this.#clock = clock
  }

  /** @throws PosternError FAILED when the host has no AWS credentials */
  static async open(environment: AwsEnvironment, clock: Clock): Promise<IamAccounts> {
    const clients = new AwsClients(environment)
    const session = await new HostCredentials({environment, clients, clock}).get()
    return new IamAccounts(clients, {session, region: await clients.defaultRegion()}, clock)
  }

  /**
   * What is to be done for the chosen identity, or for the caller and the roles that find databases: the whole of it.
   * @throws PosternError USAGE about the choice, or what AWS says
   */
  async plan(choice: TargetChoice, request: PlanRequest): Promise<WholePlan> {
    const caller = await this.#own.caller()
    this.#ownAccount = caller.account
    if (isChosen(choice)) return planOne(choice, caller, request)
    return planEverybody(await this.#own.attachable(caller), request)
  }

  /**
   * The steps of the plans that AWS is still without, after checking that all of them are possible.
   * @throws PosternError with what AWS says, ALREADY_EXISTS for a policy that is not ours, INVALID beyond a quota
   */
  async remaining(plans: readonly TargetPlan[]): Promise<TargetPlan[]> {
    const left: TargetPlan[] = []
    for (const plan of plans) left.push(await (await this.#of(plan)).remaining(plan))
    return left.filter(({actions}) => actions.length > 0)
  }

  /**
   * What signing in to a database is allowed by, with the ids that AWS has for it.
   * @throws PosternError with what AWS says
   */
  grant(database: AwsDatabase): Promise<NamedGrant> {
    return this.#describing.pass(() => this.#grant(database))
  }

  /**
   * The same for the databases that a matcher finds now.
   * @throws PosternError with what AWS says
   */
  async grantsOf(matcher: Matcher, selects: SurveyOptions['selects']): Promise<NamedGrant[]> {
    const {account: own} = await this.#own.caller()
    const {assumeRoleArn: role, externalId} = matcher
    const isElsewhere = role !== undefined && parseIdentity(role).account !== own
    const caller = isElsewhere ? await this.#assume(role, externalId) : this.#caller
    const {found, failures} = await survey({
      matchers: [matcher],
      selects,
      list: async ({type, region}) => {
        const candidates = await listCandidates({clients: this.#clients, caller: {...caller, region}, type})
        return {account: own, candidates}
      },
    })
    const [failure] = failures
    if (failure) throw new PosternError('FAILED', `Not all databases can be found: ${failure.reason}`)
    return found.map(({candidate: {type, settings, region, account}}) =>
      grantFor({type, settings: {...settings, region, account_id: account}}),
    )
  }

  async #grant(database: AwsDatabase): Promise<NamedGrant> {
    if (database.type === 'redshift-serverless') return grantFor(database)
    const {settings, role, name} = database
    const region = settings.region ?? this.#caller.region
    const own = {...this.#caller, region}
    const ask = async (caller: Caller): Promise<NamedGrant> => {
      const described = await describeOnAws({clients: this.#clients, caller, database})
      return grantFor({...database, settings: {...described.settings, region}})
    }
    // The role may get its permissions only by this very plan.
    try {
      return await ask(own)
    } catch (error) {
      const asRole = role && (await this.#assume(role.arn, role.externalId).catch(() => undefined))
      const answer = asRole && (await ask({...asRole, region}).catch(() => undefined))
      if (answer) return answer
      throw awsFailure(error, `What AWS calls the database "${name}" cannot be found out`, [
        'Allow this caller to describe it, or ask for permissions on all databases: --scope all.',
      ])
    }
  }

  /**
   * Takes all steps, or none: what was done before one failed is taken back.
   * @throws PosternError saying whether anything is left behind
   */
  async apply(plans: readonly TargetPlan[], {onDone, onFailed}: ApplyOptions): Promise<void> {
    const undos: (() => Promise<void>)[] = []
    for (const plan of plans) {
      const account = await this.#of(plan)
      for (const action of plan.actions) {
        await account.carryOut(action, undos).catch(async (error: unknown) => {
          onFailed(action, error)
          throw failedApplication(error, await takeBack(undos))
        })
        onDone(action)
      }
    }
  }

  /**
   * Waits until AWS allows what the plans give.
   * @returns whether it did at once; `unknown` when AWS does not let the caller ask
   * @throws PosternError FAILED naming what is not allowed
   */
  async takesEffect(
    plans: readonly TargetPlan[],
    {onProgress, atMost = patience.atMost}: WaitOptions,
  ): Promise<'at once' | 'later' | 'unknown'> {
    const end = this.#clock.monotonic() + atMost
    let told = ''
    for (let wait: number = patience.firstWait; ; wait = Math.min(2 * wait, patience.longestWait)) {
      const effect = await this.#simulate(plans)
      if (!effect) return 'unknown'
      if (effect.blocked.length > 0) throw notAllowed(effect.blocked, [])
      if (effect.pending.length === 0) return told === '' ? 'at once' : 'later'
      if (this.#clock.monotonic() >= end) {
        throw notAllowed(effect.pending, ['Changes of IAM take effect after up to a minute: run the command again.'])
      }
      const state = `${effect.pending.length}/${effect.total}`
      if (state !== told) onProgress(effect)
      told = state
      await sleep(wait)
    }
  }

  async #simulate(plans: readonly TargetPlan[]): Promise<Effect | undefined> {
    const effects: Effect[] = []
    try {
      for (const plan of plans) {
        const documents = plan.actions.flatMap((action) => ('document' in action ? [action.document] : []))
        effects.push(await (await this.#of(plan)).simulate(plan.identity, documents))
      }
    } catch (error) {
      if (isDenied(error)) return undefined
      throw awsFailure(error, 'Whether AWS applies the policy cannot be found out')
    }
    return {
      total: effects.reduce((sum, {total}) => sum + total, 0),
      pending: effects.flatMap(({pending}) => pending),
      blocked: effects.flatMap(({blocked}) => blocked),
    }
  }

  /** The account of a target; in its own account the caller acts as itself. */
  async #of({identity, through}: Target): Promise<IamAccount> {
    if (through?.assumeRoleArn === undefined || identity.account === this.#ownAccount) return this.#own
    return new IamAccount(this.#clients, await this.#assume(through.assumeRoleArn, through.externalId))
  }

  async #assume(RoleArn: string, externalId: AccessNeed['externalId']): Promise<Caller> {
    const {AssumeRoleCommand} = await import('@aws-sdk/client-sts')
    const ExternalId = externalId === undefined ? {} : {ExternalId: externalId}
    try {
      const {Credentials} = await using(await this.#clients.sts(this.#caller), (sts) =>
        sts.send(new AssumeRoleCommand({RoleArn, RoleSessionName: sessionName, ...ExternalId})),
      )
      const {AccessKeyId = '', SecretAccessKey = '', SessionToken = ''} = Credentials ?? {}
      const session = {
        accessKeyId: AccessKeyId,
        secretAccessKey: new Secret(SecretAccessKey),
        sessionToken: new Secret(SessionToken),
      }
      return {session, region: this.#caller.region}
    } catch (error) {
      throw awsFailure(error, `The role ${RoleArn}, whose account the policy is for, cannot be assumed`)
    }
  }
}

/** Takes the steps back, last first. @returns why some could not be */
async function takeBack(undos: readonly (() => Promise<void>)[]): Promise<readonly string[]> {
  const failures: string[] = []
  for (const undo of undos.toReversed()) {
    await undo().catch((error: unknown) => {
      failures.push(describeAwsError(error))
    })
  }
  return failures
}

function failedApplication(error: unknown, leftovers: readonly string[]): PosternError {
  const {code, hints} = toPosternError(error)
  const reason = messageOf(error).replace(/\.$/, '')
  if (leftovers.length === 0) {
    return new PosternError(code, `${reason}. Nothing is changed in AWS: what was done before was taken back.`, {
      cause: error,
      hint: hints,
    })
  }
  return new PosternError(code, `${reason}. What was done before is still there.`, {
    cause: error,
    hint: [...hints, ...leftovers.map((why) => `It could not be taken back: ${why.replace(/\.$/, '')}.`)],
  })
}

const mostNamed = 5

function notAllowed(permissions: readonly string[], hint: readonly string[]): PosternError {
  const named = permissions.slice(0, mostNamed).join('; ')
  const more = permissions.length > mostNamed ? `; and ${permissions.length - mostNamed} more` : ''
  return new PosternError('FAILED', `The policy is in AWS, and AWS does not allow all of it: ${named}${more}.`, {hint})
}
