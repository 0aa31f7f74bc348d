/** What a policy says to a request (IAM User Guide, "Policy evaluation logic"). */
import {meetsCondition, substitute, type Context} from './conditions.js'
import {matchesArn, matchesGlob} from '../core/glob.js'
import type {Matcher, Policy, Statement} from './policy-document.js'

export interface AccessRequest {
  /** `sts:AssumeRole` */
  readonly action: string
  /** ARN. */
  readonly resource: string
  readonly context: Context
}

/** What one policy, or several together, say: an explicit deny is stronger than any allow. */
export type PolicyAnswer = 'allow' | 'deny' | 'silent'

/** What permissions policies say together. */
export function evaluate(policies: readonly Policy[], request: AccessRequest): PolicyAnswer {
  const applying = policies.flatMap(({statements}) => statements).filter((statement) => applies(statement, request))
  if (applying.some(({effect}) => effect === 'Deny')) return 'deny'
  return applying.length > 0 ? 'allow' : 'silent'
}

/** Who knocks at a role. */
export interface Caller {
  /** The kind of Principal that can mean it. */
  readonly kind: 'AWS' | 'Service' | 'Federated'
  /** ARN, or the name of a service. */
  readonly name: string
  /** Of a role's session. */
  readonly roleArn?: string
  readonly account?: string
}

/**
 * What a trust policy says to a caller: `account` allows the caller's account, which may hand it on by policies of its
 * own; `role` allows the role that the caller is a session of, or everybody; `caller` means the caller itself.
 */
export type TrustAnswer = 'deny' | 'silent' | 'account' | 'role' | 'caller'

/** The strongest of what the statements say. */
export function evaluateTrust(policy: Policy, request: AccessRequest, caller: Caller): TrustAnswer {
  const meant = policy.statements
    .filter((statement) => applies(statement, request))
    .map((statement) => ({effect: statement.effect, grant: matchPrincipal(statement, caller)}))
    .filter(({grant}) => grant !== 'silent')
  if (meant.some(({effect}) => effect === 'Deny')) return 'deny'
  const strongest = (['caller', 'role', 'account'] as const).find((grant) => meant.some((one) => one.grant === grant))
  return strongest ?? 'silent'
}

function applies(statement: Statement, request: AccessRequest): boolean {
  const {action, resource, context} = request
  return (
    matches(statement.actions, (pattern) => matchesGlob(pattern.toLowerCase(), action.toLowerCase())) &&
    matches(statement.resources, (pattern) => pattern === '*' || matchesArn(substitute(pattern, context), resource)) &&
    statement.conditions.every((condition) => meetsCondition(condition, context))
  )
}

function matches({patterns, negated}: Matcher, test: (pattern: string) => boolean): boolean {
  return patterns.some(test) !== negated
}

function matchPrincipal({principals}: Statement, {kind, name, roleArn, account}: Caller): TrustAnswer {
  const listed = principals.get(kind) ?? []
  if (listed.includes(name)) return 'caller'
  if (listed.includes('*') || (roleArn !== undefined && listed.includes(roleArn))) return 'role'
  const isAccount =
    account !== undefined && (listed.includes(account) || listed.includes(`arn:aws:iam::${account}:root`))
  return isAccount ? 'account' : 'silent'
}
