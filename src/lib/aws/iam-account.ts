import type {IAMClient} from '@aws-sdk/client-iam'
import {PosternError} from '../core/errors.js'
import {using, type AwsClients, type Caller} from './clients.js'
import {awsFailure, isDenied} from './failure.js'
import {takeStep, type Undo} from './iam-changes.js'
import {remainingSteps} from './iam-difference.js'
import {parseIdentity, type IamIdentity} from './iam-identity.js'
import type {IamAction, TargetPlan} from './iam-plan.js'
import type {PolicyDocument} from './iam-policy.js'
import {simulate, type Effect} from './iam-simulation.js'
import {readStanding} from './iam-standing.js'

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

  /**
   * The steps of the plan that are left to take.
   * @throws PosternError with what AWS says, ALREADY_EXISTS for a policy that is not ours, INVALID beyond a quota
   */
  async remaining(plan: TargetPlan): Promise<TargetPlan> {
    return remainingSteps(plan, await this.#iam((iam) => readStanding(iam, plan)))
  }

  /** @throws PosternError with what AWS says */
  async carryOut(action: IamAction, undos: (() => Promise<void>)[]): Promise<void> {
    const steps: Undo[] = []
    try {
      await this.#iam((iam) => takeStep(iam, action, steps))
    } finally {
      undos.push(...steps.map((undo) => () => this.#iam(undo)))
    }
  }

  /** What AWS allows by now. @throws what the SDK throws */
  simulate(identity: IamIdentity, documents: readonly PolicyDocument[]): Promise<Effect> {
    return this.#iam((iam) => simulate(iam, identity, documents))
  }

  async #iam<Result>(use: (iam: IAMClient) => Promise<Result>): Promise<Result> {
    return using(await this.#clients.iam(this.#caller), use)
  }
}
