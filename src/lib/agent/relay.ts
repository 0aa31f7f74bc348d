/**
 * Carries a session's bytes both ways while reading them:
 *
 *   client ──chunk──► walk ──► audit (written) ──► database       in the client's segmentation, up to the last byte that was checked
 *   client ◄──chunk── audit (written soon) ◄── walk ◄── database    in the server's segmentation, whole
 *
 * Either side's end ends the other after what is queued. An end of our own waits for the gap between two of the server's
 * messages, the only place where an ErrorResponse of ours can stand.
 */
import type {TLSSocket} from 'node:tls'
import type {SessionState} from '../api/live-session.js'
import type {SessionAudit, SessionEnd} from '../audit/session-audit.js'
import type {Clock} from '../core/clock.js'
import {messageOf} from '../core/errors.js'
import {afterRunning} from '../core/running-time.js'
import type {ClientEncoding} from '../pgwire/client-encoding.js'
import {ClientStream} from '../pgwire/client-stream.js'
import type {Frame} from '../pgwire/frames.js'
import {backend, frontend} from '../pgwire/message-types.js'
import {decodeServerError, encodeErrorResponse, type ServerError} from '../pgwire/server-error.js'
import {counters, walkServer} from '../pgwire/server-stream.js'
import {Turns} from '../tunnel/turns.js'
import {Answers} from './answers.js'
import {openedAnswers, readAnswer, readRequest} from './audited-message.js'
import {auditFailed, describeFailure, fatal, sqlStates} from './failure.js'
import {Flow} from './flow.js'
import {Measurement} from './measurement.js'
import {Requests} from './requests.js'

/** Of one message this much is kept for the audit: the SQL of an event, and room for names. */
const captureBytes = 72 * 1024
/** After one side has ended, the client has this long to take what is queued for it. */
const clientLingerMilliseconds = 10_000
/** The database takes the little that is queued for it at once, and a session that we end must not linger. */
const lingerMilliseconds = 2000
/**
 * A client with so many requests that nobody has answered is not read until there are fewer: each takes memory here. The
 * answers to those that are left are more than what a server gathers before it sends.
 */
const unanswered = {most: 32_768, least: 24_576} as const
/** An end of our own waits this long for a gap between the server's messages. */
const gapMilliseconds = 1000

/** What takes more memory than a session may have. */
const excesses = {
  names: fatal(
    sqlStates.programLimitExceeded,
    'The session has prepared more statements and portals than an agent keeps.',
    'Close those that are not needed any more.',
  ),
  requests: fatal(
    sqlStates.programLimitExceeded,
    'The session has sent more requests than an agent keeps until they are answered.',
    'Send a Sync after fewer of them.',
  ),
} as const

const idleStates: Readonly<Record<string, SessionState>> = {
  T: 'idle in transaction',
  E: 'idle in failed transaction',
}

export interface RelayOptions {
  readonly client: TLSSocket
  readonly database: TLSSocket
  readonly audit: SessionAudit
  readonly clock: Clock
  /** Bytes of names that the server tells apart. */
  readonly longestName: number
  /** Of the client's texts, as the server said it at sign-in. */
  readonly encoding: ClientEncoding
  /** Asks the server to give up what it is doing. */
  readonly cancel: () => Promise<void>
}

export class Relay {
  /** Resolves when both connections are closed. */
  readonly finished: Promise<SessionEnd>
  readonly #options: RelayOptions
  readonly #fromClient: ClientStream
  readonly #fromServer = walkServer(openedAnswers)
  readonly #requests: Requests
  readonly #answers: Answers
  readonly #clientFlow: Flow
  readonly #serverFlow: Flow
  #reason: string | undefined
  /** The server works on something: it owes a ReadyForQuery. */
  #busy = false
  /** As the last ReadyForQuery said it: I, T or E. */
  #transaction = 'I'.charCodeAt(0)
  /** The server has said that it ends the session. */
  #serverSaidFatal = false
  #farewell: Buffer | undefined
  #open = 2
  #finish: (end: SessionEnd) => void = () => undefined

  constructor(options: RelayOptions) {
    this.#options = options
    const {client, database, audit, clock} = options
    this.finished = new Promise((resolve) => {
      this.#finish = resolve
    })
    this.#fromClient = new ClientStream({captureBytes})
    const passed = {
      count: (counter: number) => this.#fromServer.count(counter),
      copiedOut: () => this.#fromServer.payloadBytes(counters.copyData),
      copiedIn: () => this.#fromClient.copyBytes,
    }
    const measurement = new Measurement(clock, passed)
    this.#requests = new Requests({...options, measurement})
    this.#answers = new Answers(audit, this.#requests, measurement, passed)
    audit.unrecorded = () => this.#requests.unrecorded()
    const turns = new Turns()
    this.#clientFlow = new Flow(client, database, turns, (chunk) => {
      this.#readClient(chunk)
    })
    this.#serverFlow = new Flow(database, client, turns, (chunk) => {
      this.#readServer(chunk)
    })
    this.#watch(client, 'The client closed the connection', 'The connection to the client broke')
    this.#watch(database, 'The database server closed the connection', 'The connection to the database server broke')
    this.#clientFlow.start()
    this.#serverFlow.start()
  }

  /**
   * Changes whenever the client does something, also when it only takes what was sent to it; undefined while it is not its
   * turn, because the server works.
   */
  get clientActivity(): number | undefined {
    const takes = this.#serverFlow.blocked
    if (this.#isServerBusy && !takes) return undefined
    return this.#clientFlow.bytes + (takes ? this.#serverFlow.bytes - this.#options.client.writableLength : 0)
  }

  get state(): SessionState {
    if (this.#isServerBusy) return 'active'
    return idleStates[String.fromCharCode(this.#transaction)] ?? 'idle'
  }

  get #isServerBusy(): boolean {
    this.#answers.advance()
    return this.#requests.busy
  }

  /** Ends the session with an error for the client. */
  end(error: ServerError, reason: string): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    this.#clientFlow.stop()
    if (this.#busy) void this.#options.cancel()
    this.#farewell = encodeErrorResponse(error)
    if (this.#fromServer.atBoundary) this.#sayFarewell()
    else {
      setTimeout(() => {
        this.#sayFarewell()
      }, gapMilliseconds)
    }
  }

  #readClient(chunk: Buffer): void {
    const {database, audit} = this.#options
    const {frames, sqlPiece, safe, violation} = this.#fromClient.read(chunk)
    let checked = 0
    let malformed: Frame | undefined
    let terminated = false
    for (const frame of frames) {
      if (!readRequest(frame, audit, this.#requests)) {
        malformed = frame
        break
      }
      checked = frame.end
      if (frame.type === frontend.terminate) {
        terminated = true
        break
      }
      this.#busy = true
    }
    if (malformed) audit.malformedPacket(malformed.payload)
    else if (sqlPiece && !terminated) audit.sqlPart(sqlPiece)
    const failure = this.#writeAudit()
    if (failure !== undefined) {
      this.#onAuditFailure(failure)
      return
    }
    const excess = this.#requests.excess
    if (excess) {
      this.#endExcess(excess)
      return
    }
    if (this.#requests.misplaced !== undefined) {
      this.#violated(this.#requests.misplaced)
      return
    }
    const end = malformed || terminated ? checked : safe
    if (end > 0 && database.writable) database.write(end === chunk.length ? chunk : chunk.subarray(0, end))
    if (this.#requests.unanswered > unanswered.most) this.#clientFlow.hold()
    if (terminated) this.#terminated()
    else if (malformed) this.#violated('The client sent a message whose fields contradict its length.')
    else if (violation) this.#violated(violation.reason)
  }

  #readServer(chunk: Buffer): void {
    const {client, audit} = this.#options
    const before = this.#serverFlow.bytes - chunk.length
    const {safe, violation} = this.#fromServer.walk(chunk, (frame) => {
      if (frame.type === backend.readyForQuery) {
        this.#busy = false
        this.#transaction = frame.payload[0] ?? this.#transaction
      } else if (frame.type === backend.errorResponse && decodeServerError(frame).severity !== 'ERROR') {
        this.#serverSaidFatal = true
      }
      readAnswer(frame, before + frame.end, this.#answers)
    })
    if (this.#requests.unanswered < unanswered.least) this.#clientFlow.release()
    if (safe > 0 && client.writable) client.write(safe === chunk.length ? chunk : chunk.subarray(0, safe))
    audit.flushSoon(this.#onAuditFailure)
    if (violation) this.#violated(violation.reason)
    else if (this.#requests.misplaced !== undefined) this.#violated(this.#requests.misplaced)
    else if (this.#requests.excess) this.#endExcess(this.#requests.excess)
    if (this.#farewell && this.#fromServer.atBoundary) this.#sayFarewell()
  }

  #endExcess(excess: keyof typeof excesses): void {
    const error = excesses[excess]
    this.end(error, error.message)
  }

  /** Why the audit cannot be written; undefined when it is. */
  #writeAudit(): string | undefined {
    try {
      this.#options.audit.flush()
      return undefined
    } catch (error) {
      return describeFailure(error).message
    }
  }

  readonly #onAuditFailure = (reason: string): void => {
    this.end(auditFailed('The audit of this session cannot be written, so it ends.'), reason)
  }

  /** Both ends must agree on where a message ends; when they cannot, nothing more is forwarded. */
  #violated(reason: string): void {
    this.#serverFlow.stop()
    this.end(fatal(sqlStates.protocolViolation, reason), reason)
    this.#sayFarewell()
  }

  #sayFarewell(): void {
    if (!this.#farewell) return
    const {client, database} = this.#options
    const farewell = this.#farewell
    this.#farewell = undefined
    this.#serverFlow.stop()
    database.destroy()
    if (this.#fromServer.atBoundary) client.end(farewell)
    else client.end()
    linger(client, lingerMilliseconds)
  }

  #terminated(): void {
    this.#reason ??= 'The client ended the session.'
    this.#clientFlow.stop()
    this.#options.database.end()
    linger(this.#options.database, lingerMilliseconds)
  }

  #watch(socket: TLSSocket, ended: string, broken: string): void {
    const isClient = socket === this.#options.client
    let sentence = `${ended}.`
    const onClose = (): void => {
      this.#leave(isClient, sentence)
      this.#open -= 1
      if (this.#open > 0) return
      this.#finish({
        reason: this.#reason ?? sentence,
        bytesFromClient: this.#clientFlow.bytes,
        bytesFromServer: this.#serverFlow.bytes,
        notifications: this.#fromServer.count(counters.notification),
        open: this.#answers.end(this.#serverFlow.bytes),
      })
    }
    socket.on('error', (error) => {
      sentence = `${broken}: ${messageOf(error)}.`
    })
    socket.on('end', () => {
      this.#leave(isClient, sentence)
    })
    if (socket.closed) setImmediate(onClose)
    else socket.once('close', onClose)
  }

  /** One side is gone: the other gets what is queued for it, and then its end. */
  #leave(isClient: boolean, sentence: string): void {
    const {client, database} = this.#options
    let cause = sentence
    if (isClient) {
      // The server never acts on a message that is not whole.
      if (!this.#fromClient.atBoundary) cause = `${sentence.slice(0, -1)}, in the middle of a message.`
      // What it asked for is done all the same, and the audit says what came of it.
      this.#serverFlow.forget()
      database.end()
      linger(database, lingerMilliseconds)
    } else {
      this.#clientFlow.stop()
      // Without a word the client would show "server closed the connection unexpectedly".
      const silent = this.#reason === undefined && !this.#serverSaidFatal && this.#fromServer.atBoundary
      if (client.writable) client.end(silent ? encodeErrorResponse(fatal(sqlStates.connectionFailed, sentence)) : '')
      linger(client, clientLingerMilliseconds)
    }
    this.#reason ??= cause
  }
}

function linger(socket: TLSSocket, milliseconds: number): void {
  if (socket.closed) return
  socket.once(
    'close',
    afterRunning(milliseconds, () => {
      socket.destroy()
    }),
  )
}
