import type {IamAccounts} from '../aws/iam-accounts.js'
import type {IamAction, TargetPlan} from '../aws/iam-plan.js'
import {messageOf, PosternError, toPosternError} from '../core/errors.js'
import {BaseCommand} from './base-command.js'
import type {Format} from './flags.js'
import {actionData, describeAction, renderActions} from './iam-text.js'
import {askConfirmation} from './prompt.js'
import {isInteractive} from './terminal.js'

export interface CarryOutOptions {
  readonly accounts: IamAccounts
  /** The account of the credentials. */
  readonly ownAccount: string
  readonly confirm: boolean
  readonly format: Format
}

/** A command that changes IAM: it lists the steps, asks, and takes them one after the other. */
export abstract class IamCommand extends BaseCommand {
  /** Before AWS is asked anything. @throws PosternError USAGE when there is nobody to confirm */
  protected requireConfirmation(confirm: boolean): void {
    if (confirm || isInteractive()) return
    throw new PosternError('USAGE', 'There is no terminal to confirm the changes on.', {
      hint: 'Add --confirm to make them without being asked.',
    })
  }

  /** Returns what was done; an empty list when the person declined. @throws PosternError at the first step that fails */
  protected async carryOut(plans: readonly TargetPlan[], options: CarryOutOptions): Promise<object[]> {
    const isText = options.format === 'text'
    const actions = plans.flatMap((plan) => plan.actions)
    const listing = `${renderActions(actions)}\n`
    if (isText) this.print(listing)
    else if (!options.confirm) this.say(listing)
    if (!options.confirm && !(await askConfirmation('Confirm?'))) return []
    for (const plan of plans) {
      const account = await options.accounts.of(plan, options.ownAccount)
      for (const action of plan.actions) {
        await account.carryOut(action).catch((error: unknown) => {
          throw isText ? this.#failed(action, error) : error
        })
        if (isText) this.print(`✅[AWS] ${describeAction(action)}... done.`)
      }
    }
    return actions.map(actionData)
  }

  #failed(action: IamAction, cause: unknown): PosternError {
    this.print(`❌[AWS] ${describeAction(action)}... failed.`)
    this.print(`Failure reason: ${messageOf(cause)}`)
    const {hints} = toPosternError(cause)
    return new PosternError('FAILED', 'Not everything was done in AWS.', {cause, hint: hints})
  }
}
