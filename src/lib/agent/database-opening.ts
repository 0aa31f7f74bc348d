/** Opens the database session of an allowed connection, with the sign-in that its type needs. */
import type {Allowed} from '../access/decision.js'
import {Authorization} from '../access/authorization.js'
import type {Aws} from '../aws/aws.js'
import {PosternError} from '../core/errors.js'
import type {ServerError} from '../pgwire/server-error.js'
import type {Guest} from './admission.js'
import type {AwsDatabases} from './aws-databases.js'
import type {Served} from './catalog.js'
import type {ClientCertificates} from './client-certificates.js'
import {dialDatabase, type DatabaseSession} from './dial.js'
import {isServerError} from './failure.js'
import {
  certificateMethod,
  mayTryAgain,
  passwordMethod,
  takeTurn,
  type AwsSignIn,
  type SignInMethod,
} from './sign-in-method.js'
import {resolveTarget, type TargetRules} from './target-address.js'

export interface DatabaseOpeningOptions {
  readonly certificates: ClientCertificates
  readonly aws: Aws
  readonly awsDatabases: AwsDatabases
  readonly rules: TargetRules
}

export interface OpeningRequest {
  readonly decision: Allowed
  readonly guest: Guest
  readonly served: Served
  readonly parameters: ReadonlyMap<string, string>
  /** Minor version of the protocol that the client speaks. What stands in front of databases on AWS gets 3.0. */
  readonly minor: number
  /** Whether the client has left, so that nothing needs to be opened. */
  readonly isGone: () => boolean
}

export class DatabaseOpening {
  readonly #options: DatabaseOpeningOptions

  constructor(options: DatabaseOpeningOptions) {
    this.#options = options
  }

  /** Resolves when what a decision about the database looks at is known. */
  prepare(served: Served): Promise<void> {
    return this.#options.awsDatabases.settled(served)
  }

  /** Whether a decision about the database would see all labels it has. */
  knowsLabels(served: Served): boolean {
    return this.#options.awsDatabases.knowsLabels(served)
  }

  /** @throws PosternError naming the step that failed and what to do about it */
  async open(request: OpeningRequest): Promise<DatabaseSession> {
    const {certificates, aws, awsDatabases, rules} = this.#options
    const {decision, guest, served, parameters, minor, isGone} = request
    const database = await awsDatabases.admit(served)
    if (database) return this.#openOnAws(request, {aws, database, guest, isGone})
    const [method, target] = await Promise.all([certificateMethod(certificates, guest), resolveTarget(served, rules)])
    return dialDatabase(Authorization.from(decision), {served, target, method, parameters, minor})
  }

  async #openOnAws(request: OpeningRequest, signIn: AwsSignIn): Promise<DatabaseSession> {
    const {decision, served, parameters} = request
    const {awsDatabases, rules} = this.#options
    const target = await resolveTarget(served, rules)
    const dial = (method: SignInMethod): Promise<DatabaseSession> => {
      const serverName = awsDatabases.certificateName(signIn.database)
      return dialDatabase(Authorization.from(decision), {served, target, method: {...method, serverName}, parameters})
    }
    // The password comes after the wait, which may be longer than the rest of its life.
    await takeTurn(signIn)
    const method = await passwordMethod(signIn)
    try {
      return await dial(method)
    } catch (error) {
      const refusal = refusalOf(error)
      if (!refusal || !mayTryAgain(signIn, refusal)) throw error
    }
    await takeTurn(signIn)
    return dial(await passwordMethod(signIn, method.password))
  }
}

function refusalOf(error: unknown): ServerError | undefined {
  return error instanceof PosternError && isServerError(error.cause) ? error.cause : undefined
}
