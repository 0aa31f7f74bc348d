/** Whether, and why not, IAM lets an identity do something: by simulation, and by what is written down. */
import type {EvaluationResult, IAMClient} from '@aws-sdk/client-iam'
import {describeAwsError, isDenied} from './failure.js'
import {answerOf, readWrittenPolicies, type PolicyOwner, type WrittenPolicies} from './written-policies.js'

export interface PermissionQuestion {
  readonly owner: PolicyOwner
  readonly action: string
  /** ARN. */
  readonly resource: string
}

export type Permission =
  /** `changed`: a policy of theirs was changed so recently that it may not be in effect everywhere. */
  | {readonly kind: 'allowed'; readonly changed: RecentChange | undefined}
  /** Written down, and not in effect. */
  | {readonly kind: 'changing'; readonly changed: RecentChange | undefined}
  /** `others`: what they may do it on instead; undefined when their policies cannot be read. */
  | {readonly kind: 'missing'; readonly others: readonly string[] | undefined}
  | {readonly kind: 'boundary'; readonly policy: string | undefined}
  | {readonly kind: 'denied'; readonly policy: string | undefined}
  | {readonly kind: 'organization'}
  /** `reason`: what the agent would have to be allowed to find out. */
  | {readonly kind: 'unknown'; readonly reason: string}

export interface RecentChange {
  readonly policy: string
  /** Milliseconds since 1970. */
  readonly at: number
}

/** AWS names no bound; what is older than this is in effect. */
const recentMilliseconds = 5 * 60_000

/** @param now AWS's time, milliseconds since 1970 */
export async function examinePermission(
  iam: IAMClient,
  question: PermissionQuestion,
  now: number,
  signal: AbortSignal,
): Promise<Permission> {
  const [simulated, written] = await Promise.all([
    attempt(simulate(iam, question, signal)),
    attempt(readWrittenPolicies(iam, question.owner, signal)),
  ])
  if ('value' in simulated) return judge(simulated.value, written.value, question, now)
  if ('value' in written) return judgeWritten(written.value, question, now)
  return {kind: 'unknown', reason: simulated.reason}
}

/** Whether a simulation allows it; undefined when the agent may not simulate. */
export async function isSimulatedAllowed(
  iam: IAMClient,
  question: PermissionQuestion,
  signal: AbortSignal,
): Promise<boolean | undefined> {
  const simulated = await attempt(simulate(iam, question, signal))
  return 'value' in simulated ? simulated.value.EvalDecision === 'allowed' : undefined
}

async function simulate(
  iam: IAMClient,
  {owner, action, resource}: PermissionQuestion,
  signal: AbortSignal,
): Promise<EvaluationResult> {
  const {SimulatePrincipalPolicyCommand} = await import('@aws-sdk/client-iam')
  const {EvaluationResults: [result] = []} = await iam.send(
    new SimulatePrincipalPolicyCommand({
      PolicySourceArn: owner.arn,
      ActionNames: [action],
      ResourceArns: [resource],
    }),
    {abortSignal: signal},
  )
  if (!result) throw new Error('IAM simulates without a result')
  return result
}

function judge(
  {EvalDecision, MatchedStatements, OrganizationsDecisionDetail, PermissionsBoundaryDecisionDetail}: EvaluationResult,
  written: WrittenPolicies | undefined,
  {action, resource}: PermissionQuestion,
  now: number,
): Permission {
  const changed = written && newestChange(written, now)
  if (EvalDecision === 'allowed') return {kind: 'allowed', changed}
  if (OrganizationsDecisionDetail?.AllowedByOrganizations === false) return {kind: 'organization'}
  if (PermissionsBoundaryDecisionDetail?.AllowedByPermissionsBoundary === false) {
    return {kind: 'boundary', policy: written?.boundary?.name}
  }
  if (EvalDecision === 'explicitDeny') return {kind: 'denied', policy: MatchedStatements?.at(0)?.SourcePolicyId}
  if (!written) return {kind: 'missing', others: undefined}
  const {answer, isConditional, resources} = answerOf(written.policies, action, resource)
  if (answer === 'allow' && !isConditional) return {kind: 'changing', changed}
  return {kind: 'missing', others: resources}
}

function judgeWritten(written: WrittenPolicies, {action, resource}: PermissionQuestion, now: number): Permission {
  const {answer, resources} = answerOf(written.policies, action, resource)
  if (answer === 'deny') return {kind: 'denied', policy: undefined}
  const bound = written.boundary && answerOf([written.boundary], action, resource).answer
  if (bound !== undefined && bound !== 'allow') return {kind: 'boundary', policy: written.boundary?.name}
  return answer === 'allow'
    ? {kind: 'allowed', changed: newestChange(written, now)}
    : {kind: 'missing', others: resources}
}

function newestChange({policies, boundary}: WrittenPolicies, now: number): RecentChange | undefined {
  return [...policies, ...(boundary ? [boundary] : [])]
    .flatMap(({name, changedAt}) => (changedAt === undefined ? [] : [{policy: name, at: changedAt}]))
    .filter(({at}) => now - at < recentMilliseconds)
    .toSorted((one, other) => other.at - one.at)
    .at(0)
}

type Attempted<T> = {readonly value: T} | {readonly value?: never; readonly reason: string}

async function attempt<T>(work: Promise<T>): Promise<Attempted<T>> {
  try {
    return {value: await work}
  } catch (error) {
    return {reason: isDenied(error) ? 'the agent is not allowed iam:SimulatePrincipalPolicy' : describeAwsError(error)}
  }
}
