/** Whether AWS applies a policy already: changes of IAM spread, and boundaries of others count as well. */
import type {EvaluationResult, IAMClient} from '@aws-sdk/client-iam'
import type {IamIdentity} from './iam-identity.js'
import type {PolicyDocument, Statement} from './iam-policy.js'

/** What AWS would not allow yet, as `action on resource`. */
export interface Effect {
  readonly total: number
  /** Not allowed yet; may be with time. */
  readonly pending: readonly string[]
  /** Will not be allowed by waiting, each with the reason. */
  readonly blocked: readonly string[]
}

/** A request that asks about more is answered in pages; smaller ones are answered sooner. */
const resourcesAtOnce = 50

/** Asks AWS what the identity may do of what the documents allow. @throws what the SDK throws */
export async function simulate(
  iam: IAMClient,
  identity: IamIdentity,
  documents: readonly PolicyDocument[],
): Promise<Effect> {
  const results: EvaluationResult[] = []
  for (const statement of documents.flatMap(({Statement}) => Statement)) {
    for (const resources of chunksOf([statement.Resource ?? '*'].flat(), resourcesAtOnce)) {
      results.push(...(await ask(iam, identity, statement, resources)))
    }
  }
  const open = results.filter(({EvalDecision}) => EvalDecision !== 'allowed')
  const blocked = open.filter((result) => reasonOf(result) !== undefined)
  return {
    total: results.length,
    pending: open.filter((result) => reasonOf(result) === undefined).map(permissionOf),
    blocked: blocked.map((result) => `${permissionOf(result)}: ${reasonOf(result) ?? ''}`),
  }
}

async function ask(
  iam: IAMClient,
  {arn}: IamIdentity,
  {Action}: Statement,
  ResourceArns: string[],
): Promise<EvaluationResult[]> {
  const {paginateSimulatePrincipalPolicy} = await import('@aws-sdk/client-iam')
  const request = {PolicySourceArn: arn, ActionNames: [Action].flat(), ResourceArns}
  const results: EvaluationResult[] = []
  for await (const {EvaluationResults = []} of paginateSimulatePrincipalPolicy({client: iam}, request)) {
    results.push(...EvaluationResults)
  }
  return results
}

const permissionOf = ({EvalActionName = '', EvalResourceName = '*'}: EvaluationResult): string =>
  `${EvalActionName} on ${EvalResourceName}`

/** Why waiting does not help; undefined when it may. */
function reasonOf(result: EvaluationResult): string | undefined {
  const {EvalDecision, PermissionsBoundaryDecisionDetail, OrganizationsDecisionDetail} = result
  if (EvalDecision === 'explicitDeny') return 'another policy denies it'
  if (PermissionsBoundaryDecisionDetail?.AllowedByPermissionsBoundary === false) {
    return 'the permissions boundary does not allow it'
  }
  if (OrganizationsDecisionDetail?.AllowedByOrganizations === false) {
    return 'a policy of the organization does not allow it'
  }
  return undefined
}

function* chunksOf(items: readonly string[], size: number): Generator<string[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size)
}
