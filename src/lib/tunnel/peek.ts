/**
 * What a fresh connection wants, learnt from its first bytes:
 *
 *   client                              peek
 *     │ GSSENCRequest ────────────────►  │ answers N, once
 *     │ ◄────────────────────────────── N│
 *     │ SSLRequest ───────────────────►  │ refuses when more bytes came with it (CVE-2021-23214), else answers S, once
 *     │ ◄────────────────────────────── S│
 *     │ ClientHello ──────────────────►  │ {kind: 'tls', serverName, protocols, direct, head}
 *     │ or POSTERN/1 a.0.nonce\n ─────►  │ {kind: 'preamble', proxy, worker, nonce, head}
 *
 * PostgreSQL's requests: "Message Flow", §SSL Session Encryption and §GSSAPI Session Encryption.
 */
import type {Socket} from 'node:net'
import {afterRunning} from '../core/running-time.js'
import {maximumHelloBytes, readClientHello} from './client-hello.js'
import {readPreamble, type Preamble} from './preamble.js'

export interface PeekOptions {
  /** Bytes looked at before giving up; 16 KiB unless told. */
  readonly limitBytes?: number | undefined
  /** Time for all of it; 10 s unless told. */
  readonly timeoutMilliseconds?: number | undefined
  /** Answer PostgreSQL's requests for encryption. */
  readonly postgres?: boolean
  /** Take agents' data connections. */
  readonly preamble?: boolean
}

export type Peeked =
  | {
      readonly kind: 'tls'
      readonly serverName: string | undefined
      readonly protocols: readonly string[]
      /** It began with TLS, without PostgreSQL's SSLRequest before it. */
      readonly direct: boolean
      /** The ClientHello and all that came after it. */
      readonly head: Buffer
    }
  | (Preamble & {
      readonly kind: 'preamble'
      /** What came after the preamble. */
      readonly head: Buffer
    })
  /** The other end closed before it said anything whole. */
  | {readonly kind: 'closed'}
  | {readonly kind: 'rubbish'; readonly reason: string}

const defaultTimeoutMilliseconds = 10_000

const firstBytes = {tls: 0x16, postgres: 0x00, preamble: 'P'.charCodeAt(0)} as const
const requestBytes = 8
const gssEncryptionRequest = 80_877_104
const sslRequest = 80_877_103

interface Expectations {
  readonly gss: boolean
  readonly ssl: boolean
  readonly preamble: boolean
}

type Step =
  | Peeked
  /** Until there are so many bytes. */
  | {readonly kind: 'wait'; readonly bytes: number}
  | {readonly kind: 'answer'; readonly letter: 'N' | 'S'; readonly rest: Buffer}

const rubbish = (reason: string): Peeked => ({kind: 'rubbish', reason})
const wait = (bytes: number): Step => ({kind: 'wait', bytes})

/**
 * Reads a connection until it is clear what it is. Never rejects. The socket is left paused, with an `error` listener
 * and no other; the caller owns it and closes it where nothing can be done with it.
 */
export function peek(socket: Socket, options: PeekOptions = {}): Promise<Peeked> {
  const limit = options.limitBytes ?? maximumHelloBytes
  const timeout = options.timeoutMilliseconds ?? defaultTimeoutMilliseconds
  socket.on('error', ignore)
  if (socket.destroyed) return Promise.resolve({kind: 'closed'})

  return new Promise((resolve) => {
    const postgres = options.postgres ?? false
    let expected: Expectations = {gss: postgres, ssl: postgres, preamble: options.preamble ?? false}
    let direct = true
    let received: Buffer = Buffer.alloc(0)
    let needed = 1

    let isOver = false
    const finish = (result: Peeked): void => {
      if (isOver) return
      isOver = true
      forget()
      socket.off('data', onData).off('end', onClosed).off('close', onClosed).pause()
      resolve(result)
    }
    const onClosed = (): void => {
      finish({kind: 'closed'})
    }
    const onData = (chunk: Buffer): void => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk])
      while (received.length >= needed) {
        const step = nextStep(received, expected, limit)
        if (step.kind === 'wait') {
          needed = step.bytes
        } else if (step.kind === 'answer') {
          socket.write(step.letter)
          received = step.rest
          needed = 1
          direct &&= step.letter === 'N'
          expected = {gss: false, ssl: expected.ssl && step.letter === 'N', preamble: false}
        } else {
          finish(step.kind === 'tls' ? {...step, direct} : step)
          return
        }
      }
    }
    const expire = (): void => {
      finish(rubbish(received.length === 0 ? 'it stayed silent' : 'its first message never ended'))
    }
    const forget = afterRunning(timeout, expire)
    socket.on('data', onData).on('end', onClosed).on('close', onClosed)
  })
}

function nextStep(bytes: Buffer, expected: Expectations, limit: number): Step {
  const first = bytes[0]
  if (first === firstBytes.tls) {
    const hello = readClientHello(bytes, limit)
    if (hello.kind === 'hello') {
      return {kind: 'tls', serverName: hello.serverName, protocols: hello.protocols, direct: true, head: bytes}
    }
    return hello.kind === 'incomplete' ? wait(hello.needs) : rubbish(hello.reason)
  }
  if (first === firstBytes.preamble && expected.preamble) {
    const preamble = readPreamble(bytes)
    if (preamble.kind === 'incomplete') return wait(bytes.length + 1)
    if (preamble.kind === 'invalid') return rubbish(preamble.reason)
    const {proxy, worker, nonce, length} = preamble
    return {kind: 'preamble', proxy, worker, nonce, head: bytes.subarray(length)}
  }
  if (first === firstBytes.postgres && expected.ssl) return readPostgresRequest(bytes, expected)
  return rubbish('it is not TLS')
}

function readPostgresRequest(bytes: Buffer, expected: Expectations): Step {
  if (bytes.length < requestBytes) return wait(requestBytes)
  if (bytes.readUInt32BE(0) !== requestBytes) return rubbish('it speaks PostgreSQL without encryption')
  const code = bytes.readUInt32BE(4)
  const rest = bytes.subarray(requestBytes)
  if (code === gssEncryptionRequest && expected.gss) return {kind: 'answer', letter: 'N', rest}
  if (code !== sslRequest) return rubbish('its request is unknown to PostgreSQL, or came twice')
  // Bytes sent before the answer would enter the encrypted session from outside.
  return rest.length > 0
    ? rubbish(`${rest.length} bytes came before TLS was agreed`)
    : {kind: 'answer', letter: 'S', rest}
}

function ignore(): void {
  // A socket without an error listener would end the process; its `close` says all we need.
}
