import type {SessionOptions} from '../access/session-options.js'
import type {AdmitSessionRequest} from '../api/requests.js'
import {messageOf} from '../core/errors.js'
import type {ServerError} from '../pgwire/server-error.js'
import type {RecordingMode} from '../resources/session-recording-config.js'
import type {Guest} from './admission.js'
import {describeFailure, fatal, sqlStates} from './failure.js'
import type {Gate} from './gate.js'
import type {Attempt} from './refusals.js'
import type {Sessions} from './sessions.js'

export interface StandingOptions {
  readonly gate: Gate
  readonly sessions: Sessions
  readonly recorder: Recorder
  /** Asks the control plane for a place among the sessions that a user may have. */
  readonly admitSession: (request: AdmitSessionRequest) => Promise<{readonly admitted: boolean}>
}

/** What takes the records of sessions while they run. */
export interface Recorder {
  /** Whether it did not take what came last. */
  readonly failing: boolean
}

/** A session may begin. */
interface Admitted {
  readonly options: SessionOptions
  readonly recording: RecordingMode
}

/** Whether somebody whom the roles let in may have one more session, now and here. */
export class Standing {
  readonly #options: StandingOptions

  constructor(options: StandingOptions) {
    this.#options = options
  }

  /**
   * Before the database is dialled: why the guest may not have one more session; undefined when they may.
   * @param departure a client that has left takes nobody's place
   */
  async refuseAnother(
    attempt: Attempt,
    guest: Guest,
    options: SessionOptions,
    departure: AbortSignal,
  ): Promise<ServerError | undefined> {
    return this.#refuseHere(guest, options) ?? (await this.#refuseElsewhere(attempt, guest, options, departure))
  }

  /** When the database has let the guest in: whether they may still begin, within which limits, and how it is recorded. */
  check({arrival}: Attempt, guest: Guest): Admitted | {readonly error: ServerError} {
    const {gate} = this.#options
    const passage = gate.check(arrival)
    if (!passage.ok) return {error: describeFailure(passage.error)}
    const verdict = gate.verdict(guest)
    if ('objection' in verdict) return {error: fatal(sqlStates.notAuthorized, verdict.objection)}
    const {options} = verdict
    const recording = options.recordStrictly && gate.recordingMode === 'node' ? 'node-sync' : gate.recordingMode
    const error = this.#refuseHere(guest, options) ?? this.#refuseUnrecorded(recording)
    return error ? {error} : {options, recording}
  }

  #refuseHere({identity}: Guest, {maxConnections}: SessionOptions): ServerError | undefined {
    if (maxConnections === undefined || this.#options.sessions.countOf(identity.user) < maxConnections) return undefined
    return tooMany(maxConnections)
  }

  /** The same for all agents together; while the control plane does not answer, each process counts its own. */
  async #refuseElsewhere(
    {sid, logger}: Attempt,
    {identity}: Guest,
    {maxConnections: most}: SessionOptions,
    departure: AbortSignal,
  ): Promise<ServerError | undefined> {
    const {admitSession, sessions} = this.#options
    if (most === undefined) return undefined
    sessions.opening.set(sid, departure)
    try {
      const {admitted} = await admitSession({sid, user: identity.user, most})
      return admitted ? undefined : tooMany(most)
    } catch (error) {
      logger.warn('Sessions at other agents could not be counted.', {reason: messageOf(error)})
      return undefined
    }
  }

  /** Where sessions must be recorded while they run, none begins when they cannot be. */
  #refuseUnrecorded(recording: RecordingMode): ServerError | undefined {
    if (recording !== 'node-sync' || !this.#options.recorder.failing) return undefined
    return fatal(
      sqlStates.auditFailed,
      'This session cannot be recorded: the control plane does not take the records of sessions.',
      'Try again in a moment.',
    )
  }
}

function tooMany(most: number): ServerError {
  return fatal(
    sqlStates.tooManyConnections,
    `Your roles allow ${most} ${most === 1 ? 'session' : 'sessions'} at a time, and you have as many.`,
    'Close one of them first.',
  )
}
