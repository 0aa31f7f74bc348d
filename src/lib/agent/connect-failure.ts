import {isNativeError} from 'node:util/types'
import {messageOf, PosternError} from '../core/errors.js'
import type {ServerError} from '../pgwire/server-error.js'

const unreachableHint =
  'Check that PostgreSQL runs there, and that firewalls and security groups let the host of the agent through.'
export const ownCaHint =
  'Set tls.ca_cert_file of the database to the CA that issued the certificate, and tls.server_name if it is for another name.'

/**
 * The failure of a connection attempt as a sentence that names the step and the address.
 * @param trustHint what to do about a certificate that is not trusted
 */
export function connectFailure(error: unknown, address: string, trustHint: string): PosternError {
  if (error instanceof PosternError) {
    // What the codec wraps is the socket's own error, of which there is more to say here.
    const isWrapped = isNativeError(error.cause) && !(error.cause instanceof PosternError)
    return isWrapped ? connectFailure(error.cause, address, trustHint) : withAddress(error, address)
  }
  const code = (error as NodeJS.ErrnoException).code ?? ''
  const failure = (kind: 'UNREACHABLE' | 'UNTRUSTED' | 'ACCESS_DENIED', message: string, hint: string): PosternError =>
    new PosternError(kind, message, {cause: error, hint})
  switch (code) {
    case 'ECONNREFUSED':
      return failure('UNREACHABLE', `The database server at ${address} refused the connection.`, unreachableHint)
    case 'ETIMEDOUT':
      return failure('UNREACHABLE', `The database server at ${address} did not answer in time.`, unreachableHint)
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return failure('UNREACHABLE', `There is no route to the database server at ${address}.`, unreachableHint)
    case 'ECONNRESET':
    case 'EPIPE':
      return failure('UNREACHABLE', `The database server at ${address} broke the connection.`, unreachableHint)
    case 'CERT_HAS_EXPIRED':
      return failure('UNTRUSTED', `The certificate of the database server at ${address} has expired.`, 'Renew it.')
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return failure('UNTRUSTED', `The certificate of the database server at ${address} is for other names.`, trustHint)
  }
  if (/ALERT|ERR_SSL_(TLSV1|SSLV3)/.test(code)) {
    // Only self-hosted databases are shown a certificate.
    if (trustHint !== ownCaHint) {
      const message = `The database server at ${address} ended the TLS handshake: ${messageOf(error)}.`
      return failure('UNREACHABLE', message, trustHint)
    }
    return failure(
      'ACCESS_DENIED',
      `The database server at ${address} does not accept the certificate of the agent: ${messageOf(error)}.`,
      'Its ssl_ca_file must hold the CA that `postern auth sign --format=db` wrote beside the server certificate.',
    )
  }
  if (/CERT|SIGNATURE|UNABLE_TO|SELF_SIGNED/.test(code)) {
    return failure(
      'UNTRUSTED',
      `The certificate of the database server at ${address} is not trusted: ${messageOf(error)}.`,
      trustHint,
    )
  }
  return failure('UNREACHABLE', `The connection to ${address} failed: ${messageOf(error)}.`, unreachableHint)
}

function withAddress(error: PosternError, address: string): PosternError {
  if (error.message.includes(address)) return error
  const message = `${error.message.replace(/\.$/, '')} (${address}).`
  return new PosternError(error.code, message, {cause: error.cause, hint: error.hints})
}

/** SQLSTATEs of a refused sign-in. */
const invalidAuthorization = '28000'
const invalidPassword = '28P01'

/** Whether the server says that this user may not come in. */
export const isSignInDenied = ({code}: ServerError): boolean =>
  code === invalidAuthorization || code === invalidPassword

/** The server's own refusal; its sentence and SQLSTATE reach the client, with what to do about it. */
export function signInRefused(error: ServerError, database: string, advice: readonly string[]): PosternError {
  const denied = isSignInDenied(error)
  const hint = [...(error.hint === undefined ? [] : [error.hint]), ...advice]
  return new PosternError(
    denied ? 'ACCESS_DENIED' : 'FAILED',
    `Database "${database}" refused the sign-in: ${error.message}`,
    {
      cause: error,
      hint,
    },
  )
}
