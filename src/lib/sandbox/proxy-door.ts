/**
 * How an RDS Proxy lets clients in: by an IAM token or a password, each user as its secret says; it then signs in to the
 * database with the secret's password. Texts are those of the RDS User Guide ("Troubleshooting for RDS Proxy") and of users'
 * reports; the SQLSTATEs are not documented, and 28000 is what users report.
 */
import {Secret} from '../core/secret.js'
import {encodeErrorResponse, decodeServerError} from '../pgwire/server-error.js'
import {backend} from '../pgwire/message-types.js'
import {asItIs, refuse, states, type Admission, type Arrival, type DoorKeeper, type ServerMessage} from './admission.js'
import {findTokenFault} from './database-token.js'
import type {Proxy} from './databases.js'
import {Rate} from './rate.js'
import {iamRole, isMember, passwordOf, type RealPostgres} from './real-postgres.js'
import {isPassword, parseVerifier, verifierOf} from './scram-verifier.js'
import type {World} from './world.js'

export interface ProxyDoorOptions {
  readonly world: World
  readonly postgres: RealPostgres
  readonly proxy: Proxy
  /** Name of the endpoint. */
  readonly host: string
}

export function createProxyDoor(options: ProxyDoorOptions): DoorKeeper {
  const rate = new Rate()
  return {
    admit: async (arrival) => {
      const admission = await admitClient(options, arrival, rate)
      return admission.admitted ? signInToDatabase(options, admission) : admission
    },
    rewrite: rewriteGreeting,
  }
}

async function admitClient({world, proxy, host}: ProxyDoorOptions, arrival: Arrival, rate: Rate): Promise<Admission> {
  const {startup, secure, dialogue} = arrival
  const {user} = startup
  const denied = (message: string, reason = message): Admission => refuse(states.invalidAuthorization, message, reason)
  const unsupported = findUnsupported(arrival)
  if (unsupported !== undefined) {
    return refuse(states.notSupported, `Feature not supported: RDS Proxy ${unsupported}`, unsupported)
  }
  if (!secure && proxy.requireTls) return denied('This RDS Proxy requires TLS connections')
  const secret = proxy.secrets.get(user)
  if (!secret) {
    return denied(
      `This RDS proxy has no credentials for the role ${user}. Check the credentials for this role and try again.`,
    )
  }
  if (secret.iam === 'DISABLED') {
    if (await dialogue.scram(verifierOf(secret.password))) return {admitted: true, user}
    return denied(`The password that was provided for the role ${user} is wrong.`)
  }
  if (!secure) return denied('IAM is allowed only with SSL connections.')
  const token = (await dialogue.cleartext()) ?? new Secret('')
  if (!rate.take(host, world.switches.signInsPerSecond, world.monotonic())) {
    return denied('The IAM authentication failed because of too many competing requests.')
  }
  const {region, account, resourceId, port} = proxy
  const reason = findTokenFault(world, token, {host, port, user, region, account, resourceId})
  if (reason === undefined) return {admitted: true, user}
  return denied(
    `The IAM authentication failed for the role ${user}. Check the IAM token for this role and try again.`,
    reason,
  )
}

function findUnsupported({startup}: Arrival): string | undefined {
  if (startup.minor > 0) return 'supports only version 3.0 of the PostgreSQL messaging protocol.'
  return startup.parameters.has('replication') ? "currently doesn't support streaming replication mode." : undefined
}

/** The proxy's own sign-in: the password in the secret has to be the database's, which knows no tokens from it. */
async function signInToDatabase(
  {postgres, proxy}: ProxyDoorOptions,
  admission: Admission & {admitted: true},
): Promise<Admission> {
  const {user} = admission
  const failed = (text: string, reason: string): Admission =>
    refuse(states.invalidAuthorization, `Request returned an error: ${text} for user "${user}"`, reason)
  if (await isMember(postgres, user, iamRole)) {
    return failed('PAM authentication failed', `the database takes no password from a member of ${iamRole}`)
  }
  const secret = proxy.secrets.get(user)
  const verifier = parseVerifier((await passwordOf(postgres, user)) ?? '')
  if (verifier && secret && isPassword(secret.password, verifier)) return admission
  return failed('password authentication failed', "the secret's password is not the database user's")
}

/** Its clients share connections, so none gets a key to cancel queries with. */
function rewriteGreeting(message: ServerMessage): Buffer | undefined {
  if (message.type === backend.backendKeyData) return undefined
  if (message.type !== backend.errorResponse) return asItIs(message)
  const error = decodeServerError({payload: message.payload, size: message.payload.length})
  return encodeErrorResponse({...error, message: `Request returned an error: ${error.message}`})
}
