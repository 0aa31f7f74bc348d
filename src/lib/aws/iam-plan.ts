/** Which identity gets which permissions, from what the configuration needs. Asks nobody; pure. */
import {isDeepStrictEqual} from 'node:util'
import {PosternError} from '../core/errors.js'
import {anyone, nameIdentity, nameRoles, parseIdentity, type IamIdentity} from './iam-identity.js'
import {
  policyFor,
  type DatabaseGrant,
  type IamDatabaseType,
  type PolicyChanges,
  type PolicyDocument,
} from './iam-policy.js'
import {splitPolicy} from './iam-size.js'

/** One step of giving an identity its permissions. Printing, confirming and carrying out all read the same steps. */
export type IamAction = PutPolicyAction | AttachPolicyAction | RemovePolicyAction

export interface PutPolicyAction {
  readonly kind: 'create-policy' | 'update-policy'
  readonly account: string
  readonly policyArn: string
  readonly policyName: string
  readonly document: PolicyDocument
  /** Of an update, where the document before it may be read. */
  readonly changes?: PolicyChanges | undefined
}

export interface AttachPolicyAction {
  readonly kind: 'attach-policy'
  readonly account: string
  readonly policyArns: readonly string[]
  readonly target: IamIdentity
}

/** Takes a part of our policy away that is not needed any more, and deletes it when nobody else has it. */
export interface RemovePolicyAction {
  readonly kind: 'remove-policy'
  readonly account: string
  readonly policyArn: string
  readonly target: IamIdentity
}

/** Databases that an agent reaches in one way: as itself, or as a role. */
export interface AccessNeed {
  readonly types: readonly IamDatabaseType[]
  readonly assumeRoleArn?: string | undefined
  readonly externalId?: string | undefined
  /** Whether databases are also found in this way, and not only named. */
  readonly finds?: boolean | undefined
  /** The databases themselves, where permissions are for these alone; undefined for all of the types. */
  readonly grants?: readonly DatabaseGrant[] | undefined
}

export interface PlanRequest {
  readonly policyName: string
  readonly needs: readonly AccessNeed[]
  /** Names and ARNs of further roles to assume. */
  readonly assumesRoles: readonly string[]
  /** Whether the agent itself keeps an inline policy for its databases. */
  readonly keepsPolicy?: boolean | undefined
}

/** The policy that gives the target what it needs, in as many parts as AWS demands, and its attachment; nothing when it needs nothing. */
function planAccess(target: IamIdentity, {policyName, needs, assumesRoles, keepsPolicy}: PlanRequest): IamAction[] {
  const named = nameRoles(assumesRoles, target)
  const own = needs.filter(({assumeRoleArn}) => assumeRoleArn === target.arn)
  const direct = own.length > 0 ? own : needs.filter(({assumeRoleArn}) => assumeRoleArn === undefined)
  const assumed = own.length > 0 ? [] : rolesOf(needs)
  const document = policyFor({
    types: direct.flatMap(({types}) => types),
    grants: direct.some(({grants}) => grants) ? direct.flatMap(({grants = []}) => grants) : undefined,
    assumedRoles: [...assumed, ...named],
    keeper: keepsPolicy === true && direct.some(({types}) => types.length > 0) ? target : undefined,
  })
  if (!document) return []
  const {account, partition} = target
  const parts = splitPolicy(document).map((part, index): PutPolicyAction => {
    const name = index === 0 ? policyName : `${policyName}-${index + 1}`
    const policyArn = `arn:${partition}:iam::${account}:policy/${name}`
    return {kind: 'create-policy', account, policyArn, policyName: name, document: part}
  })
  const policyArns = parts.map(({policyArn}) => policyArn)
  return [...parts, {kind: 'attach-policy', account, policyArns, target}]
}

const rolesOf = (needs: readonly AccessNeed[]): string[] =>
  needs.flatMap(({assumeRoleArn}) => (assumeRoleArn === undefined ? [] : [assumeRoleArn]))

/** Whom to give permissions to, as a name, `/path/name` or ARN; neither means whoever asks. */
export interface TargetChoice {
  readonly user?: string | undefined
  readonly role?: string | undefined
}

/** An identity that gets permissions, and how its account is reached. */
export interface Target {
  readonly identity: IamIdentity
  /** The role to act as, because the account is not the caller's. */
  readonly through?: AccessNeed | undefined
}

/**
 * The identity that the choice means.
 * @throws PosternError USAGE when nobody can act in its account
 */
function chooseTarget({user, role}: TargetChoice, caller: IamIdentity, needs: readonly AccessNeed[]): Target {
  const isManual = caller.account === '*'
  if (isManual && user === undefined && role?.startsWith('arn:') === false && rolesOf(needs).length > 0) {
    throw new PosternError('USAGE', `Which account the role "${role}" is in cannot be told without AWS.`, {
      hint: 'The configuration names roles to assume: give the whole ARN.',
    })
  }
  const identity = user === undefined ? nameIdentity('role', role ?? '', caller) : nameIdentity('user', user, caller)
  if (isManual || identity.account === caller.account) return {identity}
  const through = needs.find(({assumeRoleArn}) => assumeRoleArn === identity.arn)
  if (through) return {identity, through}
  throw new PosternError(
    'INVALID',
    `${identity.arn} is in account ${identity.account}, and the AWS credentials are for ${caller.account}.`,
    {hint: `Run the command with credentials for ${identity.account}.`},
  )
}

/** What is to be done for one target. */
export interface TargetPlan extends Target {
  readonly actions: readonly IamAction[]
}

export interface WholePlan {
  /** None when nothing is needed. */
  readonly plans: readonly TargetPlan[]
  /** Would need another policy under the same name; each takes a run of its own. */
  readonly skipped: readonly IamIdentity[]
}

/** What is to be done for the one identity that the choice means. @throws PosternError USAGE */
export function planOne(choice: TargetChoice, caller: IamIdentity, request: PlanRequest): WholePlan {
  const target = chooseTarget(choice, caller, request.needs)
  const actions = planAccess(target.identity, request)
  return {plans: actions.length > 0 ? [{...target, actions}] : [], skipped: []}
}

/** Whether the choice names somebody. */
export const isChosen = ({user, role}: TargetChoice): boolean => user !== undefined || role !== undefined

/** What is to be done when nobody is asked. @throws PosternError USAGE */
export const planManually = (choice: TargetChoice, request: PlanRequest): WholePlan =>
  isChosen(choice) ? planOne(choice, anyone, request) : planEverybody(anyone, request)

/** What is to be done for the caller, and for each role that finds databases. Targets that need nothing are left out. */
export function planEverybody(caller: IamIdentity, request: PlanRequest): WholePlan {
  const plans: TargetPlan[] = []
  const skipped: IamIdentity[] = []
  const roles = findingRoles(request.needs)
  for (const target of [{identity: caller}, ...roles]) {
    const assumesRoles = target.identity === caller ? request.assumesRoles : []
    const actions = planAccess(target.identity, {...request, assumesRoles})
    if (actions.length === 0) continue
    const taken = plans.map((plan) => policiesIn(plan.actions)).find((made) => sharesName(made, policiesIn(actions)))
    if (!taken) plans.push({...target, actions})
    else if (isDeepStrictEqual(taken, policiesIn(actions))) {
      plans.push({...target, actions: actions.filter(({kind}) => kind !== 'create-policy')})
    } else skipped.push(target.identity)
  }
  return {plans, skipped}
}

const policiesIn = (actions: readonly IamAction[]): readonly PutPolicyAction[] =>
  actions.flatMap((action) => (action.kind === 'create-policy' ? [action] : []))

const sharesName = (some: readonly PutPolicyAction[], others: readonly PutPolicyAction[]): boolean =>
  some.some(({policyArn}) => others.some((other) => other.policyArn === policyArn))

/** The roles that find databases, once each. */
function findingRoles(needs: readonly AccessNeed[]): Target[] {
  const finding = new Map<string, AccessNeed>()
  for (const need of needs) {
    const {assumeRoleArn: arn, finds} = need
    if (finds === true && arn !== undefined && !finding.has(arn)) finding.set(arn, need)
  }
  return Array.from(finding, ([arn, through]) => ({identity: parseIdentity(arn), through}))
}
