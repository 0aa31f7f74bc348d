/** TLS towards a database: which roots, which name, which checks (agent contract, chapter 5.5). */
import {isIP, type Socket} from 'node:net'
import {
  connect,
  createSecureContext,
  type ConnectionOptions,
  type PeerCertificate,
  type SecureContext,
  type TLSSocket,
} from 'node:tls'
import {PosternError} from '../core/errors.js'
import {afterRunning} from '../core/running-time.js'
import type {Credentials} from '../pki/credentials.js'
import {systemRoots} from '../pki/roots.js'
import {checkServerNames} from '../pki/server-names.js'
import type {Database} from '../resources/database.js'

export interface ServerTls {
  /** Whether the server has proved who it is, so that it may be told a password. */
  readonly verified: boolean
  readonly options: ConnectionOptions
}

/** Databases of some age speak no TLS 1.3. */
const oldestVersion = 'TLSv1.2'

/** Whom to trust when the database resource names no CA of its own. */
export interface DefaultTrust {
  /** PEM. */
  readonly authorities: readonly string[]
  /** Whether anybody can have a certificate from one of them, for a name of their own. */
  readonly isPublic: boolean
  /** How to get a certificate with names. */
  readonly namesHint: string
}

/** How to secure connections to a database: `verify-full` unless the resource says otherwise. */
export async function serverTls(database: Database, host: string, trust: DefaultTrust): Promise<ServerTls> {
  const tls = database.spec.tls ?? {}
  const name = tls.server_name ?? host
  const base: ConnectionOptions = {minVersion: oldestVersion, servername: isIP(name) ? '' : name}
  if (tls.mode === 'insecure') return {verified: false, options: {...base, rejectUnauthorized: false}}
  const own = tls.ca_cert === undefined ? trust.authorities : [tls.ca_cert]
  const ca = tls.trust_system_cert_pool ? [...own, ...(await systemRoots(process.env.SSL_CERT_FILE))] : [...own]
  const isPublic = tls.trust_system_cert_pool === true || (tls.ca_cert === undefined && trust.isPublic)
  const isNamed = tls.mode !== 'verify-ca'
  const checkName = (_name: string, certificate: PeerCertificate): Error | undefined =>
    isNamed ? checkNames(name, certificate, trust.namesHint) : undefined
  // Without its name, a server proves itself only by an authority that signs for nobody else.
  return {
    verified: isNamed || !isPublic,
    // Said aloud, because NODE_TLS_REJECT_UNAUTHORIZED of the environment must not say otherwise.
    options: {...base, ca, rejectUnauthorized: true, checkServerIdentity: checkName},
  }
}

function checkNames(name: string, certificate: PeerCertificate, hint: string): Error | undefined {
  if (certificate.subjectaltname) return checkServerNames(name, certificate)
  return new PosternError(
    'UNTRUSTED',
    'The certificate of the database server carries no subject alternative names ' +
      '(x509: certificate relies on legacy Common Name field, use SANs instead).',
    {
      hint,
      problem: 'certificate-without-names',
      detail: 'The certificate says whom it is for in its Common Name only, which nobody checks any more.',
    },
  )
}

/** Reading keys and certificates costs a third of a connection, and sessions of one user share them. */
const contexts = new WeakMap<Credentials, {readonly roots: string; readonly context: SecureContext}>()
/** By their roots: databases on AWS take no certificate of ours, and have a hundred roots. */
const anonymousContexts = new Map<string, SecureContext>()
const keptAnonymous = 32

function contextFor(credentials: Credentials | undefined, ca: ConnectionOptions['ca']): SecureContext {
  const roots = [ca ?? ''].flat().join('\n')
  const known = credentials ? contexts.get(credentials) : undefined
  const found = credentials ? (known?.roots === roots ? known.context : undefined) : anonymousContexts.get(roots)
  if (found) return found
  const context = createSecureContext({
    minVersion: oldestVersion,
    ...(credentials && {cert: credentials.certificate, key: credentials.privateKey.reveal()}),
    ...(ca === undefined ? {} : {ca}),
  })
  if (credentials) contexts.set(credentials, {roots, context})
  else {
    if (anonymousContexts.size >= keptAnonymous) anonymousContexts.clear()
    anonymousContexts.set(roots, context)
  }
  return context
}

/** Secures a connection whose server is ready for the ClientHello; on failure it is destroyed. */
export async function secure(
  socket: Socket,
  {options}: ServerTls,
  credentials: Credentials | undefined,
  timeoutMilliseconds: number,
): Promise<TLSSocket> {
  const secured = connect({...options, secureContext: contextFor(credentials, options.ca), socket})
  const forget = afterRunning(timeoutMilliseconds, () => {
    secured.destroy(Object.assign(new Error('the TLS handshake took too long'), {code: 'ETIMEDOUT'}))
  })
  try {
    await handshake(secured)
    return secured
  } catch (error) {
    secured.destroy()
    throw error
  } finally {
    forget()
  }
}

function handshake(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    // Of a connection that is closed below it nothing else is heard.
    const onClose = (): void => {
      reject(new Error('the connection was closed'))
    }
    socket.once('error', reject).once('close', onClose)
    socket.once('secureConnect', () => {
      socket.off('error', reject).off('close', onClose)
      resolve()
    })
  })
}
