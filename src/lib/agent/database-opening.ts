/** Opens the database session of an allowed connection, with the sign-in that its type needs. */
import type {Allowed} from '../access/decision.js'
import {Authorization} from '../access/authorization.js'
import type {Aws} from '../aws/aws.js'
import type {Finding} from '../resources/finding.js'
import type {UserStanding} from '../aws/diagnosis.js'
import {PosternError} from '../core/errors.js'
import type {Secret} from '../core/secret.js'
import type {ServerError} from '../pgwire/server-error.js'
import {standingOf} from './admin-user.js'
import type {Guest} from './admission.js'
import type {AwsDatabases} from './aws-databases.js'
import type {Served} from './catalog.js'
import type {ClientCertificates} from './client-certificates.js'
import {signInRefused} from './connect-failure.js'
import type {Diagnoses, FailedSignIn} from './diagnoses.js'
import {dialDatabase, type DatabaseSession} from './dial.js'
import {isServerError} from './failure.js'
import {serverTls} from './server-tls.js'
import {
  certificateMethod,
  mayTryAgain,
  passwordMethod,
  takeTurn,
  type AwsSignIn,
  type PasswordMethod,
  type SignInMethod,
} from './sign-in-method.js'
import {resolveTarget, type TargetAddress, type TargetRules} from './target-address.js'

export interface DatabaseOpeningOptions {
  /** Of the agent’s host. */
  readonly hostname: string
  readonly diagnoses: Diagnoses
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
  /** The client has left, so that nothing needs to be opened. */
  readonly departure: AbortSignal
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
    const {certificates, aws, awsDatabases, rules, hostname} = this.#options
    const {decision, guest, served, parameters, minor, departure} = request
    const database = await awsDatabases.admit(served)
    if (database) {
      return this.#openOnAws(request, {aws, database, guest, isGone: () => departure.aborted})
    }
    const [method, target] = await Promise.all([certificateMethod(certificates, guest), resolveTarget(served, rules)])
    return dialDatabase(Authorization.from(decision), {served, target, method, parameters, minor, hostname, departure})
  }

  /** Looks at what AWS says about a sign-in; nothing to look at for a self-hosted database. Never rejects. */
  async examine({served, guest}: OpeningRequest): Promise<{isOnAws: boolean; findings: readonly Finding[]}> {
    try {
      const database = await this.#options.awsDatabases.admit(served)
      if (!database) return {isOnAws: false, findings: []}
      const {findings} = await this.#options.diagnoses.examine({database, dbUser: guest.route.dbUser})
      return {isOnAws: true, findings}
    } catch {
      // Opening it says why.
      return {isOnAws: true, findings: []}
    }
  }

  async #openOnAws(request: OpeningRequest, signIn: AwsSignIn): Promise<DatabaseSession> {
    const {decision, served, parameters, minor, departure} = request
    const {awsDatabases, rules, hostname} = this.#options
    const target = await resolveTarget(served, rules)
    const dial = (method: SignInMethod): Promise<DatabaseSession> => {
      const serverName = awsDatabases.certificateName(signIn.database)
      const securityGroups = awsDatabases.securityGroups(signIn.database)
      const own = {...method, serverName}
      const dialled = {served, target, method: own, parameters, minor, hostname, securityGroups, departure}
      return dialDatabase(Authorization.from(decision), dialled)
    }
    // The password comes after the wait, which may be longer than the rest of its life.
    const turn = await takeTurn(signIn)
    const method = await this.#password(signIn)
    try {
      return await dial(method)
    } catch (error) {
      const refusal = refusalOf(error)
      if (!refusal) throw error
      const place = {served, target, method}
      if (!mayTryAgain(signIn, turn, refusal)) throw await this.#diagnosed(refusal, signIn, turn, place)
    }
    const nextTurn = await takeTurn(signIn)
    const again = await this.#password(signIn, method.password)
    try {
      return await dial(again)
    } catch (error) {
      const refusal = refusalOf(error)
      throw refusal ? await this.#diagnosed(refusal, signIn, nextTurn, {served, target, method: again}) : error
    }
  }

  /** @throws PosternError with the cause, when AWS gives none */
  async #password(signIn: AwsSignIn, refused?: Secret): Promise<PasswordMethod> {
    try {
      return await passwordMethod(signIn, refused)
    } catch (error) {
      throw await this.#options.diagnoses.ofRequest(error, failedSignIn(signIn))
    }
  }

  async #diagnosed(refusal: ServerError, signIn: AwsSignIn, turn: number, place: Place): Promise<PosternError> {
    const {database} = signIn
    const askAdmin = database.type === 'rds' && database.admin ? () => this.#askAdmin(signIn, place) : undefined
    const diagnosis = await this.#options.diagnoses.ofRefusal(refusal, {...failedSignIn(signIn), turn, askAdmin})
    return signInRefused(refusal, database.name, diagnosis)
  }

  /** Signs in as the admin user of the database, as the agent would for anybody else. */
  async #askAdmin(signIn: AwsSignIn, {served, target, method}: Place): Promise<UserStanding> {
    const {database, guest} = signIn
    const {name = '', dbName = guest.dbName} = database.admin ?? {}
    const serverName = this.#options.awsDatabases.certificateName(database) ?? target.host
    const tls = await serverTls(served.database, serverName, method)
    // The password must not go to a server that could be anybody.
    if (!tls.verified) return 'unknown'
    const {user, password} = await signIn.aws.passwords.get({database, dbUser: name, dbName})
    return standingOf({target, tls: tls.options, admin: {user, password, dbName}, dbUser: guest.route.dbUser})
  }
}

/** Where a sign-in went. */
interface Place {
  readonly served: Served
  readonly target: TargetAddress
  readonly method: SignInMethod
}

const failedSignIn = ({database, guest}: AwsSignIn): FailedSignIn => ({database, dbUser: guest.route.dbUser})

function refusalOf(error: unknown): ServerError | undefined {
  return error instanceof PosternError && isServerError(error.cause) ? error.cause : undefined
}
