import type {IAMClient, PolicyVersion} from '@aws-sdk/client-iam'
import {PosternError} from '../core/errors.js'
import {using, type AwsClients, type Caller} from './clients.js'
import {awsFailure, isDenied, isMissing} from './failure.js'
import {parseIdentity, type IamIdentity} from './iam-identity.js'
import type {AttachPolicyAction, CreatePolicyAction, IamAction} from './iam-plan.js'

/** Policies without it are somebody else's. */
const ownTag = 'postern'
const description = 'Lets database agents of Postern reach databases in AWS'
/** AWS keeps no more (IAM User Guide, "IAM and AWS STS quotas"). */
const maximumVersions = 5

/** IAM in the account of one caller. */
export class IamAccount {
  readonly #clients: AwsClients
  readonly #caller: Caller

  constructor(clients: AwsClients, caller: Caller) {
    this.#clients = clients
    this.#caller = caller
  }

  /** Who the credentials belong to. @throws PosternError when AWS does not say */
  async caller(): Promise<IamIdentity> {
    const {GetCallerIdentityCommand} = await import('@aws-sdk/client-sts')
    try {
      const {Arn} = await using(await this.#clients.sts(this.#caller), (sts) =>
        sts.send(new GetCallerIdentityCommand({})),
      )
      return parseIdentity(Arn ?? '')
    } catch (error) {
      throw awsFailure(error, 'Whose AWS credentials these are cannot be found out')
    }
  }

  /**
   * What a policy can be attached to: the user, or the role behind a session, with its path.
   * @throws PosternError INVALID or FAILED
   */
  async attachable(identity: IamIdentity): Promise<IamIdentity> {
    if (identity.kind === 'user' || identity.kind === 'role') return identity
    const hint = 'Name the role or the user of the agent, with --role, --attach-to-role, --user or --attach-to-user.'
    if (identity.kind === 'other') {
      throw new PosternError('INVALID', `Policies cannot be attached to ${identity.arn}.`, {hint})
    }
    const {GetRoleCommand} = await import('@aws-sdk/client-iam')
    try {
      const {Role} = await this.#iam((iam) => iam.send(new GetRoleCommand({RoleName: identity.name})))
      return parseIdentity(Role?.Arn ?? '')
    } catch (error) {
      const grant = isDenied(error) ? ['Or grant the caller iam:GetRole.'] : []
      throw awsFailure(error, `The role "${identity.name}" behind the AWS credentials cannot be read`, [hint, ...grant])
    }
  }

  /** @throws PosternError with what AWS says, or ALREADY_EXISTS for a policy that is not ours */
  async carryOut(action: IamAction): Promise<void> {
    await this.#iam((iam) => (action.kind === 'create-policy' ? putPolicy(iam, action) : attachPolicy(iam, action)))
  }

  async #iam<Result>(use: (iam: IAMClient) => Promise<Result>): Promise<Result> {
    return using(await this.#clients.iam(this.#caller), use)
  }
}

/** Creates the policy, or makes the document the default version of ours. */
async function putPolicy(
  iam: IAMClient,
  {policyArn: PolicyArn, policyName, document}: CreatePolicyAction,
): Promise<void> {
  const {CreatePolicyCommand, CreatePolicyVersionCommand, GetPolicyCommand} = await import('@aws-sdk/client-iam')
  const PolicyDocument = JSON.stringify(document)
  try {
    const {Policy} = await iam.send(new GetPolicyCommand({PolicyArn}))
    if (!(Policy?.Tags ?? []).some(({Key}) => Key === ownTag)) throw notOurs(PolicyArn)
  } catch (error) {
    if (!isMissing(error)) throw awsFailure(error, `The policy ${PolicyArn} cannot be read`)
    const Tags = [{Key: ownTag, Value: ''}]
    const create = new CreatePolicyCommand({PolicyName: policyName, PolicyDocument, Description: description, Tags})
    await iam.send(create).catch((cause: unknown) => {
      throw awsFailure(cause, `The policy "${policyName}" cannot be created`)
    })
    return
  }
  try {
    await makeRoom(iam, PolicyArn)
    await iam.send(new CreatePolicyVersionCommand({PolicyArn, PolicyDocument, SetAsDefault: true}))
  } catch (error) {
    throw awsFailure(error, `The policy ${PolicyArn} cannot be given a new version`)
  }
}

function notOurs(arn: string): PosternError {
  return new PosternError(
    'ALREADY_EXISTS',
    `The policy ${arn} exists and has no tag "${ownTag}": it is not one of Postern's. It was left as it is.`,
    {hint: 'Choose another name for the policy.'},
  )
}

/** Deletes the oldest version that is not in use when there is no room for one more. */
async function makeRoom(iam: IAMClient, PolicyArn: string): Promise<void> {
  const {DeletePolicyVersionCommand, paginateListPolicyVersions} = await import('@aws-sdk/client-iam')
  const versions: PolicyVersion[] = []
  for await (const {Versions = []} of paginateListPolicyVersions({client: iam}, {PolicyArn})) versions.push(...Versions)
  if (versions.length < maximumVersions) return
  const [oldest] = versions
    .filter(({IsDefaultVersion}) => IsDefaultVersion !== true)
    .sort((one, other) => numberOf(one) - numberOf(other))
  if (oldest) await iam.send(new DeletePolicyVersionCommand({PolicyArn, VersionId: oldest.VersionId}))
}

/** Versions are `v1`, `v2` and so on, and no number comes twice. */
const numberOf = ({VersionId = 'v0'}: PolicyVersion): number => Number(VersionId.slice(1))

async function attachPolicy(iam: IAMClient, {policyArn: PolicyArn, target}: AttachPolicyAction): Promise<void> {
  const {AttachRolePolicyCommand, AttachUserPolicyCommand} = await import('@aws-sdk/client-iam')
  try {
    await (target.kind === 'user'
      ? iam.send(new AttachUserPolicyCommand({PolicyArn, UserName: target.name}))
      : iam.send(new AttachRolePolicyCommand({PolicyArn, RoleName: target.name})))
  } catch (error) {
    throw awsFailure(error, `The policy ${PolicyArn} cannot be attached to ${target.arn}`)
  }
}
