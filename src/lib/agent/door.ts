/**
 * From a finished handshake to the startup message of somebody who may ask for a session (engine.ts has the whole of it):
 *
 *   client                         agent
 *     ◄── greeting {ok | code} ─────│ own checks; on the direct route nothing is said here
 *     ── StartupMessage ───────────►│ checks again: a connection may have been in reserve for a minute
 *     or CancelRequest ────────────►│ same user, minted secret: presented, unanswered
 */
import type {StartupMessage} from '../pgwire/first-packet.js'
import type {BackendKey} from '../pgwire/server-messages.js'
import {Anteroom} from '../tunnel/anteroom.js'
import {encodeGreeting, openingPulse, stillOpening} from '../tunnel/greeting.js'
import {endSoon} from '../tunnel/farewell.js'
import type {Guest} from './admission.js'
import type {Served} from './catalog.js'
import {addressOf, unprovenLimits, type Arrival} from './entrance.js'
import {describeFailure, fatal} from './failure.js'
import {readOpening} from './first-packet.js'
import {greetingOf, type Gate} from './gate.js'
import {explainHint, type Attempt, type Refusals} from './refusals.js'

export interface DoorOptions {
  readonly gate: Gate
  readonly refusals: Refusals
  readonly counters: {cancelRequests: number}
  /** Takes a client's cancel request to where the session is. */
  readonly presentCancel: (user: string, key: BackendKey, database: string) => Promise<void>
}

/** Somebody who asks for a session. */
export interface Visitor {
  readonly guest: Guest
  readonly served: Served
  readonly startup: StartupMessage
}

/** How long a client may take for its startup message. */
const patience = {
  /** A local proxy of ours keeps connections in reserve, a minute each. */
  greeted: 90_000,
  direct: 10_000,
  /** Who was refused may still cancel a query. */
  expired: 2000,
} as const

export class Door {
  readonly #options: DoorOptions
  /** Connections that have asked for nothing yet. */
  readonly #waiting = new Set<Arrival>()
  /** Those of them on the direct route, whom nobody has judged: a TLS handshake needs no certificate. */
  readonly #strangers = new Anteroom(unprovenLimits)

  constructor(options: DoorOptions) {
    this.#options = options
  }

  /** Closes the connections that wait for a startup message: all, or those with these nonces. */
  closeWaiting(nonces?: ReadonlySet<string>): void {
    for (const {socket, nonce} of this.#waiting) if (!nonces || nonces.has(nonce)) socket.destroy()
  }

  /** Undefined when the connection was for something else, or refused. Errors of the socket are ignored from here on. */
  async receive(attempt: Attempt): Promise<Visitor | undefined> {
    const {gate, refusals, counters, presentCancel} = this.#options
    const {arrival} = attempt
    const {socket} = arrival
    socket.on('error', ignoreError)
    const wait = arrival.route.kind === 'agent' ? this.#greet(attempt) : patience.direct
    if (wait === 0) return undefined

    this.#waiting.add(arrival)
    if (arrival.route.kind === 'direct') this.#strangers.enter(attempt.sid, socket, addressOf(arrival))
    const opening = await readOpening(socket, wait).catch(ignoreError)
    this.#strangers.leave(attempt.sid)
    this.#waiting.delete(arrival)
    if (!opening) return undefined
    if (opening.kind === 'cancel') {
      counters.cancelRequests += 1
      const guest = gate.checkCancel(arrival)
      if (guest) await presentCancel(guest.identity.user, opening.key, guest.route.database)
      // PostgreSQL answers no cancel request either.
      endSoon(arrival.socket)
      return undefined
    }
    if (wait === patience.expired) {
      socket.destroy()
      return undefined
    }

    const passage = gate.check(arrival)
    if (!passage.ok) {
      refusals.refuse(attempt, describeFailure(passage.error), passage.guest)
    } else if (opening.kind === 'invalid') {
      refusals.refuse(attempt, fatal(opening.sqlState, opening.reason), passage.guest, passage.served)
    } else {
      return {guest: passage.guest, served: passage.served, startup: opening.message}
    }
    return undefined
  }

  /** Tells our own client end whether it may go on; how long to wait for what it does then, 0 when it may not. */
  #greet(attempt: Attempt): number {
    const {gate, refusals} = this.#options
    const {socket} = attempt.arrival
    const passage = gate.check(attempt.arrival)
    socket.write(encodeGreeting(greetingOf(passage, explainHint(attempt.sid))))
    if (passage.ok) return patience.greeted
    refusals.record(attempt, describeFailure(passage.error), passage.guest)
    if (passage.code === 'expired') return patience.expired
    endSoon(attempt.arrival.socket)
    return 0
  }
}

/** Tells our own client end after a moment, and while it lasts, that the agent is at work. @returns to be called when it is done */
export function tellWhenSlow({route, socket}: Arrival): () => void {
  if (route.kind === 'direct') return ignoreError
  const tell = (): void => {
    if (socket.writable) socket.write(stillOpening)
  }
  let timer = setTimeout(() => {
    tell()
    timer = setInterval(tell, openingPulse.again)
  }, openingPulse.first)
  return () => {
    clearTimeout(timer)
  }
}

/** Listens to the errors of a socket as long as nobody else does. */
export function ignoreError(): undefined {
  // `close` follows, and acts.
}
