import type {Clock} from '../core/clock.js'
import {Secret} from '../core/secret.js'
import {AwsClients, using, type Caller} from './clients.js'
import type {AwsEnvironment} from './environment.js'
import {awsFailure} from './failure.js'
import {HostCredentials} from './host-credentials.js'
import {IamAccount} from './iam-account.js'
import type {AccessNeed, Target} from './iam-plan.js'

const sessionName = 'postern-bootstrap'

/** IAM, in the accounts that the credentials of this host reach. */
export class IamAccounts {
  readonly own: IamAccount
  readonly #clients: AwsClients
  readonly #caller: Caller

  private constructor(clients: AwsClients, caller: Caller) {
    this.own = new IamAccount(clients, caller)
    this.#clients = clients
    this.#caller = caller
  }

  /** @throws PosternError FAILED when the host has no AWS credentials */
  static async open(environment: AwsEnvironment, clock: Clock): Promise<IamAccounts> {
    const clients = new AwsClients(environment)
    const session = await new HostCredentials({environment, clients, clock}).get()
    return new IamAccounts(clients, {session, region: await clients.defaultRegion()})
  }

  /** The account of a target. @param ownAccount of the caller: there it acts as itself */
  async of({identity, through}: Target, ownAccount: string): Promise<IamAccount> {
    if (through?.assumeRoleArn === undefined || identity.account === ownAccount) return this.own
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
