/**
 * Whether a principal may do something (IAM User Guide, "Policy evaluation logic"):
 *
 *   an explicit deny anywhere ─► no
 *   identity policies allow, and so do the boundary and the session's policies, where there are any ─► yes
 *   a role's trust policy has to allow as well; in the same account it may do so alone, by naming the caller
 */
import type {Context} from './conditions.js'
import {Fault} from './fault.js'
import type {Grants, Role} from './identities.js'
import {evaluate, evaluateTrust, type AccessRequest, type Caller} from './policy.js'
import type {Policy} from './policy-document.js'
import {callerOf, principalContext, type Principal} from './principal.js'
import {findPolicy, type World} from './world.js'

/** Why not; `trust` is a role's own policy. */
export type DenialReason = 'explicit-deny' | 'identity' | 'boundary' | 'session' | 'trust'

export type Verdict = {readonly allowed: true} | {readonly allowed: false; readonly reason: DenialReason}

const allowed: Verdict = {allowed: true}
const denied = (reason: DenialReason): Verdict => ({allowed: false, reason})

export interface PermissionQuestion {
  readonly action: string
  /** ARN. */
  readonly resource: string
  /** Facts about the request beside those about the principal. */
  readonly context?: Context
}

/** The sets of policies that speak for one principal; undefined sets limit nothing. */
interface Layers {
  readonly identity: readonly Policy[]
  readonly boundary: readonly Policy[] | undefined
  readonly session: readonly Policy[] | undefined
}

function layersOf(world: World, principal: Principal): Layers {
  const grants = principal.identity.grants.at(world.now())
  const session = principal.kind === 'session' && principal.policies.length > 0 ? principal.policies : undefined
  return {identity: identityPolicies(world, grants), boundary: boundaryPolicies(world, grants), session}
}

/** The identity's inline and managed policies as they count now. */
function identityPolicies(world: World, {inline, attached}: Grants): Policy[] {
  return [...inline.values(), ...attached.flatMap((arn) => managed(world, arn))]
}

/** A boundary that no longer exists allows nothing. */
function boundaryPolicies(world: World, {boundary}: Grants): Policy[] | undefined {
  return boundary === undefined ? undefined : managed(world, boundary)
}

function managed(world: World, arn: string): Policy[] {
  const policy = findPolicy(world, arn)
  return policy ? [policy.defaultVersion.at(world.now()).policy] : []
}

function requestOf(principal: Principal, {action, resource, context = new Map()}: PermissionQuestion): AccessRequest {
  return {action, resource, context: new Map([...principalContext(principal), ...context])}
}

/** Whether the principal's own policies allow a request on a resource of its own account. */
export function authorize(world: World, principal: Principal, question: PermissionQuestion): Verdict {
  // None of these services has policies on its resources, so nobody gets at those of another account.
  const owner = question.resource.split(':')[4] ?? ''
  if (owner !== '' && owner !== '*' && owner !== principal.account) return denied('identity')
  return judge(layersOf(world, principal), requestOf(principal, question))
}

function judge({identity, boundary, session}: Layers, request: AccessRequest): Verdict {
  const answers = {
    identity: evaluate(identity, request),
    boundary: boundary ? evaluate(boundary, request) : 'allow',
    session: session ? evaluate(session, request) : 'allow',
  } as const
  if (Object.values(answers).includes('deny')) return denied('explicit-deny')
  for (const layer of ['boundary', 'session', 'identity'] as const) {
    if (answers[layer] !== 'allow') return denied(layer)
  }
  return allowed
}

/** Whether the principal may assume the role: sts:AssumeRole, or sts:TagSession for tags it wants to set. */
export function authorizeRole(
  world: World,
  principal: Principal,
  role: Role,
  question: Omit<PermissionQuestion, 'resource'>,
): Verdict {
  const request = requestOf(principal, {...question, resource: role.arn})
  const trust = evaluateTrust(role.trust.at(world.now()), request, callerOf(principal))
  const own = judge(layersOf(world, principal), request)
  if (trust === 'deny' || (!own.allowed && own.reason === 'explicit-deny')) return denied('explicit-deny')
  if (trust === 'silent') return denied('trust')
  if (own.allowed) return allowed
  if (trust === 'account' || role.account !== principal.account) return own
  // Named in the trust policy of its own account: its identity policies need not agree. What bounds a role still does;
  // a user or a session that is named itself is not held back by what its bounds leave out.
  return trust === 'caller' || own.reason === 'identity' ? allowed : own
}

/** Whether the role lets in somebody who is no AWS principal: a service, or a web identity. */
export function authorizeOutsider(world: World, caller: Caller, role: Role, action: string, context: Context): boolean {
  const answer = evaluateTrust(role.trust.at(world.now()), {action, resource: role.arn, context}, caller)
  return answer === 'caller' || answer === 'role'
}

export interface SimulationPolicies {
  readonly identity: readonly Policy[]
  readonly boundary: readonly Policy[] | undefined
}

/** The policies of a user or role itself, without any session. */
export function policiesOf(world: World, grants: Grants): SimulationPolicies {
  return {identity: identityPolicies(world, grants), boundary: boundaryPolicies(world, grants)}
}

const reasonTexts: Readonly<Record<DenialReason, (action: string) => string>> = {
  'explicit-deny': () => 'with an explicit deny in an identity-based policy',
  identity: (action) => `because no identity-based policy allows the ${action} action`,
  boundary: (action) => `because no permissions boundary allows the ${action} action`,
  session: (action) => `because no session policy allows the ${action} action`,
  trust: (action) => `because no resource-based policy allows the ${action} action`,
}

/**
 * @param shownAs how the service writes the resource, where that is not its ARN.
 * @throws Fault AccessDenied in AWS's words.
 */
export function requirePermission(
  world: World,
  principal: Principal,
  question: PermissionQuestion,
  shownAs = question.resource,
): void {
  const verdict = authorize(world, principal, question)
  if (verdict.allowed) return
  const why = reasonTexts[verdict.reason](question.action)
  throw accessDenied(`${denialText(principal, question.action, shownAs)} ${why}`)
}

/** The sentence that all services begin with, and that STS leaves at that. */
export function denialText(principal: Principal, action: string, resource: string): string {
  return `User: ${principal.arn} is not authorized to perform: ${action} on resource: ${resource}`
}

export const accessDenied = (message: string): Fault => new Fault('AccessDenied', 403, message)
