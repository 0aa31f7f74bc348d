import type {IamIdentity} from './iam-identity.js'
import {policyFor, type PolicyDocument, type PolicyNeeds} from './iam-policy.js'

/** One step of giving an identity its permissions. Printing, confirming and carrying out all read the same steps. */
export type IamAction = CreatePolicyAction | AttachPolicyAction

export interface CreatePolicyAction {
  readonly kind: 'create-policy'
  readonly account: string
  readonly policyArn: string
  readonly policyName: string
  readonly document: PolicyDocument
}

export interface AttachPolicyAction {
  readonly kind: 'attach-policy'
  readonly account: string
  readonly policyArn: string
  readonly target: IamIdentity
}

interface Wanted extends PolicyNeeds {
  readonly target: IamIdentity
  readonly policyName: string
}

/** The policy that gives the target what is needed, and its attachment; nothing when nothing is needed. */
export function planAccess({target, policyName, ...needs}: Wanted): IamAction[] {
  const document = policyFor(needs)
  if (!document) return []
  const {account, partition} = target
  const policyArn = `arn:${partition}:iam::${account}:policy/${policyName}`
  return [
    {kind: 'create-policy', account, policyArn, policyName, document},
    {kind: 'attach-policy', account, policyArn, target},
  ]
}
