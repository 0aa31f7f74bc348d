/** The inline policy that agents keep by themselves on the identity that they reach databases with. */
import type {IAMClient} from '@aws-sdk/client-iam'
import {setTimeout as sleep} from 'node:timers/promises'
import {PosternError} from '../core/errors.js'
import {awsFailure, isMissing} from './failure.js'
import {isSamePolicy} from './iam-difference.js'
import type {IamIdentity} from './iam-identity.js'
import {oneOrMore, signInStatements, type DatabaseGrant, type PolicyDocument, type Statement} from './iam-policy.js'
import {charactersOf, policyLimits} from './iam-size.js'
import {parseDocument} from './iam-standing.js'

export interface InlinePolicyChange {
  readonly policyName: string
  /** What has to be in it. */
  readonly add: readonly DatabaseGrant[]
  /** What nobody reaches any more. */
  readonly remove: readonly DatabaseGrant[]
}

/** Several agents may write at the same moment, and AWS keeps what came last: each looks again whether its own is there. */
const attempts = 5
const settleMilliseconds = 500

/**
 * Puts what is missing into the policy and takes out what is to go; one that says it all is left as it is, one that says nothing
 * is deleted. What other agents have put there stays.
 * @returns whether anything was written
 * @throws PosternError with what AWS says, FAILED when it would be longer than AWS allows
 */
export async function keepInlinePolicy(
  iam: IAMClient,
  identity: IamIdentity,
  change: InlinePolicyChange,
): Promise<boolean> {
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const before = await readInline(iam, identity, change.policyName)
    const after = merge(before, change)
    if (isSamePolicy(before, after)) return attempt > 0
    await writeInline(iam, identity, change.policyName, after)
    await sleep(settleMilliseconds * (1 + Math.random()))
  }
  throw new PosternError('CONFLICT', `Others keep changing the policy "${change.policyName}" of ${identity.arn}.`)
}

const empty: PolicyDocument = {Version: '2012-10-17', Statement: []}

async function readInline(iam: IAMClient, {kind, name, arn}: IamIdentity, PolicyName: string): Promise<PolicyDocument> {
  const {GetRolePolicyCommand, GetUserPolicyCommand} = await import('@aws-sdk/client-iam')
  try {
    const {PolicyDocument: text} = await (kind === 'user'
      ? iam.send(new GetUserPolicyCommand({UserName: name, PolicyName}))
      : iam.send(new GetRolePolicyCommand({RoleName: name, PolicyName})))
    return parseDocument(text)
  } catch (error) {
    if (isMissing(error)) return empty
    throw awsFailure(error, `The policy "${PolicyName}" of ${arn} cannot be read`)
  }
}

async function writeInline(
  iam: IAMClient,
  {kind, name, arn}: IamIdentity,
  PolicyName: string,
  document: PolicyDocument,
): Promise<void> {
  const sdk = await import('@aws-sdk/client-iam')
  const owner = kind === 'user' ? 'user' : 'role'
  checkSize(document, owner, arn)
  const PolicyDocument = JSON.stringify(document)
  const isEmpty = document.Statement.length === 0
  try {
    if (owner === 'user') {
      const target = {UserName: name, PolicyName}
      await (isEmpty
        ? iam.send(new sdk.DeleteUserPolicyCommand(target))
        : iam.send(new sdk.PutUserPolicyCommand({...target, PolicyDocument})))
    } else {
      const target = {RoleName: name, PolicyName}
      await (isEmpty
        ? iam.send(new sdk.DeleteRolePolicyCommand(target))
        : iam.send(new sdk.PutRolePolicyCommand({...target, PolicyDocument})))
    }
  } catch (error) {
    const {name: code, message = ''} = error as Partial<Error>
    if (code === 'LimitExceededException') throw tooLong(message, error)
    throw awsFailure(error, `The policy "${PolicyName}" of ${arn} cannot be written`)
  }
}

const waysOut = [
  'Reach some of the databases through IAM roles of their own: set assume_role_arn on databases or matchers.',
  'Or manage the permissions yourself: set db_service.iam_policy to manual, and attach a policy whose Resource is "*", or what `postern db configure bootstrap --scope databases` makes.',
]

/** Other inline policies count as well; AWS knows those. */
function checkSize(document: PolicyDocument, owner: 'user' | 'role', arn: string): void {
  const limit = policyLimits[owner]
  if (charactersOf(document) <= limit) return
  throw tooLong(`Maximum policy size of ${limit} bytes exceeded for ${owner} ${arn.split('/').at(-1) ?? ''}`)
}

/** In AWS's own words, which people search for. */
function tooLong(message: string, cause?: unknown): PosternError {
  return new PosternError('FAILED', `The databases do not fit into the inline policy: LimitExceeded: ${message}.`, {
    cause,
    hint: waysOut,
  })
}

function merge(before: PolicyDocument, {add, remove}: InlinePolicyChange): PolicyDocument {
  const wanted = signInStatements(add)
  const unwanted = new Map(signInStatements(remove).map((one) => [actionOf(one), resourcesOf(one)]))
  const kept = before.Statement.map((statement) => {
    const gone = unwanted.get(actionOf(statement)) ?? []
    return {...statement, Resource: resourcesOf(statement).filter((resource) => !gone.includes(resource))}
  })
  const merged: Statement[] = kept.map((statement) => {
    const more = wanted.find((one) => actionOf(one) === actionOf(statement))
    return {...statement, Resource: [...new Set([...statement.Resource, ...(more ? resourcesOf(more) : [])])]}
  })
  const known = new Set(kept.map(actionOf))
  merged.push(...wanted.filter((one) => !known.has(actionOf(one))))
  const Statement = merged
    .map((statement) => ({...statement, Resource: oneOrMore(resourcesOf(statement))}))
    .filter(({Resource}) => Resource.length > 0)
  return {Version: before.Version, Statement}
}

const actionOf = ({Action}: Statement): string => [Action].flat().toSorted().join()

const resourcesOf = ({Resource = []}: Statement): readonly string[] => [Resource].flat()
