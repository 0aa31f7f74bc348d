import type {IamAccounts} from '../aws/iam-accounts.js'
import {describeSplit} from '../aws/iam-difference.js'
import type {TargetPlan} from '../aws/iam-plan.js'
import {messageOf, PosternError} from '../core/errors.js'
import {BaseCommand} from './base-command.js'
import type {Format} from './flags.js'
import {accountsOf, actionData, describeAction, renderActions, type ActionData} from './iam-text.js'
import {askConfirmation} from './prompt.js'
import {isInteractive} from './terminal.js'

export interface CarryOutOptions {
  /** Undefined when the steps are only to be listed. */
  readonly accounts: IamAccounts | undefined
  readonly confirm: boolean
  /** Whether to wait until AWS applies the changes. */
  readonly wait: boolean
  readonly format: Format
}

/** What a command answers with. */
export interface IamOutcome {
  /** AWS accounts in which there is something to do. */
  readonly accounts: readonly string[]
  /** What was done or is to be done. */
  readonly actions: readonly ActionData[]
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

  /**
   * Lists the steps that are left, and takes them all or none; none when the person declines.
   * @throws PosternError when one is impossible or fails, or when AWS does not allow afterwards what was given
   */
  protected async carryOut(plans: readonly TargetPlan[], options: CarryOutOptions): Promise<IamOutcome> {
    const {accounts, confirm, format} = options
    for (const plan of plans) {
      const split = describeSplit(plan)
      if (split !== undefined) this.say(split)
    }
    const left = accounts ? await accounts.remaining(plans) : plans
    const actions = left.flatMap((plan) => plan.actions)
    const outcome = {accounts: accountsOf(left), actions: actions.map(actionData)}
    const listing = renderActions(actions)
    if (plans.length > 0 && actions.length === 0) {
      return this.show(format, outcome, () => 'AWS has all of these permissions already: there is nothing to do.')
    }
    if (!accounts || actions.length === 0) return this.show(format, outcome, () => listing)
    if (format === 'text') this.print(`${listing}\n`)
    else if (!confirm) this.say(`${listing}\n`)
    if (!confirm && !(await askConfirmation('Confirm?'))) return {...outcome, actions: []}
    await this.#take(left, accounts, format)
    if (options.wait) await this.#wait(left, accounts)
    return this.show(format, outcome, () => '')
  }

  #take(plans: readonly TargetPlan[], accounts: IamAccounts, format: Format): Promise<void> {
    const print = (text: string): void => {
      if (format === 'text') this.print(text)
    }
    return accounts.apply(plans, {
      onDone: (action) => {
        print(`✅[AWS] ${describeAction(action)}... done.`)
      },
      onFailed: (action, error) => {
        print(`❌[AWS] ${describeAction(action)}... failed.`)
        print(`Failure reason: ${messageOf(error)}`)
      },
    })
  }

  async #wait(plans: readonly TargetPlan[], accounts: IamAccounts): Promise<void> {
    const effective = await accounts.takesEffect(plans, {
      onProgress: ({total, pending}) => {
        const now = `${total - pending.length} of ${total} permissions`
        this.say(`Waiting until AWS applies the change: ${now} are in effect...`)
      },
    })
    if (effective === 'later') this.say('All of them are in effect.')
    if (effective !== 'unknown') return
    this.say(
      'Whether the change is in effect cannot be seen without iam:SimulatePrincipalPolicy. It takes up to a minute.',
    )
  }
}
