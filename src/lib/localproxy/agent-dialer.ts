import {connect as tcpConnect, type Socket} from 'node:net'
import {connect as tlsConnect, type TLSSocket} from 'node:tls'
import {messageOf, PosternError, type ErrorCode} from '../core/errors.js'
import {afterRunning} from '../core/running-time.js'
import {checkServerNames} from '../pki/server-names.js'
import {formatAddress, type Address} from '../resources/endpoint.js'
import {agentServerName} from '../resources/route.js'
import {greetingProtocol, readGreeting, type RefusalCode} from '../tunnel/greeting.js'
import type {ClientIdentity} from './client-identity.js'

/** How long an agent may take to let us in, when there is another one to ask. */
const handshakeMilliseconds = 3000

export interface AgentAddress {
  /** Through the proxy, or to the agent itself: TLS is with the agent either way. */
  readonly path: 'proxy' | 'direct'
  readonly at: Address
  readonly cluster: string
  readonly hostId: string
}

/** A connection to an agent that has let us in: the next bytes on it belong to PostgreSQL. */
export interface AgentConnection {
  readonly socket: TLSSocket
  readonly hostId: string
  readonly path: AgentAddress['path']
  /** Until TCP was connected. */
  readonly tcpMilliseconds: number
  /** From there to the agent's greeting. */
  readonly agentMilliseconds: number
}

export interface DialOptions {
  readonly signal?: AbortSignal | undefined
  /** Time for TCP and TLS, and again for the agent's greeting. */
  readonly milliseconds?: number | undefined
}

const refusalErrors: Readonly<Record<RefusalCode, ErrorCode>> = {
  denied: 'ACCESS_DENIED',
  expired: 'EXPIRED',
  draining: 'UNREACHABLE',
  stale: 'UNREACHABLE',
  unreachable: 'UNREACHABLE',
}

/**
 * Connects to one agent: TLS from here to there, and its greeting read.
 * @throws PosternError UNREACHABLE when another agent may do better; ACCESS_DENIED or EXPIRED when none will
 */
export async function dialAgent(
  address: AgentAddress,
  identity: ClientIdentity,
  {signal, milliseconds = handshakeMilliseconds}: DialOptions = {},
): Promise<AgentConnection> {
  const begun = performance.now()
  const {socket, connected} = await connectTls(address, identity, {signal, milliseconds})
  const giveUp = (): void => {
    socket.destroy()
  }
  signal?.addEventListener('abort', giveUp)
  try {
    const greeting = await readGreeting(socket, milliseconds)
    if (!greeting.ok) {
      throw new PosternError(refusalErrors[greeting.code], greeting.message, {hint: greeting.hint})
    }
    return {
      socket,
      hostId: address.hostId,
      path: address.path,
      tcpMilliseconds: connected - begun,
      agentMilliseconds: performance.now() - connected,
    }
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    signal?.removeEventListener('abort', giveUp)
  }
}

/** Whether another agent, or another way to this one, may do better. */
export function mayRetry(error: unknown): boolean {
  return error instanceof PosternError && error.code === 'UNREACHABLE'
}

function connectTls(
  {path, at, cluster, hostId}: AgentAddress,
  identity: ClientIdentity,
  {signal, milliseconds}: DialOptions & {readonly milliseconds: number},
): Promise<{readonly socket: TLSSocket; readonly connected: number}> {
  return new Promise((resolve, reject) => {
    let connected = 0
    const ticketOf = `${path}/${hostId}`
    const raw: Socket = tcpConnect({...at, allowHalfOpen: true, noDelay: true}, () => {
      connected = performance.now()
    })
    const socket = tlsConnect({
      socket: raw,
      servername: agentServerName(hostId, cluster),
      ALPNProtocols: [greetingProtocol],
      secureContext: identity.secureContext,
      rejectUnauthorized: true,
      checkServerIdentity: checkServerNames,
      session: identity.takeTicket(ticketOf),
    })
    socket.on('session', (ticket) => {
      identity.keepTicket(ticketOf, ticket)
    })
    const fail = (error: Error): void => {
      forget()
      signal?.removeEventListener('abort', giveUp)
      raw.destroy()
      socket.destroy()
      reject(
        new PosternError(
          'UNREACHABLE',
          `The agent cannot be reached ${path === 'proxy' ? 'through' : 'at'} ${formatAddress(at)}: ${messageOf(error)}.`,
          {
            cause: error,
            hint: 'Check that the proxy and the agent of this database are running.',
          },
        ),
      )
    }
    const forget = afterRunning(milliseconds, () => {
      fail(new Error(`no answer within ${milliseconds} ms`))
    })
    const onClose = (): void => {
      fail(new Error('the other end closed the connection'))
    }
    const giveUp = (): void => {
      fail(new Error('it is not needed any more'))
    }
    signal?.addEventListener('abort', giveUp)
    raw.once('error', fail)
    socket.once('error', fail)
    socket.once('close', onClose)
    socket.once('secureConnect', () => {
      forget()
      signal?.removeEventListener('abort', giveUp)
      raw.off('error', fail).on('error', ignore)
      socket.off('error', fail).off('close', onClose).on('error', ignore)
      resolve({socket, connected})
    })
  })
}

function ignore(): void {
  // `close` follows, and whoever reads this socket acts on that.
}
