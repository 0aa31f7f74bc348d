/** Looks at everything between a user and a database, in the order of a connection, and leaves nothing open. */
import {toPosternError} from '../core/errors.js'
import {authenticationOk, encodeParameterStatus} from '../pgwire/server-messages.js'
import {reportParameter, type ExaminationReport} from '../resources/examination-report.js'
import {checkOf, passed, skipped, type Finding} from '../resources/finding.js'
import {endSoon} from '../tunnel/farewell.js'
import type {DatabaseOpening, OpeningRequest} from './database-opening.js'
import type {DatabaseSession} from './dial.js'
import {describeFailure, isServerError} from './failure.js'
import type {Attempt, AuditOf, Refusals} from './refusals.js'

interface Examined {
  readonly findings: readonly Finding[]
  /** The session that the last check opened; whoever asked closes it. */
  readonly session?: DatabaseSession
  /** Why there is none. */
  readonly error?: unknown
}

/** The checks that a connection itself makes, in its order. */
const stepNames = ['password', 'address', 'connection', 'certificate', 'sign-in'] as const

type StepName = (typeof stepNames)[number]

const stepTexts: Readonly<Record<StepName, string>> = {
  password: 'AWS gives a password for the user.',
  address: 'The name of the database has an address.',
  connection: 'The database answers.',
  certificate: 'The certificate of the database is good.',
  'sign-in': 'The database lets the user in.',
}

interface Examiner {
  /** Name of the agent's host. */
  readonly hostname: string
  readonly opening: DatabaseOpening
  readonly refusals: Refusals
  readonly auditOf: AuditOf
}

/** Looks at the database for somebody, a sign-in included, which the audit shows as a session without statements. */
export async function serveExamination(
  attempt: Attempt,
  request: OpeningRequest,
  {hostname, opening, refusals, auditOf}: Examiner,
): Promise<void> {
  const {guest, served} = request
  const {findings, session, error} = await examineOpening(opening, request)
  if (session) {
    session.socket.destroy()
    const audit = auditOf(attempt, guest, served)
    audit.started({pid: session.signedIn.backendKey?.pid, userAgent: 'postern db doctor'})
    await audit.ended({reason: 'The database was examined.', bytesFromClient: 0, bytesFromServer: 0})
  } else {
    refusals.record(attempt, describeFailure(error), guest, served)
  }
  report(attempt, hostname, findings)
}

/** Answers whoever asked for an examination, and closes the connection. */
export function report({arrival}: Attempt, agent: string, findings: readonly Finding[]): void {
  const text: ExaminationReport = {agent, findings}
  const status = encodeParameterStatus(reportParameter, JSON.stringify(text))
  if (arrival.socket.writable) arrival.socket.write(Buffer.concat([authenticationOk, status]))
  endSoon(arrival.socket)
}

/** Never rejects. */
async function examineOpening(opening: DatabaseOpening, request: OpeningRequest): Promise<Examined> {
  const {dbUser} = request.guest.route
  const access = passed('access', `Your roles allow the user "${dbUser}" in "${request.guest.dbName}".`)
  const {isOnAws, findings} = await opening.examine(request)
  const before = [access, ...findings]
  const steps = stepNames.filter((name) => isOnAws || name !== 'password')
  try {
    const session = await opening.open(request)
    return {session, findings: [...before, ...steps.map(passedStep)]}
  } catch (error) {
    const failure = failureOf(error, isOnAws, before)
    const at = steps.findIndex((name) => name === failure.check)
    const walked = steps.map((name, index) => {
      if (index === at) return failure
      return index < at ? passedStep(name) : skipped(name, 'A check before it failed.')
    })
    return {error, findings: [...before, ...walked]}
  }
}

const passedStep = (name: StepName): Finding => passed(name, stepTexts[name])

/** The failure of a connection; one whose cause is among the findings refers to it. */
function failureOf(error: unknown, isOnAws: boolean, before: readonly Finding[]): Finding {
  const {problem = 'sign-in-refused', detail, hints, cause, message} = toPosternError(error)
  const step = isServerError(cause) ? 'sign-in' : checkOf(problem)
  const check = step === 'sign-in' && isOnAws && !isServerError(cause) ? 'password' : step
  const known = before.find((one) => one.outcome === 'fail' && one.diagnosis.problem === problem)
  const fix = known ? `See "${known.check}" above.` : hints.join(' ')
  const why = known || detail === undefined ? message : `${message.replace(/\.$/, '')}. ${detail}`
  return {check, outcome: 'fail', diagnosis: {problem, cause: why, fix}}
}
