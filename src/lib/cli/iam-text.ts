import type {IamAction, TargetPlan} from '../aws/iam-plan.js'
import {formatPolicy, type PolicyChanges} from '../aws/iam-policy.js'
import {charactersOf} from '../aws/iam-size.js'

/** `[123456789012] Create IAM Policy "DatabaseAccess"` */
export function describeAction(action: IamAction): string {
  return `[${action.account}] ${nameAction(action)}`
}

function nameAction(action: IamAction): string {
  switch (action.kind) {
    case 'create-policy':
      return `Create IAM Policy "${action.policyName}"`
    case 'update-policy':
      return `Update IAM Policy "${action.policyName}"`
    case 'attach-policy':
      return `Attach IAM policies to "${action.target.name}"`
    case 'remove-policy':
      return `Remove IAM policy "${action.policyArn.split('/').at(-1) ?? ''}" from "${action.target.name}"`
  }
}

/** The numbered list of what is to be done: policies in full, each followed by an empty line. */
export function renderActions(actions: readonly IamAction[]): string {
  return actions
    .map((action, index) => {
      const line = `${index + 1}. ${describeAction(action)}`
      if (!('document' in action)) return `${line}.`
      return `${line}:\n${formatPolicy(action.document)}\n${renderChanges(action.changes)}`
    })
    .join('\n')
}

function renderChanges({added, removed}: PolicyChanges = {added: [], removed: []}): string {
  const lines = [...added.map((permission) => `+ ${permission}`), ...removed.map((permission) => `- ${permission}`)]
  return lines.map((line) => `${line}\n`).join('')
}

/** One step as `--format json` shows it. */
export interface ActionData {
  readonly action: IamAction['kind']
  readonly account: string
  readonly policy_arn?: string
  readonly policy_arns?: readonly string[]
  readonly policy_name?: string
  /** How long AWS counts the policy. */
  readonly characters?: number
  /** As AWS spells it. */
  readonly policy?: object
  readonly changes?: PolicyChanges
  readonly target_arn?: string
}

export function actionData(action: IamAction): ActionData {
  const {account, kind} = action
  switch (kind) {
    case 'create-policy':
    case 'update-policy':
      return {
        action: kind,
        account,
        policy_arn: action.policyArn,
        policy_name: action.policyName,
        characters: charactersOf(action.document),
        policy: action.document,
        ...(action.changes && {changes: action.changes}),
      }
    case 'attach-policy':
      return {action: kind, account, policy_arns: action.policyArns, target_arn: action.target.arn}
    case 'remove-policy':
      return {action: kind, account, policy_arn: action.policyArn, target_arn: action.target.arn}
  }
}

/** In which AWS accounts there is something to do. */
export const accountsOf = (plans: readonly TargetPlan[]): string[] => [
  ...new Set(plans.map(({identity}) => identity.account)),
]
