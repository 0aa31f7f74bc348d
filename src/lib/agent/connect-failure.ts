import {isNativeError} from 'node:util/types'
import {reasonOfDistrust} from '../pki/distrust.js'
import type {Diagnosis, Problem} from '../resources/finding.js'
import {messageOf, PosternError, type ErrorCode} from '../core/errors.js'
import type {ServerError} from '../pgwire/server-error.js'
import {formatAddress, type Address} from '../resources/endpoint.js'

export const ownCaHint = 'Set tls.ca_cert_file of the database to the CA that issued the certificate.'

/** What there is to know about a connection that failed. */
export interface Situation {
  readonly target: Address
  /** Of the agent’s host. */
  readonly hostname: string
  /** Ids of the security groups that guard the database on AWS. */
  readonly securityGroups: readonly string[]
  /** What to do about a certificate that is not trusted. */
  readonly trustHint: string
}

/** What a code of Node or OpenSSL says about the way to the server. */
interface Reading {
  readonly code: ErrorCode
  readonly problem: Problem
  readonly message: string
  readonly cause: string
  readonly fix: string
}

/** The failure of a connection attempt as a sentence that names the step and the address, its cause, and what to do. */
export function connectFailure(error: unknown, situation: Situation): PosternError {
  const address = formatAddress(situation.target)
  if (error instanceof PosternError) {
    // What the codec wraps is the socket's own error, of which there is more to say here.
    const isWrapped = isNativeError(error.cause) && !(error.cause instanceof PosternError)
    return isWrapped ? connectFailure(error.cause, situation) : withAddress(error, address)
  }
  const {code, problem, message, cause, fix} = read(error, situation, `the database server at ${address}`)
  return new PosternError(code, message, {cause: error, problem, detail: cause, hint: fix})
}

function read(error: unknown, {trustHint, hostname, securityGroups, target}: Situation, server: string): Reading {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  const The = `T${server.slice(1)}`
  const test = `Test it on the agent’s host ${hostname}: nc -zv ${target.host} ${target.port}`
  const reach = (problem: Problem, message: string, cause: string, fix: string): Reading => {
    return {code: 'UNREACHABLE', problem, message, cause, fix: `${fix} ${test}`}
  }
  const distrust = (problem: Problem, message: string, cause: string, fix: string): Reading => {
    return {code: 'UNTRUSTED', problem, message, cause, fix}
  }
  switch (code) {
    case 'ECONNREFUSED':
      return reach(
        'refused',
        `${The} refused the connection.`,
        'The host is there, and nothing listens on the port, or a firewall rejects connections to it.',
        'Check that PostgreSQL runs there, the port in the uri, and firewalls.',
      )
    case 'ETIMEDOUT': {
      const groups = securityGroups.length > 0 ? `, in ${securityGroups.join(', ')}` : ''
      return reach(
        'timed-out',
        `${The} did not answer in time.`,
        'A firewall or security group drops the packets between the agent’s host and the database, or no route leads back.',
        `Let the agent’s host reach port ${target.port} of the database${groups}.`,
      )
    }
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return reach(
        'no-route',
        `There is no route to ${server}.`,
        'The routing of the agent’s host knows no way to the network of the database.',
        'Run the agent in the network of the database, or connect the two (VPC peering, a transit gateway).',
      )
    case 'CERT_HAS_EXPIRED':
      return distrust(
        'certificate-expired',
        `The certificate of ${server} has expired.`,
        'The certificate, or that of the authority that issued it, is past its end.',
        trustHint === ownCaHint
          ? 'Renew it.'
          : 'Rotate the SSL/TLS certificate of the database in AWS, to a current authority such as rds-ca-rsa2048-g1.',
      )
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return distrust(
        'certificate-for-other-names',
        `The certificate of ${server} is for other names.`,
        `${messageOf(error).replace(/\.$/, '')}.`,
        'Correct the uri, or set tls.server_name of the database to the name that its certificate is for.',
      )
  }
  if (/ALERT|ERR_SSL_(TLSV1|SSLV3)/.test(code)) return readAlert(error, trustHint, server)
  if (/CERT|SIGNATURE|UNABLE_TO|SELF_SIGNED/.test(code)) {
    return distrust(
      'certificate-not-trusted',
      `The certificate of ${server} is not trusted: ${reasonOfDistrust(error)}.`,
      'Its issuer is none of the authorities that the agent trusts for this database.',
      trustHint,
    )
  }
  return reach(
    'broken-connection',
    `The connection to ${server} broke: ${messageOf(error).replace(/\.$/, '')}.`,
    'The server, or something on the way to it, closed the connection before the session began.',
    'Check that PostgreSQL listens there, and its log.',
  )
}

function readAlert(error: unknown, trustHint: string, server: string): Reading {
  const The = `T${server.slice(1)}`
  // Only self-hosted databases are shown a certificate.
  if (trustHint !== ownCaHint) {
    return {
      code: 'UNREACHABLE',
      problem: 'broken-connection',
      message: `${The} ended the TLS handshake: ${messageOf(error)}.`,
      cause: 'Server and agent found no TLS that both accept.',
      fix: trustHint,
    }
  }
  return {
    code: 'ACCESS_DENIED',
    problem: 'client-certificate-refused',
    message: `${The} does not accept the certificate of the agent: ${messageOf(error)}.`,
    cause: 'The server does not trust the authority of the agent’s certificates.',
    fix: 'Its ssl_ca_file must hold the CA that `postern auth sign --format=db` wrote beside the server certificate.',
  }
}

function withAddress(error: PosternError, address: string): PosternError {
  if (error.message.includes(address)) return error
  const message = `${error.message.replace(/\.$/, '')} (${address}).`
  const {cause, detail, problem, hints} = error
  return new PosternError(error.code, message, {cause, detail, problem, hint: hints})
}

/** SQLSTATEs of a refused sign-in. */
const invalidAuthorization = '28000'
const invalidPassword = '28P01'

/** Whether the server says that this user may not come in. */
const isSignInDenied = ({code}: ServerError): boolean => code === invalidAuthorization || code === invalidPassword

/** The server's own refusal; its sentence and SQLSTATE reach the client, with the cause and what to do about it. */
export function signInRefused(error: ServerError, database: string, diagnosis: Diagnosis | undefined): PosternError {
  const code = isSignInDenied(error) ? 'ACCESS_DENIED' : 'FAILED'
  const message = `Database "${database}" refused the sign-in: ${error.message}`
  if (!diagnosis) return new PosternError(code, message, {cause: error, hint: error.hint})
  const {problem, cause: detail, fix: hint} = diagnosis
  return new PosternError(code, message, {cause: error, problem, detail, hint})
}

/** What a self-hosted PostgreSQL means by a refusal (auth.c, hba.c); undefined when it is about something else. */
export function readOwnRefusal(refusal: ServerError, dbUser: string): Diagnosis | undefined {
  const {message} = refusal
  const user = `"${dbUser.replaceAll('"', '""')}"`
  if (!isSignInDenied(refusal)) return undefined
  if (/role ".*" does not exist/.test(message)) {
    const cause = `There is no user ${user} in the database.`
    return {problem: 'no-such-user', cause, fix: `Run as its administrator: CREATE USER ${user};`}
  }
  if (/role ".*" is not permitted to log in/.test(message)) {
    const cause = `The database user ${user} may not log in.`
    return {problem: 'no-login', cause, fix: `Run as its administrator: ALTER ROLE ${user} LOGIN;`}
  }
  return {
    problem: 'no-hba-entry',
    cause: `No line of pg_hba.conf lets ${user} in with a certificate.`,
    fix: `Add a line to pg_hba.conf and reload: hostssl all ${user} 0.0.0.0/0 cert`,
  }
}
