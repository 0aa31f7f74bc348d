import {connect as tlsConnect, type TLSSocket} from 'node:tls'
import {isIP} from 'node:net'
import {setImmediate as nextTurn} from 'node:timers/promises'
import type {Dispatcher} from 'undici'
import {printable} from '../core/printable.js'
import {isErrorCode, messageOf, PosternError, type ErrorCode} from '../core/errors.js'
import {afterRunning} from '../core/running-time.js'
import type {Credentials} from '../pki/credentials.js'
import {reasonOfDistrust} from '../pki/distrust.js'
import {checkServerNames} from '../pki/server-names.js'
import {loadHttp, type Pool} from './http.js'

/** How to reach and trust the control plane. */
export interface Endpoint {
  readonly host: string
  readonly port: number
  /** The route in the ClientHello, and the name that the certificate must carry; absent for an IP address. */
  readonly serverName?: string
  /** PEM roots; `unverified` skips every check and is for fetching public data that is then checked by pin, or --insecure. */
  readonly authorities: readonly string[] | 'unverified'
  /** Asked for each new connection, so that a renewed certificate is used without a new client. */
  readonly credentials?: () => Credentials
}

export interface TransportOptions {
  readonly connectTimeoutMilliseconds?: number
  readonly requestTimeoutMilliseconds?: number
}

const defaultConnectTimeout = 10_000
const defaultRequestTimeout = 30_000
const maximumConnections = 8
/** A page of audit events with long SQL is the largest answer; more than this is an attack on our memory. */
const maximumAnswerBytes = 128 * 1024 * 1024

/** HTTP over one endpoint's TLS 1.3. JSON in, JSON out; failures become PosternErrors with the server's code. */
export class Transport {
  readonly #endpoint: Endpoint
  readonly #options: TransportOptions
  #pool: Promise<Pool> | undefined
  readonly #connecting = new Set<TLSSocket>()

  constructor(endpoint: Endpoint, options: TransportOptions = {}) {
    this.#endpoint = endpoint
    this.#options = options
  }

  get endpoint(): Endpoint {
    return this.#endpoint
  }

  /**
   * One request; a body of bytes is lines of JSON.
   * @throws PosternError with the code that the control plane gave, or UNREACHABLE, UNTRUSTED
   */
  async request<T>(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<T> {
    const answer = await this.#dispatch({
      method,
      path,
      ...(body === undefined ? {} : encodeBody(body)),
    })
    const text = await this.#readText(answer)
    if (answer.statusCode >= 400) throw readError(answer.statusCode, text)
    if (text === '') return undefined as T
    try {
      return JSON.parse(text) as T
    } catch (error) {
      throw new PosternError('FAILED', 'The control plane sent an answer that is not JSON.', {
        cause: error,
        hint: `Check that ${this.#address()} is a Postern proxy.`,
      })
    }
  }

  /** A streaming GET: the body as it arrives. It ends when the signal fires or the server closes. */
  async stream(path: string, signal: AbortSignal): Promise<Dispatcher.ResponseData['body']> {
    const answer = await this.#dispatch({method: 'GET', path, signal, bodyTimeout: 0})
    if (answer.statusCode >= 400) throw readError(answer.statusCode, await this.#readText(answer))
    return answer.body
  }

  async close(): Promise<void> {
    const pool = this.#pool
    this.#pool = undefined
    // One that never opened has told whoever asked.
    await (await pool?.catch(() => undefined))?.destroy()
    for (const socket of this.#connecting) socket.destroy()
  }

  async #dispatch(options: Dispatcher.RequestOptions): Promise<Dispatcher.ResponseData> {
    const timeout = this.#options.requestTimeoutMilliseconds ?? defaultRequestTimeout
    try {
      const pool = await (this.#pool ??= this.#open())
      return await pool.request({headersTimeout: timeout, bodyTimeout: timeout, ...options})
    } catch (error) {
      throw this.#unreachable(error)
    }
  }

  async #readText({body}: Dispatcher.ResponseData): Promise<string> {
    const chunks: Buffer[] = []
    let size = 0
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        size += chunk.length
        if (size > maximumAnswerBytes) throw new PosternError('FAILED', 'The control plane sent an endless answer.')
        chunks.push(chunk)
      }
    } catch (error) {
      throw this.#unreachable(error)
    }
    // undici takes the connection for busy until then: the next request would open another, for the price of a handshake.
    await nextTurn()
    return Buffer.concat(chunks).toString('utf8')
  }

  async #open(): Promise<Pool> {
    const {Pool} = await loadHttp()
    const {host, port, serverName, authorities, credentials} = this.#endpoint
    const name = serverName ?? (isIP(host) ? '' : host)
    const timeout = this.#options.connectTimeoutMilliseconds ?? defaultConnectTimeout
    return new Pool(`https://${serverName ?? (isIP(host) === 6 ? `[${host}]` : host)}:${port}`, {
      // A watch stream keeps one connection for itself; the rest is for requests.
      connections: maximumConnections,
      pipelining: 1,
      keepAliveTimeout: 30_000,
      // undici's own connector would send the URL's host as SNI and knows no separate route name.
      connect: (_options, callback) => {
        const own = credentials?.()
        const socket = tlsConnect({
          host,
          port,
          servername: name,
          minVersion: 'TLSv1.3',
          ALPNProtocols: ['http/1.1'],
          ...(authorities === 'unverified'
            ? {rejectUnauthorized: false}
            : {ca: [...authorities], rejectUnauthorized: true, checkServerIdentity: checkServerNames}),
          ...(own ? {cert: own.certificate, key: own.privateKey.reveal()} : {}),
        })
        socket.setNoDelay(true)
        this.#connecting.add(socket)
        const forget = afterRunning(timeout, () => {
          socket.destroy(new Error(`it did not answer within ${timeout} ms`))
        })
        const settle = (): void => {
          forget()
          this.#connecting.delete(socket)
        }
        socket.once('close', settle)
        const onError = (error: Error): void => {
          settle()
          callback(error, null)
        }
        socket.once('error', onError)
        socket.once('secureConnect', () => {
          settle()
          socket.off('error', onError)
          callback(null, socket)
        })
      },
    })
  }

  #address(): string {
    return `${this.#endpoint.host}:${this.#endpoint.port}`
  }

  #unreachable(error: unknown): PosternError {
    if (error instanceof PosternError) return error
    const {code, name} = labelsOf(error)
    if (isTrustFailure(code)) {
      return new PosternError(
        'UNTRUSTED',
        `The certificate of ${this.#address()} is not trusted: ${reasonOfDistrust(error)}.`,
        {
          cause: error,
          hint: [
            'Give the CA pin that `postern status` prints on the control plane with --ca-pin, or its CA file with --ca-file.',
            'If a pin was given, check that the address belongs to this cluster.',
          ],
        },
      )
    }
    if (name === 'AbortError') return new PosternError('UNREACHABLE', 'The request was given up.', {cause: error})
    return new PosternError(
      'UNREACHABLE',
      `The control plane at ${this.#address()} cannot be reached: ${describeFailure(error, code)}.`,
      {
        cause: error,
        hint: 'Check the address, that the proxy runs, and that a firewall lets you through.',
      },
    )
  }
}

function encodeBody(body: unknown): Pick<Dispatcher.RequestOptions, 'body' | 'headers'> {
  if (Buffer.isBuffer(body)) return {body, headers: {'content-type': 'application/x-ndjson'}}
  return {body: JSON.stringify(body), headers: {'content-type': 'application/json'}}
}

/** Code and name of an error; a DOMException's code is a number, and says nothing here. */
function labelsOf(error: unknown): {code: string; name: unknown} {
  const {code, name} = (error ?? {}) as {code?: unknown; name?: unknown}
  return {code: typeof code === 'string' ? code : '', name}
}

/** Codes of OpenSSL's verification (X509_verify_cert_error_string) and of Node's check of the name. */
function isTrustFailure(code: string): boolean {
  // ERR_SSL_* is about the handshake: the other end may even be complaining about our certificate.
  return !code.startsWith('ERR_SSL_') && /CERT|SELF_SIGNED|UNABLE_TO_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH/.test(code)
}

function describeFailure(error: unknown, code: string): string {
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') return 'it did not answer in time'
  if (code === 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' || code === 'ERR_SSL_UNSUPPORTED_PROTOCOL')
    return 'it does not speak TLS 1.3'
  return messageOf(error)
}

/** The body of every error answer. */
export interface ErrorBody {
  readonly error: {readonly code: ErrorCode; readonly message: string; readonly hints?: readonly string[]}
}

function readError(status: number, text: string): PosternError {
  try {
    const {error} = JSON.parse(text) as Partial<ErrorBody>
    if (error && isErrorCode(error.code) && typeof error.message === 'string') {
      const hints: readonly unknown[] = Array.isArray(error.hints) ? error.hints : []
      // Before trust is settled anybody may answer, and people read this on a terminal.
      return new PosternError(error.code, printable(error.message), {
        hint: hints.map((hint) => printable(String(hint))),
      })
    }
  } catch {
    // Not one of our answers: told below.
  }
  return new PosternError('FAILED', `The control plane answered with HTTP status ${status}.`)
}
