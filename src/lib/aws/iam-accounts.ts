import type {Clock} from '../core/clock.js'
import {Secret} from '../core/secret.js'
import {AwsClients, using, type Caller} from './clients.js'
import type {AwsEnvironment} from './environment.js'
import {awsFailure} from './failure.js'
import {HostCredentials} from './host-credentials.js'
import {IamAccount} from './iam-account.js'
import {
  isChosen,
  planEverybody,
  planOne,
  type AccessNeed,
  type PlanRequest,
  type Target,
  type TargetChoice,
  type WholePlan,
} from './iam-plan.js'

const sessionName = 'postern-bootstrap'

/** IAM, in the accounts that the credentials of this host reach. */
export class IamAccounts {
  readonly #own: IamAccount
  readonly #clients: AwsClients
  readonly #caller: Caller
  #ownAccount: string | undefined

  private constructor(clients: AwsClients, caller: Caller) {
    this.#own = new IamAccount(clients, caller)
    this.#clients = clients
    this.#caller = caller
  }

  /** @throws PosternError FAILED when the host has no AWS credentials */
  static async open(environment: AwsEnvironment, clock: Clock): Promise<IamAccounts> {
    const clients = new AwsClients(environment)
    const session = await new HostCredentials({environment, clients, clock}).get()
    return new IamAccounts(clients, {session, region: await clients.defaultRegion()})
  }

  /**
   * What is to be done for the chosen identity, or for the caller and the roles that find databases.
   * @throws PosternError USAGE about the choice, or what AWS says
   */
  async plan(choice: TargetChoice, request: PlanRequest): Promise<WholePlan> {
    const caller = await this.#own.caller()
    this.#ownAccount = caller.account
    if (isChosen(choice)) return planOne(choice, caller, request)
    return planEverybody(await this.#own.attachable(caller), request)
  }

  /** The account of a target; in its own account the caller acts as itself. */
  async of({identity, through}: Target): Promise<IamAccount> {
    if (through?.assumeRoleArn === undefined || identity.account === this.#ownAccount) return this.#own
    return new IamAccount(this.#clients, await this.#assume(through.assumeRoleArn, through.externalId))
  }

  async #assume(RoleArn: string, externalId: AccessNeed['externalId']): Promise<Caller> {
    const {AssumeRoleCommand} = await import('@aws-sdk/client-sts')
    const ExternalId = externalId === undefined ? {} : {ExternalId: externalId}
    try {
      const {Credentials} = await using(await this.#clients.sts(this.#caller), (sts) =>
        sts.send(new AssumeRoleCommand({RoleArn, RoleSessionName: sessionName, ...ExternalId})),
      )
      const {AccessKeyId = '', SecretAccessKey = '', SessionToken = ''} = Credentials ?? {}
      const session = {
        accessKeyId: AccessKeyId,
        secretAccessKey: new Secret(SecretAccessKey),
        sessionToken: new Secret(SessionToken),
      }
      return {session, region: this.#caller.region}
    } catch (error) {
      throw awsFailure(error, `The role ${RoleArn}, whose account the policy is for, cannot be assumed`)
    }
  }
}
