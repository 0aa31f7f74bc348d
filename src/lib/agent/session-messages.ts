import type {Endpoint} from '../api/transport.js'
import type {LogFields, LogLevel} from '../core/log.js'
import type {Database} from '../resources/database.js'
import type {ProxyAddress} from '../tunnel/data-connections.js'
import type {SessionSettings} from './session-settings.js'
import type {SessionStatistics} from './session-statistics.js'

/**
 * What an agent and its session workers say to each other:
 *
 *   agent                                      worker
 *     │ {start, shared} ────────────────────────►│ opens its spool, follows the control plane by itself
 *     │ {shared} ───────────────────────────────►│ certificates were renewed, or other databases are refused
 *     │ {dial, tunnel, …} {use, tunnel, src} ───►│ the proxy's orders for data connections, which the worker dials
 *     │ ◄───────────────────────── {closed: nonce}  one of them has ended, with or without a session
 *     │ {forget: tunnel} ───────────────────────►│ closes those of a lost control connection that carry no session
 *     │ ◄─────────────────── {present, user, key}   a client's cancel request
 *     │ {cancel, user, key} ─► every worker        the agent has counted it against the user's allowance
 *     │ ◄────────────────────────────── {answer}    to a message with `request`
 *     │ {drainFor} {drain} {close} ─────────────►│
 *     │ ◄──────────────────────── {state} {log}
 *
 * Who may do what is not in here: each worker hears that from the control plane.
 */
export type SessionOrder =
  | {readonly start: WorkerStart; readonly shared: SharedState}
  | {readonly shared: SharedState}
  | {readonly dial: DialOrder}
  | {readonly use: string; readonly tunnel: number; readonly src: string}
  | {readonly forget: number}
  | {readonly cancel: CancelText; readonly request: number}
  | {readonly presented: number}
  | {readonly drainFor: readonly string[]; readonly deadline: number}
  | {readonly drain: number; readonly request: number}
  | {readonly close: true; readonly request: number}

export type SessionReport =
  | {readonly closed: string}
  | {readonly present: CancelText; readonly database: string; readonly number: number}
  | {readonly answer: number; readonly found?: boolean}
  | {readonly state: WorkerState}
  | {readonly log: LogLevel; readonly message: string; readonly fields: LogFields}

export interface WorkerStart {
  readonly settings: SessionSettings
  readonly endpoint: Omit<Endpoint, 'credentials'>
  readonly spoolDirectory: string
}

/** Certificates and keys, PEM. They pass through the pipe between parent and child alone. */
export interface CredentialsText {
  readonly certificate: string
  readonly privateKey: string
}

/** What the agent's own process learns and every worker needs. */
export interface SharedState {
  readonly host: CredentialsText
  /** Databases that the control plane does not want from this host, with its reason. */
  readonly refused: readonly (readonly [name: string, reason: string])[]
  /** Databases that the agent finds in AWS. */
  readonly found: readonly Database[]
}

export interface DialOrder {
  readonly nonce: string
  /** Number of the control connection that ordered it. */
  readonly tunnel: number
  readonly proxy: ProxyAddress
  readonly recycleMilliseconds: number
  readonly at: string
  /** Without one it stays idle until `use`. */
  readonly src?: string | undefined
}

export interface CancelText {
  readonly user: string
  readonly pid: number
  /** base64 */
  readonly secret: string
}

export interface WorkerState {
  readonly open: boolean
  readonly statistics: SessionStatistics
}
