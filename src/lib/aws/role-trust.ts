/** Why a role cannot be assumed: the caller's policies, or the role's own. */
import type {IAMClient} from '@aws-sdk/client-iam'
import {failed, skipped, type Finding} from '../resources/finding.js'
import {isDenied, isMissing} from './failure.js'
import type {IamIdentity} from './iam-identity.js'
import {testOf, type RoleHop} from './identities.js'
import type {Permission, PermissionQuestion} from './permission.js'
import {permissionFinding} from './permission-text.js'

/** What a role says about who may assume it. */
export type Trust =
  | {readonly kind: 'named' | 'account' | 'not-named'; readonly externalIds: readonly string[]}
  | {readonly kind: 'no-role'}
  | {readonly kind: 'unknown'}

/** @throws what the SDK throws, except for a refusal */
export async function readTrust(
  iam: IAMClient,
  {arn}: RoleHop,
  caller: IamIdentity,
  signal: AbortSignal,
): Promise<Trust> {
  // IAM tells nobody about roles of another account.
  if (arn.split(':')[4] !== caller.account) return {kind: 'unknown'}
  const {GetRoleCommand} = await import('@aws-sdk/client-iam')
  try {
    const command = new GetRoleCommand({RoleName: arn.split('/').at(-1)})
    const {Role} = await iam.send(command, {abortSignal: signal})
    return judgeTrust(JSON.parse(decodeURIComponent(Role?.AssumeRolePolicyDocument ?? '{}')), caller)
  } catch (error) {
    if (isMissing(error)) return {kind: 'no-role'}
    if (isDenied(error)) return {kind: 'unknown'}
    throw error
  }
}

function judgeTrust(document: unknown, {account, arn, partition, name, kind}: IamIdentity): Trust {
  const statements = [(document as {readonly Statement?: unknown}).Statement ?? []].flat() as readonly {
    readonly Effect?: string
    readonly Principal?: unknown
    readonly Condition?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  }[]
  const role = `arn:${partition}:iam::${account}:role/${name}`
  const self = kind === 'user' ? [arn] : [arn, role, '*']
  const root = [account, `arn:${partition}:iam::${account}:root`]
  const naming = statements.filter(({Effect, Principal}) => {
    const names = principalsOf(Principal)
    return Effect === 'Allow' && [...self, ...root].some((known) => names.includes(known))
  })
  if (naming.length === 0) return {kind: 'not-named', externalIds: []}
  const isNamed = naming.some(({Principal}) => self.some((known) => principalsOf(Principal).includes(known)))
  const externalIds = naming.flatMap(({Condition = {}}) =>
    Object.values(Condition).flatMap((tests) =>
      Object.entries(tests)
        .filter(([key]) => key.toLowerCase() === 'sts:externalid')
        .flatMap(([, values]) => [values].flat().map(String)),
    ),
  )
  return {kind: isNamed ? 'named' : 'account', externalIds}
}

function principalsOf(principal: unknown): readonly unknown[] {
  return principal === '*' ? ['*'] : [(principal as {readonly AWS?: unknown} | undefined)?.AWS ?? []].flat()
}

/** The one thing to do about a role that refused a caller. */
export function roleFinding(
  hop: RoleHop,
  caller: IamIdentity,
  permission: Permission,
  trust: Trust,
  question: PermissionQuestion,
): Finding {
  const {arn: who} = question.owner
  const {arn, externalId} = hop
  if (trust.kind === 'no-role') {
    return failed('credentials', 'role-trust', `There is no IAM role ${arn}.`, 'Correct assume_role_arn, or create it.')
  }
  const bounds = ['boundary', 'denied', 'organization', 'changing']
  if (bounds.includes(permission.kind)) return permissionFinding('credentials', permission, question)
  const trustIt = `Name ${who} as Principal in the trust policy of ${arn}: \`postern db configure aws print-trust\` prints one. ${testOf(hop)}`
  if (trust.kind === 'not-named') {
    return failed(
      'credentials',
      'role-trust',
      `The trust policy of ${arn} does not name ${who} or its account.`,
      trustIt,
    )
  }
  if (trust.kind !== 'unknown' && trust.externalIds.length > 0 && !trust.externalIds.includes(externalId ?? '')) {
    const given = externalId === undefined ? 'none' : 'another one'
    return failed(
      'credentials',
      'external-id',
      `The trust policy of ${arn} asks for an external id, and the database has ${given}.`,
      'Set aws.external_id of the database to the one in the trust policy (sts:ExternalId).',
    )
  }
  if (permission.kind === 'missing') {
    const cause = `No policy of ${who} allows sts:AssumeRole on ${arn}.`
    const fix = `Give ${who} a policy that allows sts:AssumeRole on ${arn}, for example with \`postern db configure bootstrap\`. ${testOf(hop)}`
    return failed('credentials', 'role-permission', cause, fix)
  }
  if (permission.kind === 'allowed' && trust.kind === 'unknown') {
    const external = externalId === undefined ? '' : ', or asks for another external id'
    const cause = `The policies of ${who} allow sts:AssumeRole on ${arn}, so its trust policy does not name ${who}${external}.`
    return failed('credentials', 'role-trust', cause, trustIt)
  }
  if (permission.kind === 'unknown') {
    const cause = `Probably the trust policy of ${arn} does not name ${who}; that could not be checked: ${permission.reason}.`
    return failed('credentials', 'role-trust', cause, trustIt)
  }
  return skipped(
    'credentials',
    `${caller.arn} is trusted by ${arn} and may assume it; a change may not be in effect yet.`,
  )
}
