/** The steps of a plan, taken in AWS; each says how it is taken back. */
import type {IAMClient, PolicyVersion} from '@aws-sdk/client-iam'
import {PosternError} from '../core/errors.js'
import {awsFailure, isMissing} from './failure.js'
import type {IamIdentity} from './iam-identity.js'
import type {AttachPolicyAction, IamAction, PutPolicyAction, RemovePolicyAction} from './iam-plan.js'

/** Takes a step back, as far as it was taken. */
export type Undo = (iam: IAMClient) => Promise<void>

/** Policies without it are somebody else's. */
const ownTag = 'postern'
const description = 'Lets database agents of Postern reach databases in AWS'
/** AWS keeps no more (IAM User Guide, "IAM and AWS STS quotas"). */
const maximumVersions = 5

/**
 * @param undos gets, as each thing is done, how to undo it
 * @throws PosternError with what AWS says
 */
export async function takeStep(iam: IAMClient, action: IamAction, undos: Undo[]): Promise<void> {
  switch (action.kind) {
    case 'create-policy':
      return createPolicy(iam, action, undos)
    case 'update-policy':
      return updatePolicy(iam, action, undos)
    case 'attach-policy':
      return attachPolicies(iam, action, undos)
    case 'remove-policy':
      return removePolicy(iam, action, undos)
  }
}

/**
 * Whether there is a policy of ours, and its version that counts.
 * @throws PosternError with what AWS says, or ALREADY_EXISTS for a policy that is not ours
 */
export async function findOwnPolicy(
  iam: IAMClient,
  PolicyArn: string,
): Promise<{readonly version: string; readonly attachments: number} | undefined> {
  const {GetPolicyCommand} = await import('@aws-sdk/client-iam')
  try {
    const {Policy} = await iam.send(new GetPolicyCommand({PolicyArn}))
    if (!(Policy?.Tags ?? []).some(({Key}) => Key === ownTag)) throw notOurs(PolicyArn)
    return {version: Policy?.DefaultVersionId ?? '', attachments: Policy?.AttachmentCount ?? 0}
  } catch (error) {
    if (isMissing(error)) return undefined
    throw awsFailure(error, `The policy ${PolicyArn} cannot be read`)
  }
}

function notOurs(arn: string): PosternError {
  return new PosternError(
    'ALREADY_EXISTS',
    `The policy ${arn} exists and has no tag "${ownTag}": it is not one of Postern's. It was left as it is.`,
    {hint: 'Choose another name for the policy.'},
  )
}

async function createPolicy(
  iam: IAMClient,
  {policyName, policyArn, document}: PutPolicyAction,
  undos: Undo[],
): Promise<void> {
  const {CreatePolicyCommand} = await import('@aws-sdk/client-iam')
  const PolicyDocument = JSON.stringify(document)
  const Tags = [{Key: ownTag, Value: ''}]
  const create = new CreatePolicyCommand({PolicyName: policyName, PolicyDocument, Description: description, Tags})
  await iam.send(create).catch((cause: unknown) => {
    throw awsFailure(cause, `The policy "${policyName}" cannot be created`)
  })
  undos.push((client) => deletePolicy(client, policyArn))
}

/** Makes the document the version that counts. */
async function updatePolicy(
  iam: IAMClient,
  {policyArn: PolicyArn, document}: PutPolicyAction,
  undos: Undo[],
): Promise<void> {
  const {CreatePolicyVersionCommand} = await import('@aws-sdk/client-iam')
  try {
    const before = await findOwnPolicy(iam, PolicyArn)
    await makeRoom(iam, PolicyArn)
    const PolicyDocument = JSON.stringify(document)
    const {PolicyVersion: made} = await iam.send(
      new CreatePolicyVersionCommand({PolicyArn, PolicyDocument, SetAsDefault: true}),
    )
    undos.push((client) => restoreVersion(client, PolicyArn, before?.version, made?.VersionId))
  } catch (error) {
    throw awsFailure(error, `The policy ${PolicyArn} cannot be given a new version`)
  }
}

async function restoreVersion(
  iam: IAMClient,
  PolicyArn: string,
  VersionId: string | undefined,
  made: string | undefined,
): Promise<void> {
  const {DeletePolicyVersionCommand, SetDefaultPolicyVersionCommand} = await import('@aws-sdk/client-iam')
  await iam.send(new SetDefaultPolicyVersionCommand({PolicyArn, VersionId}))
  await iam.send(new DeletePolicyVersionCommand({PolicyArn, VersionId: made}))
}

/** Deletes the oldest version that is not in use when there is no room for one more. */
async function makeRoom(iam: IAMClient, PolicyArn: string): Promise<void> {
  const {DeletePolicyVersionCommand} = await import('@aws-sdk/client-iam')
  const versions = await versionsOf(iam, PolicyArn)
  if (versions.length < maximumVersions) return
  const [oldest] = versions
    .filter(({IsDefaultVersion}) => IsDefaultVersion !== true)
    .sort((one, other) => numberOf(one) - numberOf(other))
  if (oldest) await iam.send(new DeletePolicyVersionCommand({PolicyArn, VersionId: oldest.VersionId}))
}

async function versionsOf(iam: IAMClient, PolicyArn: string): Promise<PolicyVersion[]> {
  const {paginateListPolicyVersions} = await import('@aws-sdk/client-iam')
  const versions: PolicyVersion[] = []
  for await (const {Versions = []} of paginateListPolicyVersions({client: iam}, {PolicyArn})) versions.push(...Versions)
  return versions
}

/** Versions are `v1`, `v2` and so on, and no number comes twice. */
const numberOf = ({VersionId = 'v0'}: PolicyVersion): number => Number(VersionId.slice(1))

async function attachPolicies(iam: IAMClient, {policyArns, target}: AttachPolicyAction, undos: Undo[]): Promise<void> {
  for (const arn of policyArns) {
    await attach(iam, arn, target).catch((error: unknown) => {
      throw awsFailure(error, `The policy ${arn} cannot be attached to ${target.arn}`)
    })
    undos.push((client) => detach(client, arn, target))
  }
}

async function removePolicy(iam: IAMClient, {policyArn, target}: RemovePolicyAction, undos: Undo[]): Promise<void> {
  try {
    await detach(iam, policyArn, target)
    undos.push((client) => attach(client, policyArn, target))
    const left = await findOwnPolicy(iam, policyArn)
    if (left?.attachments === 0) await deletePolicy(iam, policyArn)
  } catch (error) {
    throw awsFailure(error, `The policy ${policyArn} cannot be removed`)
  }
}

/** All its versions with it: AWS deletes a policy only after them. */
async function deletePolicy(iam: IAMClient, PolicyArn: string): Promise<void> {
  const {DeletePolicyCommand, DeletePolicyVersionCommand} = await import('@aws-sdk/client-iam')
  for (const {VersionId, IsDefaultVersion} of await versionsOf(iam, PolicyArn)) {
    if (IsDefaultVersion !== true) await iam.send(new DeletePolicyVersionCommand({PolicyArn, VersionId}))
  }
  await iam.send(new DeletePolicyCommand({PolicyArn}))
}

async function attach(iam: IAMClient, PolicyArn: string, {kind, name}: IamIdentity): Promise<void> {
  const {AttachRolePolicyCommand, AttachUserPolicyCommand} = await import('@aws-sdk/client-iam')
  await (kind === 'user'
    ? iam.send(new AttachUserPolicyCommand({PolicyArn, UserName: name}))
    : iam.send(new AttachRolePolicyCommand({PolicyArn, RoleName: name})))
}

async function detach(iam: IAMClient, PolicyArn: string, {kind, name}: IamIdentity): Promise<void> {
  const {DetachRolePolicyCommand, DetachUserPolicyCommand} = await import('@aws-sdk/client-iam')
  await (kind === 'user'
    ? iam.send(new DetachUserPolicyCommand({PolicyArn, UserName: name}))
    : iam.send(new DetachRolePolicyCommand({PolicyArn, RoleName: name})))
}
