import type {Socket} from 'node:net'
import type {Clock} from '../core/clock.js'
import type {Logger} from '../core/log.js'
import type {Credentials} from '../pki/credentials.js'
import type {HostIdentity} from '../pki/identity.js'
import {defaultPulse, type PulseTiming} from '../tunnel/control-channel.js'

/** Where connections go that are for no agent: the Auth Service. */
export type Upstream =
  | {readonly kind: 'address'; readonly host: string; readonly port: number}
  /** In one process: takes the connection over, `head` first (see tunnel/hand-over). */
  | {readonly kind: 'local'; accept(socket: Socket, head: Buffer): void}

export interface ProxyLimits {
  /** ClientHellos for agents and for the tunnel that one address may have unanswered; more wait, sixteen times more at most. */
  readonly hellosPerAddress: number
  /** ClientHellos that one agent may have unanswered; more wait as well. */
  readonly hellosPerAgent: number
  /** Connections that have not said what they want; above it the oldest is closed. */
  readonly undecided: number
  /** The same from one address. */
  readonly undecidedPerAddress: number
}

export const defaultLimits: ProxyLimits = {
  hellosPerAddress: 32,
  hellosPerAgent: 64,
  undecided: 2048,
  undecidedPerAddress: 1024,
}

/** Deadlines in milliseconds. */
export interface ProxyTiming {
  /** For a connection's first message. */
  readonly peekMilliseconds: number
  /** For the tunnel's TLS handshake. */
  readonly handshakeMilliseconds: number
  /** For an agent to dial back, unless it took a good part of that lately. */
  readonly openMilliseconds: number
  /** For an agent's first byte after the ClientHello, with the same exception. */
  readonly answerMilliseconds: number
  /** The same for the last agent to try: it may be slow, and nobody else is left. */
  readonly lastMilliseconds: number
  /** For a ClientHello above a limit to become one of those under way. */
  readonly waitMilliseconds: number
  readonly pulse: PulseTiming
}

export const defaultTiming: ProxyTiming = {
  peekMilliseconds: 10_000,
  handshakeMilliseconds: 10_000,
  openMilliseconds: 1500,
  answerMilliseconds: 1500,
  lastMilliseconds: 10_000,
  waitMilliseconds: 10_000,
  pulse: defaultPulse,
}

/** A connection between a client and an agent, when it has ended. */
export interface SpliceRecord {
  /** See tunnel/connection-id. */
  readonly id: string
  /** The agent. */
  readonly host: string
  /** Milliseconds since 1970. */
  readonly opened: number
  readonly ended: number
  /** Bytes of TLS. */
  readonly toAgent: number
  readonly toClient: number
}

export interface ProxyOptions {
  readonly cluster: string
  readonly listen: {readonly host: string; readonly port: number}
  /** Names this proxy in preambles: letters, digits and `-`, at most 64. */
  readonly proxyId: string
  /** The host certificate, with the name `tunnel.<cluster>`. */
  readonly credentials: () => Credentials
  readonly hostAuthorities: () => readonly string[]
  readonly upstream: Upstream
  /** Host ids that serve a database (its name in lower case), best first. */
  readonly agentsFor: (database: string) => readonly string[]
  /** False for a host that is locked or was removed; asked at each connection and each ping. */
  readonly mayServe?: (identity: HostIdentity) => boolean
  /** Hears of each connection that was carried: the control plane compares them with what agents tell. */
  readonly onSplice?: (splice: SpliceRecord) => void
  readonly limits?: Partial<ProxyLimits>
  readonly timing?: Partial<ProxyTiming>
  /** Processes that splice the sessions; with 1, which is the default, this one does it. */
  readonly workers?: number | undefined
  /** The program of a worker; only tests name another one. */
  readonly workerScript?: URL | undefined
  readonly logger: Logger
  readonly clock: Clock
}

/** Counters since the start, and what there is now. */
export interface ProxyStatistics {
  readonly connectionsAccepted: number
  readonly connectionsRefused: number
  readonly sessionsOpened: number
  /** ClientHellos sent a second time because an agent did not answer. */
  readonly helloReplays: number
  /** Of ended sessions. */
  readonly bytesToAgents: number
  readonly bytesToClients: number
  readonly sessions: number
  readonly agents: number
  readonly spareConnections: number
}

export interface Proxy {
  readonly address: {readonly host: string; readonly port: number}
  /** Host ids of the connected agents. */
  agents(): readonly string[]
  statistics(): ProxyStatistics
  /** Takes no more connections, asks the agents to end their sessions, and resolves when all ended or the time is over. */
  drain(deadlineMilliseconds: number): Promise<void>
  /** Closes everything at once. */
  close(): Promise<void>
}
