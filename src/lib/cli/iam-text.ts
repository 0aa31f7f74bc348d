import type {IamAction, TargetPlan} from '../aws/iam-plan.js'
import {formatPolicy} from '../aws/iam-policy.js'

/** `[123456789012] Create IAM Policy "DatabaseAccess"` */
export function describeAction(action: IamAction): string {
  const what =
    action.kind === 'create-policy'
      ? `Create IAM Policy "${action.policyName}"`
      : `Attach IAM policies to "${action.target.name}"`
  return `[${action.account}] ${what}`
}

/** The numbered list of what is to be done: policies in full, each followed by an empty line. */
export function renderActions(actions: readonly IamAction[]): string {
  return actions
    .map((action, index) => {
      const line = `${index + 1}. ${describeAction(action)}`
      return action.kind === 'create-policy' ? `${line}:\n${formatPolicy(action.document)}\n` : `${line}.`
    })
    .join('\n')
}

/** One step as `--format json` shows it. */
export function actionData(action: IamAction): object {
  const {account, policyArn} = action
  return action.kind === 'create-policy'
    ? {action: action.kind, account, policy_arn: policyArn, policy_name: action.policyName, policy: action.document}
    : {action: action.kind, account, policy_arn: policyArn, target_arn: action.target.arn}
}

/** In which AWS accounts there is something to do. */
export const accountsOf = (plans: readonly TargetPlan[]): string[] => [
  ...new Set(plans.map(({identity}) => identity.account)),
]
