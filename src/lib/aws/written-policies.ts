/** The policies of a user or role as IAM has them written down, which may be newer than what is in effect. */
import type {IAMClient} from '@aws-sdk/client-iam'
import {matchesArn, matchesGlob} from '../core/glob.js'
import type {IamIdentity} from './iam-identity.js'

/** Who the policies are read of; a role with its path. */
export type PolicyOwner = Pick<IamIdentity, 'kind' | 'name' | 'arn'>

interface WrittenPolicy {
  readonly name: string
  /** Milliseconds since 1970; inline policies have no date. */
  readonly changedAt: number | undefined
  readonly statements: readonly WrittenStatement[]
}

interface WrittenStatement {
  readonly isAllow: boolean
  readonly actions: readonly string[]
  readonly resources: readonly string[]
  readonly isConditional: boolean
}

export interface WrittenPolicies {
  readonly policies: readonly WrittenPolicy[]
  /** The permissions boundary; undefined when there is none. */
  readonly boundary: WrittenPolicy | undefined
}

/** What written policies say to an action on a resource. */
export interface WrittenAnswer {
  readonly answer: 'allow' | 'deny' | 'silent'
  /** Whether it is allowed only under conditions, which are not looked at here. */
  readonly isConditional: boolean
  /** Resources that they allow the action on. */
  readonly resources: readonly string[]
}

/** More than these are not read: somebody waits. */
const mostPolicies = 20

/** @throws what the SDK throws */
export async function readWrittenPolicies(
  iam: IAMClient,
  owner: PolicyOwner,
  signal: AbortSignal,
): Promise<WrittenPolicies> {
  const reader = new PolicyReader(iam, owner, signal)
  const [inline, attached, boundary] = await Promise.all([reader.inline(), reader.attached(), reader.boundary()])
  return {policies: [...inline, ...attached], boundary}
}

class PolicyReader {
  readonly #iam: IAMClient
  readonly #owner: PolicyOwner
  readonly #options: {readonly abortSignal: AbortSignal}

  constructor(iam: IAMClient, owner: PolicyOwner, signal: AbortSignal) {
    this.#iam = iam
    this.#owner = owner
    this.#options = {abortSignal: signal}
  }

  async inline(): Promise<WrittenPolicy[]> {
    const sdk = await import('@aws-sdk/client-iam')
    const {kind, name} = this.#owner
    const {PolicyNames = []} = await (kind === 'user'
      ? this.#iam.send(new sdk.ListUserPoliciesCommand({UserName: name}), this.#options)
      : this.#iam.send(new sdk.ListRolePoliciesCommand({RoleName: name}), this.#options))
    return Promise.all(
      PolicyNames.slice(0, mostPolicies).map(async (PolicyName) => {
        const {PolicyDocument} = await (kind === 'user'
          ? this.#iam.send(new sdk.GetUserPolicyCommand({UserName: name, PolicyName}), this.#options)
          : this.#iam.send(new sdk.GetRolePolicyCommand({RoleName: name, PolicyName}), this.#options))
        return {name: PolicyName, changedAt: undefined, statements: readStatements(PolicyDocument)}
      }),
    )
  }

  async attached(): Promise<WrittenPolicy[]> {
    const sdk = await import('@aws-sdk/client-iam')
    const {kind, name} = this.#owner
    const {AttachedPolicies = []} = await (kind === 'user'
      ? this.#iam.send(new sdk.ListAttachedUserPoliciesCommand({UserName: name}), this.#options)
      : this.#iam.send(new sdk.ListAttachedRolePoliciesCommand({RoleName: name}), this.#options))
    return Promise.all(AttachedPolicies.slice(0, mostPolicies).map(({PolicyArn = ''}) => this.#managed(PolicyArn)))
  }

  async boundary(): Promise<WrittenPolicy | undefined> {
    const {GetRoleCommand, GetUserCommand} = await import('@aws-sdk/client-iam')
    const {kind, name} = this.#owner
    const boundary =
      kind === 'user'
        ? (await this.#iam.send(new GetUserCommand({UserName: name}), this.#options)).User?.PermissionsBoundary
        : (await this.#iam.send(new GetRoleCommand({RoleName: name}), this.#options)).Role?.PermissionsBoundary
    const arn = boundary?.PermissionsBoundaryArn
    return arn === undefined ? undefined : this.#managed(arn)
  }

  async #managed(PolicyArn: string): Promise<WrittenPolicy> {
    const {GetPolicyCommand, GetPolicyVersionCommand} = await import('@aws-sdk/client-iam')
    const {Policy} = await this.#iam.send(new GetPolicyCommand({PolicyArn}), this.#options)
    const version = new GetPolicyVersionCommand({PolicyArn, VersionId: Policy?.DefaultVersionId})
    const {PolicyVersion} = await this.#iam.send(version, this.#options)
    return {
      name: Policy?.PolicyName ?? PolicyArn,
      changedAt: (Policy?.UpdateDate ?? PolicyVersion?.CreateDate)?.getTime(),
      statements: readStatements(PolicyVersion?.Document),
    }
  }
}

/** The statements of a document as IAM's API writes it: percent-encoded. What cannot be read says nothing. */
function readStatements(encoded = ''): WrittenStatement[] {
  try {
    const document = JSON.parse(decodeURIComponent(encoded)) as {readonly Statement?: unknown}
    return [document.Statement].flat().map((statement) => {
      const {Effect, Action, Resource, Condition} = (statement ?? {}) as Readonly<Record<string, unknown>>
      return {
        isAllow: Effect === 'Allow',
        actions: textsOf(Action),
        resources: textsOf(Resource),
        isConditional: Condition !== undefined,
      }
    })
  } catch {
    return []
  }
}

const textsOf = (value: unknown): string[] => [value].flat().filter((text) => typeof text === 'string')

/** What the policies themselves say; the boundary is a question of its own. */
export function answerOf(policies: readonly WrittenPolicy[], action: string, resource: string): WrittenAnswer {
  const speaking = policies
    .flatMap(({statements}) => statements)
    .filter(({actions}) => actions.some((pattern) => matchesGlob(pattern.toLowerCase(), action.toLowerCase())))
  const meant = speaking.filter(({resources}) => resources.some((pattern) => covers(pattern, resource)))
  const allowing = meant.filter(({isAllow}) => isAllow)
  const isDenied = meant.some(({isAllow, isConditional}) => !isAllow && !isConditional)
  return {
    answer: isDenied ? 'deny' : allowing.length > 0 ? 'allow' : 'silent',
    isConditional: allowing.length > 0 && allowing.every(({isConditional}) => isConditional),
    resources: speaking.filter(({isAllow}) => isAllow).flatMap(({resources}) => resources),
  }
}

const covers = (pattern: string, arn: string): boolean => pattern === '*' || matchesArn(pattern, arn)
