/** What AWS has of a plan already: the policies under its names, and what its target has attached. */
import type {IAMClient} from '@aws-sdk/client-iam'
import {PosternError} from '../core/errors.js'
import {awsFailure, isDenied} from './failure.js'
import {findOwnPolicy} from './iam-changes.js'
import type {Standing} from './iam-difference.js'
import type {IamIdentity} from './iam-identity.js'
import type {TargetPlan} from './iam-plan.js'
import type {PolicyDocument} from './iam-policy.js'

/** As long as nobody has had it raised (IAM User Guide, "IAM and AWS STS quotas"). */
const usualAttachments = 10

/** @throws PosternError with what AWS says, or ALREADY_EXISTS for a policy that is not ours */
export async function readStanding(iam: IAMClient, {identity, actions}: TargetPlan): Promise<Standing> {
  const wanted = actions.flatMap((action) => (action.kind === 'attach-policy' ? action.policyArns : []))
  const attached = await listAttached(iam, identity)
  const further = (attached ?? []).filter((arn) => !wanted.includes(arn) && isFurtherPart(arn, wanted[0]))
  const policies = new Map<string, PolicyDocument | undefined>()
  for (const arn of wanted) {
    const own = await findOwnPolicy(iam, arn)
    if (own) policies.set(arn, await readDocument(iam, arn, own.version))
  }
  for (const arn of further) {
    // One that is not ours only looks like a part.
    if (await findOwnPolicy(iam, arn).catch(() => undefined)) policies.set(arn, undefined)
  }
  const count = new Set([...(attached ?? []), ...wanted]).size
  const attachable = count > usualAttachments ? await readQuota(iam, identity) : usualAttachments
  return {policies, attached, attachable}
}

/** Whether the policy could be the second or a later part of the one that begins with the first. */
function isFurtherPart(arn: string, first: string | undefined): boolean {
  return first !== undefined && arn.startsWith(`${first}-`) && /^\d+$/.test(arn.slice(first.length + 1))
}

async function listAttached(iam: IAMClient, {kind, name, arn}: IamIdentity): Promise<string[] | undefined> {
  const {paginateListAttachedRolePolicies, paginateListAttachedUserPolicies} = await import('@aws-sdk/client-iam')
  const pages =
    kind === 'user'
      ? paginateListAttachedUserPolicies({client: iam}, {UserName: name})
      : paginateListAttachedRolePolicies({client: iam}, {RoleName: name})
  const found: string[] = []
  try {
    for await (const {AttachedPolicies = []} of pages) {
      found.push(...AttachedPolicies.flatMap(({PolicyArn}) => (PolicyArn === undefined ? [] : [PolicyArn])))
    }
    return found
  } catch (error) {
    if (isDenied(error)) return undefined
    throw awsFailure(error, `What ${arn} has attached cannot be read`)
  }
}

async function readDocument(iam: IAMClient, PolicyArn: string, VersionId: string): Promise<PolicyDocument | undefined> {
  const {GetPolicyVersionCommand} = await import('@aws-sdk/client-iam')
  try {
    const {PolicyVersion} = await iam.send(new GetPolicyVersionCommand({PolicyArn, VersionId}))
    return parseDocument(PolicyVersion?.Document)
  } catch (error) {
    if (isDenied(error)) return undefined
    throw awsFailure(error, `The policy ${PolicyArn} cannot be read`)
  }
}

/** Documents in answers are percent-encoded (IAM API Reference, "PolicyVersion"). */
export function parseDocument(text = ''): PolicyDocument {
  const parsed = JSON.parse(decodeURIComponent(text)) as PolicyDocument
  if (typeof parsed.Statement === 'object') return parsed
  throw new PosternError('FAILED', 'AWS has a policy that has no statements.')
}

async function readQuota(iam: IAMClient, {kind}: IamIdentity): Promise<number> {
  const {GetAccountSummaryCommand} = await import('@aws-sdk/client-iam')
  try {
    const {SummaryMap = {}} = await iam.send(new GetAccountSummaryCommand({}))
    return (
      SummaryMap[kind === 'user' ? 'AttachedPoliciesPerUserQuota' : 'AttachedPoliciesPerRoleQuota'] ?? usualAttachments
    )
  } catch {
    return usualAttachments
  }
}
