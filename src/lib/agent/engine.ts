/**
 * One connection, from its finished handshake to its end (PostgreSQL documentation, "Message Flow"):
 *
 *   client                         agent                                         database
 *     ══ TLS, certificate ═════════►│ own checks: leaf, EKU, expiry, lock
 *     ◄── greeting {ok | code} ─────│ (agent route; the direct route answers after the startup message)
 *     ── StartupMessage ───────────►│ checks again; user and database as routed, nothing special
 *     ◄── "still opening" ──────────│ (agent route; when what follows takes more than a moment, until it is done)
 *     │                             │ decides: access/ gives an Authorization, or the reason
 *     │                             │ ── TCP, TLS verify-full, sign-in ────────────►
 *     │                             │ ◄────────────────────────────── ReadyForQuery ──
 *     │                             │ audit: db.session.start
 *     ◄── AuthenticationOk, ParameterStatus…, BackendKeyData, ReadyForQuery
 *     ◄═══════════════════════════ bytes, both ways, read and audited ══════════════►
 *     │                             │ audit: db.session.end
 *
 *     ── CancelRequest ────────────►│ same user, minted secret ── CancelRequest ────►
 *
 * A failure at any step reaches the client as an ErrorResponse and the audit log as TDB00W.
 */
import {randomUUID} from 'node:crypto'
import {SessionAudit} from '../audit/session-audit.js'
import type {Spool} from '../audit/spool.js'
import type {Clock} from '../core/clock.js'
import {messageOf, PosternError, toPosternError} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import type {StartupMessage} from '../pgwire/first-packet.js'
import {clientEncoding} from '../pgwire/client-encoding.js'
import {negotiateProtocol} from '../pgwire/protocol-version.js'
import type {BackendKey} from '../pgwire/server-messages.js'
import {longestName} from '../resources/database-user.js'
import {classifyDatabase} from '../resources/endpoint.js'
import {examineParameter} from '../resources/examination-report.js'
import {failed} from '../resources/finding.js'
import {onDeparture} from '../tunnel/departure.js'
import type {Guest} from './admission.js'
import type {Cancels} from './cancels.js'
import type {Catalog, Served} from './catalog.js'
import type {DatabaseOpening} from './database-opening.js'
import type {DatabaseSession} from './dial.js'
import {Door, ignoreError, tellWhenSlow} from './door.js'
import type {Arrival} from './entrance.js'
import {report, serveExamination} from './examiner.js'
import {auditFailed, describeFailure, fatal, sqlStates} from './failure.js'
import {explainHint, Refusals, tell, type Attempt} from './refusals.js'
import {Relay} from './relay.js'
import {describeSession, sessionFacts, type Self} from './session-facts.js'
import type {RunningSession} from './sessions.js'
import {SessionLimits} from './session-limits.js'
import {forwardedParameters, refuseReplication, refuseStartup, unheardExtensions} from './startup.js'
import {Standing, type StandingOptions} from './standing.js'
import {encodeWelcome} from './welcome.js'

export interface EngineOptions extends StandingOptions {
  readonly self: Self
  readonly catalog: Catalog
  readonly cancels: Cancels
  readonly opening: DatabaseOpening
  /** Takes a client's cancel request to where the session is. */
  readonly presentCancel: (user: string, key: BackendKey, database: string) => Promise<void>
  readonly spool: Spool
  readonly clock: Clock
  readonly logger: Logger
}

/** What an agent counts from its start. */
export interface EngineCounters {
  sessionsStarted: number
  sessionsRefused: number
  cancelRequests: number
  /** Of ended sessions. */
  bytesFromClients: number
  bytesFromDatabases: number
}

/** Longer texts of a client are cut in the audit. */
const maximumUserAgent = 256

/** A session that has begun. */
interface OpenSession {
  readonly session: RunningSession
  readonly audit: SessionAudit
  readonly relay: Relay
  readonly forgetCancel: () => void
}

export class Engine {
  readonly counters: EngineCounters = {
    sessionsStarted: 0,
    sessionsRefused: 0,
    cancelRequests: 0,
    bytesFromClients: 0,
    bytesFromDatabases: 0,
  }
  readonly #options: EngineOptions
  readonly #refusals: Refusals
  readonly #standing: Standing
  readonly #door: Door
  readonly #serving = new Set<Promise<void>>()

  constructor(options: EngineOptions) {
    this.#options = options
    const {gate, catalog, clock} = options
    this.#refusals = new Refusals({gate, catalog, clock, counters: this.counters, auditOf: this.#auditOf.bind(this)})
    this.#standing = new Standing(options)
    this.#door = new Door({
      gate,
      refusals: this.#refusals,
      counters: this.counters,
      presentCancel: options.presentCancel,
    })
  }

  /** Serves a connection. */
  take(arrival: Arrival): void {
    const sid = randomUUID()
    const logger = this.#options.logger.with({sid, source: arrival.source})
    const serving = this.#serve({sid, arrival, logger}).catch((error: unknown) => {
      logger.error('A connection ended with a defect of the agent.', {reason: messageOf(error)})
      arrival.socket.destroy()
    })
    this.#serving.add(serving)
    void serving.finally(() => this.#serving.delete(serving))
  }

  /** Closes the connections that wait for a startup message: all, or those with these nonces. */
  closeWaiting(nonces?: ReadonlySet<string>): void {
    this.#door.closeWaiting(nonces)
  }

  /** Resolves when every connection taken so far has been served to its end, its audit included. */
  async settled(): Promise<void> {
    await Promise.all(this.#serving)
  }

  async #serve(attempt: Attempt): Promise<void> {
    const {opening} = this.#options.sessions
    const open = await this.#admit(attempt).finally(() => opening.delete(attempt.sid))
    if (open) await this.#runSession(open, attempt.logger)
  }

  /** From the handshake to a session that has begun; undefined when the connection was for something else, or refused. */
  async #admit(attempt: Attempt): Promise<OpenSession | undefined> {
    const visitor = await this.#door.receive(attempt)
    if (!visitor) return undefined
    const forget = tellWhenSlow(attempt.arrival)
    return this.#openSession(attempt, visitor.guest, visitor.served, visitor.startup).finally(forget)
  }

  /** From the startup message to a session that the database has let in; undefined when the client was refused. */
  async #openSession(
    attempt: Attempt,
    guest: Guest,
    found: Served,
    startup: StartupMessage,
  ): Promise<OpenSession | undefined> {
    const {self, gate, opening, catalog} = this.#options
    await opening.prepare(found)
    const served = catalog.find(guest.route.database) ?? found
    const refused = refuseStartup(startup, guest, classifyDatabase(served.database.spec).type)
    if (refused) {
      this.#refusals.refuse(attempt, refused, guest, served)
      return undefined
    }
    const departure = new AbortController()
    const forget = onDeparture(attempt.arrival.socket, () => {
      departure.abort()
    })
    const isExamination = attempt.arrival.route.kind === 'agent' && startup.parameters.has(examineParameter)
    try {
      const decision = gate.judge(guest, served)
      if (!decision.allowed) {
        const {message, hint, explanation} = decision
        const hints = [...(hint === undefined ? [] : [hint]), explainHint(attempt.sid)]
        const denied = fatal(sqlStates.notAuthorized, message, hints.join(' '))
        if (!isExamination) {
          this.#refusals.refuse(attempt, denied, guest, served, explanation)
          return undefined
        }
        this.#refusals.record(attempt, denied, guest, served, explanation)
        report(attempt, self.hostname, [failed('access', 'access-denied', message, hints.join(' '))])
        return undefined
      }
      const limited =
        refuseReplication(startup, decision) ??
        (await this.#standing.refuseAnother(attempt, guest, decision.options, departure.signal))
      if (limited) {
        this.#refusals.refuse(attempt, limited, guest, served)
        return undefined
      }
      if (!opening.knowsLabels(served) && gate.needsAllLabels(guest)) throw tagsUnknown(served)
      const request = {
        decision,
        guest,
        served,
        parameters: isExamination ? new Map<string, string>() : forwardedParameters(startup),
        minor: negotiateProtocol(startup).minor,
        departure: departure.signal,
      }
      if (isExamination) {
        await serveExamination(attempt, request, {
          hostname: self.hostname,
          opening,
          refusals: this.#refusals,
          auditOf: this.#auditOf.bind(this),
        })
        return undefined
      }
      const database = await opening.open(request)
      if (departure.signal.aborted) {
        database.socket.destroy()
        throw clientLeft()
      }
      forget()
      return this.#startSession(attempt, guest, served, startup, database)
    } catch (failure) {
      const error = departure.signal.aborted ? clientLeft() : failure
      const {detail: cause, hints} = toPosternError(error)
      attempt.logger.warn('A session could not be opened.', {reason: messageOf(error), cause, fix: hints.join(' ')})
      this.#refusals.refuse(attempt, describeFailure(error), guest, served)
      return undefined
    } finally {
      forget()
    }
  }

  /** Tells client and audit that the session begins; undefined when it may not. */
  #startSession(
    attempt: Attempt,
    guest: Guest,
    served: Served,
    startup: StartupMessage,
    {socket, signedIn, cancel}: DatabaseSession,
  ): OpenSession | undefined {
    const {cancels, clock} = this.#options
    const {arrival, logger} = attempt
    const {backendKey} = signedIn
    // The world may have changed while the database was dialled.
    const standing = this.#standing.check(attempt, guest)
    if ('error' in standing) {
      socket.destroy()
      this.#refusals.refuse(attempt, standing.error, guest, served)
      return undefined
    }
    const audit = this.#auditOf(attempt, guest, served, standing.recording)
    const {type} = classifyDatabase(served.database.spec)
    const {minor, answer} = negotiateProtocol(startup, unheardExtensions(type))
    const cancellable = backendKey && cancels.register({user: guest.identity.user, pid: backendKey.pid, minor}, cancel)
    try {
      audit.started({
        pid: backendKey?.pid,
        userAgent: startup.parameters.get('application_name')?.slice(0, maximumUserAgent),
      })
    } catch (error) {
      cancellable?.forget()
      socket.destroy()
      logger.error('A session could not be audited.', {reason: messageOf(error)})
      tell(arrival, auditFailed('The audit of this session cannot be written.'))
      return undefined
    }

    this.counters.sessionsStarted += 1
    logger.info('A session began.', {user: guest.identity.user, database: served.database.metadata.name})
    arrival.socket.write(encodeWelcome(signedIn, {negotiation: answer, key: cancellable?.key}))
    arrival.socket.off('error', ignoreError)
    const relay = new Relay({
      client: arrival.socket,
      database: socket,
      audit,
      clock,
      longestName: longestName(type),
      encoding: clientEncoding(signedIn.parameterStatus.findLast(([name]) => name === 'client_encoding')?.[1] ?? ''),
      cancel,
    })
    const session: RunningSession = {
      sid: attempt.sid,
      nonce: arrival.nonce,
      guest,
      limits: new SessionLimits(guest, standing.options, () => relay.clientActivity, audit.facts.recording),
      describe: () => describeSession(audit, relay.state),
      end: (error, reason) => {
        relay.end(error, reason)
      },
      disconnect: ({error, reason}) => {
        audit.disconnected(reason)
        relay.end(error, reason)
      },
    }
    this.#options.sessions.add(session)
    return {session, audit, relay, forgetCancel: () => cancellable?.forget()}
  }

  /** To the end of the session. What the start of it needed is gone by now: idle sessions are many, and memory counts. */
  async #runSession({session, audit, relay, forgetCancel}: OpenSession, logger: Logger): Promise<void> {
    const {sessions} = this.#options
    const end = await relay.finished
    forgetCancel()
    this.counters.bytesFromClients += end.bytesFromClient
    this.counters.bytesFromDatabases += end.bytesFromServer
    logger.info('A session ended.', {reason: end.reason})
    await audit.ended(end).catch((error: unknown) => {
      logger.error('The end of a session could not be audited.', {reason: messageOf(error)})
    })
    sessions.delete(session)
  }

  #auditOf(
    {sid, arrival}: Attempt,
    guest: Guest,
    served: Served,
    recording = this.#options.gate.recordingMode,
  ): SessionAudit {
    const {self, spool, clock} = this.#options
    return new SessionAudit(spool, clock, sessionFacts(sid, self, arrival, guest, served, recording))
  }
}

function clientLeft(): PosternError {
  return new PosternError('FAILED', 'The client left before the session began.')
}

function tagsUnknown({database}: Served): PosternError {
  return new PosternError(
    'UNREACHABLE',
    `AWS does not tell the tags of "${database.metadata.name}", and a role of yours decides by labels that must not be missing.`,
    {hint: 'Try again in a moment; the log of the agent says why AWS does not answer.'},
  )
}
