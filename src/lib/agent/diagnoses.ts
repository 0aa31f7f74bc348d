/**
 * Finds the cause of a sign-in to AWS that failed, while the client waits for its refusal:
 *
 *   refusal ──► what its words say for certain ──► what AWS says (aws/examination.ts) ──► what an admin user sees
 *
 * A client that fails on purpose costs AWS little: answers are kept for a while, few are looked for at once, none for long.
 */
import type {Aws} from '../aws/aws.js'
import type {AwsDatabase} from '../aws/aws-database.js'
import {readDenial} from '../aws/denial.js'
import {diagnose, isAboutSignIn, readRefusal, type UserStanding} from '../aws/diagnosis.js'
import type {Examination} from '../aws/examination.js'
import {noCredentials, rejectedCredentials} from '../aws/examination-findings.js'
import {describeAwsError, isMissing} from '../aws/failure.js'
import {skipped, type Diagnosis, type Finding} from '../resources/finding.js'
import {denialFinding} from '../aws/permission-text.js'
import {instanceOf} from '../aws/throttling.js'
import type {Clock} from '../core/clock.js'
import {PosternError} from '../core/errors.js'
import {afterRunning} from '../core/running-time.js'
import type {ServerError} from '../pgwire/server-error.js'

/** A sign-in that failed. */
export interface FailedSignIn {
  readonly database: AwsDatabase
  readonly dbUser: string
  /** When its turn was (aws/pacing.ts); undefined where none was refused. */
  readonly turn?: number | undefined
  /** Asks an admin user of the database about the user; undefined where none is configured. */
  readonly askAdmin?: ((signal: AbortSignal) => Promise<UserStanding>) | undefined
}

export interface DiagnosesOptions {
  readonly aws: Aws
  readonly clock: Clock
}

/** A client waits; AWS answers in a tenth of it. */
const deadlineMilliseconds = 4000
/** For requests that were ended to say so. */
const endMilliseconds = 500
/** How long an answer holds for the same refusal. */
const keptMilliseconds = 15_000
/** And for somebody who asks whether a fix has helped. */
const momentMilliseconds = 2000
const mostKept = 256
/** Further ones are answered without looking. */
const mostAtOnce = 4

interface Kept {
  readonly examination: Promise<Examination>
  readonly at: number
}

export class Diagnoses {
  readonly #options: DiagnosesOptions
  readonly #kept = new Map<string, Kept>()
  #running = 0

  constructor(options: DiagnosesOptions) {
    this.#options = options
  }

  /** What the database's refusal comes from; undefined when it is about something else than who the user is. */
  async ofRefusal(refusal: ServerError, failed: FailedSignIn): Promise<Diagnosis | undefined> {
    const {database, dbUser, turn, askAdmin} = failed
    const isBusy = turn !== undefined && this.#options.aws.pacer.isBusy(instanceOf(database), turn)
    const refused = {database, dbUser, refusal, isBusy}
    const read = readRefusal(refused)
    if (read ?? !isAboutSignIn(refusal)) return read
    const [examination, standing] = await Promise.all([
      this.#examine(failed),
      askAdmin ? within<UserStanding>(askAdmin, 'unknown') : Promise.resolve<UserStanding>('unknown'),
    ])
    return diagnose(refused, examination, standing)
  }

  /** The same error with its cause, when AWS gave no credentials or no password. */
  async ofRequest(error: unknown, failed: FailedSignIn): Promise<unknown> {
    if (!(error instanceof PosternError) || error.detail !== undefined) return error
    const finding = await this.#readRequest(error, failed)
    if (finding?.outcome !== 'fail') return error
    const {problem, cause: detail, fix: hint} = finding.diagnosis
    return new PosternError(error.code, error.message, {cause: error.cause, problem, detail, hint})
  }

  /** Everything that can be looked at, anew unless it was a moment ago. */
  examine(failed: FailedSignIn): Promise<Examination> {
    const key = keyOf(failed)
    const known = this.#kept.get(key)
    if (known && this.#options.clock.monotonic() - known.at > momentMilliseconds) this.#kept.delete(key)
    return this.#examine(failed)
  }

  async #readRequest(error: PosternError, failed: FailedSignIn): Promise<Finding | undefined> {
    const {cause} = error
    if (cause === undefined) {
      return error.message.includes('NoCredentialProviders') ? noCredentials(error) : undefined
    }
    const rejected = rejectedCredentials(cause)
    if (rejected) return rejected
    const denial = readDenial(cause)
    // STS does not say which policy is at fault.
    if (denial?.action === 'sts:AssumeRole' || denial?.action === 'sts:TagSession') return this.#chainFailure(failed)
    if (denial) return denialFinding('password', denial)
    if (isMissing(cause)) {
      const found = `AWS knows no such cluster or workgroup in the account and region of the agent: ${describeAwsError(cause)}`
      const fix = 'Correct the uri of the database, or set aws.assume_role_arn to a role of the account that owns it.'
      return {check: 'password', outcome: 'fail', diagnosis: {problem: 'unknown-database', cause: found, fix}}
    }
    return undefined
  }

  async #chainFailure(failed: FailedSignIn): Promise<Finding | undefined> {
    const {findings} = await this.#examine(failed)
    return findings.find(({outcome, check}) => outcome === 'fail' && check === 'credentials')
  }

  #examine(failed: FailedSignIn): Promise<Examination> {
    const {clock} = this.#options
    const now = clock.monotonic()
    for (const [key, {at}] of this.#kept) if (now - at > keptMilliseconds) this.#kept.delete(key)
    const key = keyOf(failed)
    const known = this.#kept.get(key)
    if (known) return known.examination
    if (this.#running >= mostAtOnce || this.#kept.size >= mostKept)
      return Promise.resolve(notLooked('too many connections fail at this moment'))
    const examination = this.#look(failed)
    this.#kept.set(key, {examination, at: now})
    return examination
  }

  async #look({database, dbUser}: FailedSignIn): Promise<Examination> {
    this.#running += 1
    try {
      return await within(
        (signal) => this.#options.aws.examine({database, dbUser, signal}),
        notLooked('AWS did not answer in time'),
      )
    } catch (error) {
      return notLooked(describeAwsError(error))
    } finally {
      this.#running -= 1
    }
  }
}

const keyOf = ({database, dbUser}: FailedSignIn): string => JSON.stringify([database, dbUser])

/** Requests end with their signal, and with what they know by then; what does not is left behind. */
async function within<T>(work: (signal: AbortSignal) => Promise<T>, instead: T): Promise<T> {
  const end = new AbortController()
  const forgets = [
    afterRunning(deadlineMilliseconds, () => {
      end.abort()
    }),
  ]
  const left = new Promise<T>((resolve) => {
    forgets.push(
      afterRunning(deadlineMilliseconds + endMilliseconds, () => {
        resolve(instead)
      }),
    )
  })
  try {
    return await Promise.race([work(end.signal).catch(() => instead), left])
  } finally {
    for (const forget of forgets) forget()
  }
}

function notLooked(why: string): Examination {
  const finding = skipped('permission', `What AWS allows could not be looked at: ${why}.`)
  return {findings: [finding], need: undefined, changed: undefined}
}
