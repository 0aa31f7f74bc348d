/** Opens the database session of an allowed connection, with the sign-in that its type needs. */
import type {Allowed} from '../access/decision.js'
import {Authorization} from '../access/authorization.js'
import type {Aws} from '../aws/aws.js'
import {toAwsDatabase} from '../aws/aws-database.js'
import {PosternError} from '../core/errors.js'
import type {ServerError} from '../pgwire/server-error.js'
import type {Guest} from './admission.js'
import type {Served} from './catalog.js'
import type {ClientCertificates} from './client-certificates.js'
import {dialDatabase, type DatabaseSession} from './dial.js'
import {isServerError} from './failure.js'
import {certificateMethod, mayTryAgain, passwordMethod, takeTurn, type AwsSignIn} from './sign-in-method.js'
import {resolveTarget, type TargetRules} from './target-address.js'

export interface DatabaseOpeningOptions {
  readonly certificates: ClientCertificates
  readonly aws: Aws
  readonly rules: TargetRules
}

export interface OpeningRequest {
  readonly decision: Allowed
  readonly guest: Guest
  readonly served: Served
  readonly parameters: ReadonlyMap<string, string>
}

export class DatabaseOpening {
  readonly #options: DatabaseOpeningOptions

  constructor(options: DatabaseOpeningOptions) {
    this.#options = options
  }

  /** @throws PosternError naming the step that failed and what to do about it */
  async open(request: OpeningRequest): Promise<DatabaseSession> {
    const {certificates, aws, rules} = this.#options
    const {decision, guest, served, parameters} = request
    const database = toAwsDatabase(served.database)
    if (database) return this.#openOnAws(request, {aws, database, guest})
    const [method, target] = await Promise.all([certificateMethod(certificates, guest), resolveTarget(served, rules)])
    return dialDatabase(Authorization.from(decision), {served, target, method, parameters})
  }

  async #openOnAws(request: OpeningRequest, signIn: AwsSignIn): Promise<DatabaseSession> {
    const {decision, served, parameters} = request
    const target = await resolveTarget(served, this.#options.rules)
    const method = await passwordMethod(signIn)
    const attempt = async (chosen: typeof method): Promise<DatabaseSession> => {
      await takeTurn(signIn)
      return dialDatabase(Authorization.from(decision), {served, target, method: chosen, parameters})
    }
    try {
      return await attempt(method)
    } catch (error) {
      const refusal = refusalOf(error)
      if (!refusal || !mayTryAgain(signIn, refusal)) throw error
      return attempt(await passwordMethod(signIn, method.password))
    }
  }
}

function refusalOf(error: unknown): ServerError | undefined {
  return error instanceof PosternError && isServerError(error.cause) ? error.cause : undefined
}
