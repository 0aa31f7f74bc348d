import type {IamAccounts} from '../aws/iam-accounts.js'
import type {IamAction, TargetPlan} from '../aws/iam-plan.js'
import {messageOf, PosternError, toPosternError} from '../core/errors.js'
import {BaseCommand} from './base-command.js'
import type {Format} from './flags.js'
import {accountsOf, actionData, describeAction, renderActions} from './iam-text.js'
import {askConfirmation} from './prompt.js'
import {isInteractive} from './terminal.js'

export interface CarryOutOptions {
  /** Undefined when the steps are only to be listed. */
  readonly accounts: IamAccounts | undefined
  readonly confirm: boolean
  readonly format: Format
}

/** What a command answers with. */
export interface IamOutcome {
  /** AWS accounts in which there is something to do. */
  readonly accounts: readonly string[]
  /** What was done or is to be done. */
  readonly actions: readonly object[]
}

/** A command about IAM: it lists the steps, asks, and takes them one after the other. */
export abstract class IamCommand extends BaseCommand {
  /** Before AWS is asked anything. @throws PosternError USAGE when there is nobody to confirm */
  protected requireConfirmation(confirm: boolean): void {
    if (confirm || isInteractive()) return
    throw new PosternError('USAGE', 'There is no terminal to confirm the changes on.', {
      hint: 'Add --confirm to make them without being asked.',
    })
  }

  /** Nothing is done when the person declines. @throws PosternError at the first step that fails */
  protected async carryOut(plans: readonly TargetPlan[], options: CarryOutOptions): Promise<IamOutcome> {
    const {accounts, confirm, format} = options
    const actions = plans.flatMap((plan) => plan.actions)
    const outcome = {accounts: accountsOf(plans), actions: actions.map(actionData)}
    const listing = renderActions(actions)
    if (!accounts || actions.length === 0) return this.show(format, outcome, () => listing)
    if (format === 'text') this.print(`${listing}\n`)
    else if (!confirm) this.say(`${listing}\n`)
    if (!confirm && !(await askConfirmation('Confirm?'))) return {...outcome, actions: []}
    for (const plan of plans) await this.#takeSteps(plan, accounts, format)
    return this.show(format, outcome, () => '')
  }

  async #takeSteps(plan: TargetPlan, accounts: IamAccounts, format: Format): Promise<void> {
    const account = await accounts.of(plan)
    for (const action of plan.actions) {
      await account.carryOut(action).catch((error: unknown) => {
        throw format === 'text' ? this.#failed(action, error) : error
      })
      if (format === 'text') this.print(`✅[AWS] ${describeAction(action)}... done.`)
    }
  }

  #failed(action: IamAction, cause: unknown): PosternError {
    this.print(`❌[AWS] ${describeAction(action)}... failed.`)
    this.print(`Failure reason: ${messageOf(cause)}`)
    const {code, hints} = toPosternError(cause)
    return new PosternError(code, 'Not everything was done in AWS.', {cause, hint: hints})
  }
}
