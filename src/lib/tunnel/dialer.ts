/**
 * The agent's end of the tunnel: keeps one control connection to a proxy and dials data connections when told to.
 *
 *   agent                                          proxy
 *     │ TLS 1.3, host certificate ────────────────►│
 *     │ ◄───────────────────────── welcome, orders │ control-messages.ts
 *     │ POSTERN/1, on a connection of its own ────►│ data-connections.ts; for each order one
 *     │ ◄═══════ a client's TLS, spliced ═════════ │
 *     │ lost: again, after a while                 │ backoff.ts
 */
import {connect, type TLSSocket} from 'node:tls'
import type {Clock} from '../core/clock.js'
import {messageOf} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import {afterRunning} from '../core/running-time.js'
import type {Credentials} from '../pki/credentials.js'
import {checkServerNames} from '../pki/server-names.js'
import {tunnelServerName} from '../resources/route.js'
import {defaultBackoff, retryDelay, type Backoff} from './backoff.js'
import {ControlChannel, defaultPulse, type PulseTiming} from './control-channel.js'
import {proxyMessageSchema, type AgentMessage, type ProxyMessage} from './control-messages.js'
import {DataConnections, type DataDialer, type OnConnection, type ProxyAddress} from './data-connections.js'

export type TunnelState = 'connected' | 'disconnected'

export interface TunnelOptions {
  /** The proxy's public address. */
  readonly proxyAddress: ProxyAddress
  readonly cluster: string
  /** The host certificate, asked for at each connection so that a renewed one is taken up. */
  readonly credentials: () => Credentials
  readonly hostAuthorities: () => readonly string[]
  /** Takes a session's connection at its first byte. */
  readonly onConnection: OnConnection
  /** Takes the orders for data connections of one control connection; without, they are dialled here. */
  readonly dataConnections?: ((recycleMilliseconds: number) => DataDialer) | undefined
  /** The proxy goes away: these sessions have this long to end. */
  readonly onDrain: (nonces: readonly string[], deadlineMilliseconds: number) => void
  /** Called at each change, first when the proxy has welcomed the agent. */
  readonly onState?: (state: TunnelState) => void
  readonly logger: Logger
  readonly clock: Clock
  /** Data connections opened in advance; 4 unless told. */
  readonly poolSize?: number | undefined
  /** Age at which an idle data connection is replaced; 60 s unless told. */
  readonly recycleMilliseconds?: number | undefined
  readonly pulse?: PulseTiming
  readonly backoff?: Backoff
}

type Order = Exclude<ProxyMessage, {welcome: string} | {refused: string}>

export interface Tunnel {
  readonly state: TunnelState
  /** Ends the control connection and the idle data connections; sessions that have begun live on. */
  close(): void
}

const defaultPoolSize = 4
const defaultRecycleMilliseconds = 60_000
/** From dialling to the proxy's welcome. */
const connectMilliseconds = 10_000
/** A connection that lasted so long starts the back-off anew; two agents with one identity must not throw each other out in a loop. */
const stableMilliseconds = 10_000

/** Connects to a proxy and stays connected until closed. */
export function startTunnel(options: TunnelOptions): Tunnel {
  const dialer = new Dialer(options)
  dialer.connect()
  return dialer
}

class Dialer implements Tunnel {
  state: TunnelState = 'disconnected'
  readonly #options: TunnelOptions
  readonly #logger: Logger
  readonly #recycleMilliseconds: number
  #socket: TLSSocket | undefined
  #retry: NodeJS.Timeout | undefined
  #failures = 0
  /** Monotonic; of the last welcome. */
  #connectedAt = 0
  #closed = false

  constructor(options: TunnelOptions) {
    this.#options = options
    this.#recycleMilliseconds = options.recycleMilliseconds ?? defaultRecycleMilliseconds
    this.#logger = options.logger.with({proxy: `${options.proxyAddress.host}:${options.proxyAddress.port}`})
  }

  connect(): void {
    let reason = 'the connection closed'
    let socket: TLSSocket
    try {
      socket = this.#dial()
    } catch (error) {
      this.#lost(messageOf(error))
      return
    }
    this.#socket = socket
    const forget = afterRunning(connectMilliseconds, () => {
      reason = 'the proxy did not answer in time'
      socket.destroy()
    })
    socket.on('error', (error: Error) => {
      reason = error.message
    })
    socket.once('close', () => {
      forget()
      this.#lost(reason)
    })
    // Not a word before the proxy's certificate was checked.
    socket.once('secureConnect', () => {
      this.#converse(socket, forget, (why) => {
        reason = why
      })
    })
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#retry)
    this.#socket?.destroy()
  }

  #dial(): TLSSocket {
    const {proxyAddress, cluster, credentials, hostAuthorities} = this.#options
    const {certificate, privateKey} = credentials()
    return connect({
      host: proxyAddress.host,
      port: proxyAddress.port,
      servername: tunnelServerName(cluster),
      minVersion: 'TLSv1.3',
      cert: certificate,
      key: privateKey.reveal(),
      ca: [...hostAuthorities()],
      rejectUnauthorized: true,
      checkServerIdentity: checkServerNames,
    })
  }

  #converse(socket: TLSSocket, onWelcome: () => void, onClose: (reason: string) => void): void {
    const {onConnection, proxyAddress, pulse} = this.#options
    const recycle = this.#recycleMilliseconds
    const data =
      this.#options.dataConnections?.(recycle) ?? new DataConnections(proxyAddress, recycle, onConnection, this.#logger)
    let welcomed = false
    const channel = new ControlChannel<ProxyMessage, AgentMessage>({
      socket,
      schema: proxyMessageSchema,
      ...(pulse ?? defaultPulse),
      onMessage: (message) => {
        if ('welcome' in message) {
          welcomed = true
          onWelcome()
          channel.send({spares: this.#options.poolSize ?? defaultPoolSize, recycle: this.#recycleMilliseconds})
          this.#connected(message.welcome)
        } else if ('refused' in message) {
          channel.close(`the proxy refused this agent: ${message.message}`)
        } else if (welcomed) {
          this.#obey(message, data)
        } else {
          channel.close('the proxy gave orders before its welcome')
        }
      },
      onClose: (reason) => {
        data.close()
        onClose(reason)
      },
    })
  }

  #obey(order: Order, data: DataDialer): void {
    if ('open' in order) data.dial(order.open, order.at, order.src)
    else if ('spare' in order) data.dial(order.spare, order.at)
    else if ('use' in order) data.use(order.use, order.src)
    else this.#options.onDrain(order.drain, order.deadline)
  }

  #connected(place: string): void {
    this.#connectedAt = this.#options.clock.monotonic()
    this.#logger.info('Tunnel to the proxy is up.', {place})
    this.#setState('connected')
  }

  #lost(reason: string): void {
    const lasted = this.state === 'connected' ? this.#options.clock.monotonic() - this.#connectedAt : 0
    this.#setState('disconnected')
    if (this.#closed) return
    if (lasted >= stableMilliseconds) this.#failures = 0
    const delay = retryDelay(this.#failures, this.#options.backoff ?? defaultBackoff)
    this.#failures += 1
    this.#logger.warn('Tunnel to the proxy is down.', {reason, retry_ms: Math.round(delay)})
    this.#retry = setTimeout(() => {
      this.connect()
    }, delay)
  }

  #setState(state: TunnelState): void {
    if (this.state === state) return
    this.state = state
    this.#options.onState?.(state)
  }
}
