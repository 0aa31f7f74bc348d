/** TLS towards a database: which roots, which name, which checks (agent contract, chapter 5.5). */
import {once} from 'node:events'
import {isIP, type Socket} from 'node:net'
import {
  checkServerIdentity,
  connect,
  createSecureContext,
  type ConnectionOptions,
  type PeerCertificate,
  type SecureContext,
  type TLSSocket,
} from 'node:tls'
import {PosternError} from '../core/errors.js'
import type {Credentials} from '../pki/credentials.js'
import {systemRoots} from '../pki/roots.js'
import type {Database} from '../resources/database.js'

export interface ServerTls {
  /** Whether the server has proved its name. */
  readonly verified: boolean
  readonly options: ConnectionOptions
}

/** Databases of some age speak no TLS 1.3. */
const oldestVersion = 'TLSv1.2'

/**
 * How to secure connections to a database: `verify-full` unless the resource says otherwise.
 * @param authorities PEM certificates to trust when the resource names no CA of its own
 */
export async function serverTls(database: Database, host: string, authorities: readonly string[]): Promise<ServerTls> {
  const tls = database.spec.tls ?? {}
  const name = tls.server_name ?? host
  const base: ConnectionOptions = {minVersion: oldestVersion, servername: isIP(name) ? '' : name}
  if (tls.mode === 'insecure') return {verified: false, options: {...base, rejectUnauthorized: false}}
  const ca = [
    ...(tls.ca_cert === undefined ? authorities : [tls.ca_cert]),
    ...(tls.trust_system_cert_pool ? await systemRoots() : []),
  ]
  const checkName = (_name: string, certificate: PeerCertificate): Error | undefined =>
    tls.mode === 'verify-ca' ? undefined : checkNames(name, certificate)
  return {verified: tls.mode !== 'verify-ca', options: {...base, ca, checkServerIdentity: checkName}}
}

/** The certificate's alternative names; Node would also take its subject, which no authority vouches for as a name. */
function checkNames(name: string, certificate: PeerCertificate): Error | undefined {
  if (certificate.subjectaltname) return checkServerIdentity(name, certificate)
  return new PosternError('UNTRUSTED', 'The certificate of the database server carries no subject alternative names.', {
    hint: 'Issue a certificate with names, for example with `postern auth sign --format=db --host=NAME`.',
  })
}

/** Reading keys and certificates costs a third of a connection, and sessions of one user share them. */
const contexts = new WeakMap<Credentials, {readonly roots: string; readonly context: SecureContext}>()

function contextFor(credentials: Credentials, ca: ConnectionOptions['ca']): SecureContext {
  const roots = [ca ?? ''].flat().join('\n')
  const known = contexts.get(credentials)
  if (known?.roots === roots) return known.context
  const {certificate, privateKey} = credentials
  const context = createSecureContext({
    minVersion: oldestVersion,
    cert: certificate,
    key: privateKey.reveal(),
    ...(ca === undefined ? {} : {ca}),
  })
  contexts.set(credentials, {roots, context})
  return context
}

/** Secures a connection whose server is ready for the ClientHello; on failure it is destroyed. */
export async function secure(
  socket: Socket,
  {options}: ServerTls,
  credentials: Credentials | undefined,
  timeoutMilliseconds: number,
): Promise<TLSSocket> {
  const own = credentials && {secureContext: contextFor(credentials, options.ca)}
  const secured = connect({...options, ...own, socket})
  const timer = setTimeout(() => {
    secured.destroy(Object.assign(new Error('the TLS handshake took too long'), {code: 'ETIMEDOUT'}))
  }, timeoutMilliseconds)
  try {
    await once(secured, 'secureConnect')
    return secured
  } catch (error) {
    secured.destroy()
    throw error
  } finally {
    clearTimeout(timer)
  }
}
