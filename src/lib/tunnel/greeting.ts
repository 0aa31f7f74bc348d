import type {Duplex} from 'node:stream'
import {messageOf, PosternError} from '../core/errors.js'
import {afterRunning} from '../core/running-time.js'

/**
 * Between our own ends (ALPN `postern/1`) the agent speaks first, one JSON line, after its checks of the certificate: with
 * TLS 1.3 the client's handshake is finished before the server has looked at the client's certificate.
 */
export const greetingProtocol = 'postern/1'

/** Why an agent takes no session. After `draining`, `stale` and `unreachable` another agent may; after the others none will. */
export const refusalCodes = ['denied', 'expired', 'draining', 'stale', 'unreachable'] as const
export type RefusalCode = (typeof refusalCodes)[number]

export type Greeting =
  | {readonly ok: true}
  | {readonly ok: false; readonly code: RefusalCode; readonly message: string; readonly hint?: string}

/**
 * What the agent says before any other word, when it has the startup message and opening the session takes a while, and again
 * and again as long as that lasts.
 * PostgreSQL has no message of this type ("Message Formats"). Who waits knows by it that the agent is there: without, a slow
 * sign-in and a connection that died in reserve look alike, and so does an agent that hangs.
 */
export const stillOpening = Buffer.from([0x2b, 0, 0, 0, 4])

/** When the agent says it, in milliseconds. */
export const openingPulse = {
  /** Well within the second that a local proxy gives an agent on a connection that it had in reserve. */
  first: 250,
  again: 2000,
  /** Who has heard nothing for so long gives the agent up. */
  silence: 10_000,
} as const

const maximumLine = 4096
const maximumMessage = 1024

export function encodeGreeting(greeting: Greeting): Buffer {
  const short = greeting.ok ? greeting : {...greeting, message: greeting.message.slice(0, maximumMessage)}
  return Buffer.from(`${JSON.stringify(short)}\n`)
}

/**
 * Reads the agent's line, leaving what follows in the stream.
 * @throws PosternError UNREACHABLE when it does not come within `timeoutMilliseconds`, or is no greeting
 */
export function readGreeting(stream: Duplex, timeoutMilliseconds: number): Promise<Greeting> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0)
    const finish = (outcome: Greeting | PosternError): void => {
      forget()
      stream.off('readable', onReadable).off('error', onError).off('close', onClose).off('end', onClose)
      if (outcome instanceof PosternError) reject(outcome)
      else resolve(outcome)
    }
    const fail = (why: string, cause?: unknown): void => {
      finish(new PosternError('UNREACHABLE', `The agent ${why}.`, {cause}))
    }
    const onError = (error: Error): void => {
      fail(`closed the connection: ${messageOf(error)}`, error)
    }
    const onClose = (): void => {
      fail('closed the connection without a greeting')
    }
    const onReadable = (): void => {
      for (let chunk = stream.read() as Buffer | null; chunk; chunk = stream.read() as Buffer | null) {
        received = Buffer.concat([received, chunk])
        const end = received.indexOf(0x0a)
        if (end >= 0) {
          const rest = received.subarray(end + 1)
          if (rest.length > 0) stream.unshift(rest)
          const greeting = parseGreeting(received.subarray(0, end).toString('utf8'))
          if (greeting) finish(greeting)
          else fail('sent a greeting that cannot be read')
          return
        }
        if (received.length > maximumLine) {
          fail('sent a greeting that is too long')
          return
        }
      }
    }
    const forget = afterRunning(timeoutMilliseconds, () => {
      fail(`sent no greeting within ${timeoutMilliseconds} ms`)
    })
    stream.on('readable', onReadable).on('error', onError).on('close', onClose).on('end', onClose)
    onReadable()
  })
}

function parseGreeting(line: string): Greeting | undefined {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || !('ok' in value)) return undefined
  if (value.ok === true) return {ok: true}
  if (!('code' in value) || !('message' in value) || typeof value.message !== 'string') return undefined
  const code = refusalCodes.find((known) => known === value.code)
  if (!code) return undefined
  const hint = 'hint' in value && typeof value.hint === 'string' ? {hint: value.hint} : {}
  return {ok: false, code, message: value.message, ...hint}
}
