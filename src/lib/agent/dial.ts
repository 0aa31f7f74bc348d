/**
 * From an Authorization to a signed-in session of the database:
 *
 *   agent                                     database server
 *     ── TCP, to the address resolved before ──►
 *     ── SSLRequest ──────────────────────────►
 *     ◄─ S ────────────────────────────────────
 *     ══ TLS, verify-full ════════════════════   self-hosted: client certificate of the db_client CA
 *     ── StartupMessage, sign-in ─────────────►   on AWS: a password of AWS
 *     ◄─ … ReadyForQuery ──────────────────────
 */
import {connect, type Socket, type TcpNetConnectOpts} from 'node:net'
import type {TLSSocket} from 'node:tls'
import type {Authorization} from '../access/authorization.js'
import {afterRunning} from '../core/running-time.js'
import {encodeCancel} from '../pgwire/first-packet.js'
import {signIn, type SignedIn} from '../pgwire/sign-in.js'
import type {ServerError} from '../pgwire/server-error.js'
import type {BackendKey} from '../pgwire/server-messages.js'
import {requestTls} from '../pgwire/tls-request.js'
import type {Credentials} from '../pki/credentials.js'
import {tuneSocket} from '../tunnel/splice.js'
import type {Served} from './catalog.js'
import {connectFailure, signInRefused} from './connect-failure.js'
import {secure, serverTls, type ServerTls} from './server-tls.js'
import type {SignInMethod} from './sign-in-method.js'
import {lookupOf, type TargetAddress} from './target-address.js'

export interface DialRequest {
  readonly served: Served
  readonly target: TargetAddress
  readonly method: SignInMethod
  /** Startup parameters of the client that the server gets to see. */
  readonly parameters: ReadonlyMap<string, string>
  /** Minor version of the protocol that the client speaks: from 3.2 on the server may give a long cancel secret. 0 unless told. */
  readonly minor?: number | undefined
  /** Of the agent’s host. */
  readonly hostname: string
  readonly securityGroups?: readonly string[] | undefined
  /** Nobody waits for the session any more. */
  readonly departure?: AbortSignal | undefined
}

/** A database session that is ready for queries. */
export interface DatabaseSession {
  readonly socket: TLSSocket
  readonly signedIn: SignedIn
  /** Asks the server to cancel what the session is doing, at the address where it is. Never rejects. */
  readonly cancel: () => Promise<void>
}

/** How servers of before 2018 refuse every minor version but 0. */
const unsupportedProtocol = '0A000'
const timeouts = {tcp: 10_000, tls: 10_000, signIn: 30_000, cancel: 5000} as const

/**
 * Opens the one session that the authorization allows: its database, its user, its name.
 * @throws PosternError naming the step that failed; the cause of a refused sign-in is the server's error
 */
export async function dialDatabase(authorization: Authorization, request: DialRequest): Promise<DatabaseSession> {
  const {served, target, method} = request
  const allowed = authorization.spend()
  const {name} = served.database.metadata
  if (allowed.explanation.database !== name) throw new Error('the authorization is for another database')

  try {
    const tls = await serverTls(served.database, method.serverName ?? target.host, method)
    const attempt = await openSession(request, tls, request.minor ?? 0)
    if (!('error' in attempt)) return attempt
    const isOld = attempt.error.code === unsupportedProtocol && request.minor
    const session = isOld ? await openSession(request, tls, 0) : attempt
    if (!('error' in session)) return session
    throw signInRefused(session.error, name, method.explain(session.error))
  } catch (error) {
    const {hostname, securityGroups = []} = request
    throw connectFailure(error, {target, hostname, securityGroups, trustHint: method.trustHint})
  }
}

/** Connects and signs in; the server's refusal, if that is what comes. */
async function openSession(
  {target, method, parameters, departure}: DialRequest,
  tls: ServerTls,
  minor: number,
): Promise<DatabaseSession | {readonly error: ServerError}> {
  const raw = await connectTcp({host: target.host, port: target.dialPort, lookup: lookupOf(target)}, departure)
  // The host may have many addresses: a cancel must find the one that this session is at.
  const at = {host: raw.remoteAddress ?? target.host, port: target.dialPort}
  const {socket, signedIn} = await whileAwaited(raw, departure, async () => {
    const secured = await upgrade(raw, tls, method.credentials)
    const {user, dbName: database, authenticator} = method
    const request = {user, database, parameters, authenticator, allowCleartext: tls.verified, minor}
    return {socket: secured, signedIn: await signIn(secured, request, {timeout: timeouts.signIn})}
  })
  if (!signedIn.ok) return {error: signedIn.error}
  const {backendKey} = signedIn
  return {
    socket,
    signedIn,
    cancel: () => (backendKey ? cancelQuery(at, tls, backendKey) : Promise.resolve()),
  }
}

async function upgrade(raw: Socket, tls: ServerTls, credentials?: Credentials): Promise<TLSSocket> {
  await requestTls(raw, {timeout: timeouts.tls})
  return secure(raw, tls, credentials, timeouts.tls)
}

/** A cancel request of its own, over the same TLS as the session (CVE-2020-25694); the server answers by closing. */
async function cancelQuery(at: {host: string; port: number}, tls: ServerTls, key: BackendKey): Promise<void> {
  try {
    // Without the client certificate: nobody is authenticated here, and an expired one would be refused.
    const socket = await upgrade(await connectTcp(at), tls)
    await new Promise<void>((resolve) => {
      socket.setTimeout(timeouts.cancel, () => socket.destroy())
      socket.once('error', () => socket.destroy())
      socket.once('close', () => {
        resolve()
      })
      socket.resume()
      socket.end(encodeCancel(key))
    })
  } catch {
    // Nobody waits for the outcome of a cancel request.
  }
}

/** Goes through steps on a connection, which is closed when nobody waits for them any more: none of them goes on then. */
async function whileAwaited<T>(
  socket: Socket,
  departure: AbortSignal | undefined,
  steps: () => Promise<T>,
): Promise<T> {
  const giveUp = (): void => {
    socket.destroy(new Error('nobody waits for it any more'))
  }
  departure?.addEventListener('abort', giveUp)
  try {
    return await steps()
  } finally {
    departure?.removeEventListener('abort', giveUp)
  }
}

function connectTcp(at: TcpNetConnectOpts, departure?: AbortSignal): Promise<Socket> {
  departure?.throwIfAborted()
  const socket = connect(at)
  return whileAwaited(socket, departure, () => connected(socket))
}

function connected(socket: Socket): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const forget = afterRunning(timeouts.tcp, () => {
      socket.destroy(Object.assign(new Error('no answer'), {code: 'ETIMEDOUT'}))
    })
    const fail = (error: Error): void => {
      forget()
      reject(error)
    }
    socket.once('error', fail)
    socket.once('connect', () => {
      forget()
      socket.off('error', fail)
      tuneSocket(socket)
      resolve(socket)
    })
  })
}
