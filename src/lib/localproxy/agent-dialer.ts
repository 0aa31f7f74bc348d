import {connect as tcpConnect, type Socket} from 'node:net'
import {connect as tlsConnect, type TLSSocket} from 'node:tls'
import {messageOf, PosternError, type ErrorCode} from '../core/errors.js'
import type {Credentials} from '../pki/credentials.js'
import {checkServerNames} from '../pki/server-names.js'
import {agentServerName} from '../resources/route.js'
import {greetingProtocol, readGreeting, type RefusalCode} from '../tunnel/greeting.js'

/** Time for TCP, TLS and the agent's greeting together. */
const handshakeMilliseconds = 3000

export interface AgentAddress {
  readonly proxy: {readonly host: string; readonly port: number}
  readonly cluster: string
  readonly hostId: string
}

export interface DialOptions {
  readonly credentials: Credentials
  readonly hostAuthorities: readonly string[]
  /** Where more than one agent serves a database, a hanging one must not cost the whole patience of a user. */
  readonly timeoutMilliseconds?: number
}

const refusalErrors: Readonly<Record<RefusalCode, ErrorCode>> = {
  denied: 'ACCESS_DENIED',
  expired: 'EXPIRED',
  draining: 'UNREACHABLE',
  stale: 'UNREACHABLE',
  unreachable: 'UNREACHABLE',
}

/**
 * A connection to one agent, TLS from here to there, its greeting read: the next bytes belong to PostgreSQL.
 * @throws PosternError UNREACHABLE when another agent may do better; ACCESS_DENIED or EXPIRED when none will
 */
export async function dialAgent(address: AgentAddress, options: DialOptions): Promise<TLSSocket> {
  const timeout = options.timeoutMilliseconds ?? handshakeMilliseconds
  const socket = await connectTls(address, options, timeout)
  try {
    const greeting = await readGreeting(socket, timeout)
    if (greeting.ok) return socket
    throw new PosternError(refusalErrors[greeting.code], greeting.message, {hint: greeting.hint})
  } catch (error) {
    socket.destroy()
    throw error
  }
}

function connectTls(
  {proxy, cluster, hostId}: AgentAddress,
  {credentials, hostAuthorities}: DialOptions,
  timeout: number,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const raw: Socket = tcpConnect({...proxy, allowHalfOpen: true})
    raw.setNoDelay(true)
    const socket = tlsConnect({
      socket: raw,
      servername: agentServerName(hostId, cluster),
      minVersion: 'TLSv1.3',
      ALPNProtocols: [greetingProtocol],
      ca: [...hostAuthorities],
      checkServerIdentity: checkServerNames,
      cert: credentials.certificate,
      key: credentials.privateKey.reveal(),
    })
    const fail = (error: Error): void => {
      clearTimeout(timer)
      raw.destroy()
      socket.destroy()
      reject(
        new PosternError(
          'UNREACHABLE',
          `The agent cannot be reached through ${proxy.host}:${proxy.port}: ${messageOf(error)}.`,
          {
            cause: error,
            hint: 'Check that the proxy and the agent of this database are running.',
          },
        ),
      )
    }
    const timer = setTimeout(() => {
      fail(new Error(`no answer within ${timeout} ms`))
    }, timeout)
    const onClose = (): void => {
      fail(new Error('the proxy closed the connection'))
    }
    raw.once('error', fail)
    socket.once('error', fail)
    socket.once('close', onClose)
    socket.once('secureConnect', () => {
      clearTimeout(timer)
      raw.off('error', fail).on('error', ignore)
      socket.off('error', fail).off('close', onClose).on('error', ignore)
      resolve(socket)
    })
  })
}

function ignore(): void {
  // `close` follows, and whoever reads this socket acts on that.
}
