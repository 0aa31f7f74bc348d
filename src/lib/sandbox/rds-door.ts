/**
 * How RDS and Aurora let clients in. Their pg_hba.conf sends members of rds_iam to PAM, which checks the token with AWS,
 * and everybody else to the password: a member cannot use a password, and nobody else a token.
 */
import {asItIs, refuse, states, type Admission, type Arrival, type DoorKeeper} from './admission.js'
import {findTokenFault} from './database-token.js'
import type {RdsServer} from './databases.js'
import {Rate} from './rate.js'
import {iamRole, isMember, passwordOf, type RealPostgres} from './real-postgres.js'
import {parseVerifier} from './scram-verifier.js'
import type {World} from './world.js'

export interface RdsDoorOptions {
  readonly world: World
  readonly postgres: RealPostgres
  /** The instance on its own, or the cluster. */
  readonly server: RdsServer
  /** Name of the endpoint. */
  readonly host: string
}

export function createRdsDoor(options: RdsDoorOptions): DoorKeeper {
  const rate = new Rate()
  return {
    admit: async (arrival) => {
      const usesIam = await isMember(options.postgres, arrival.startup.user, iamRole)
      if (!arrival.secure) {
        const refusal = refuseUnencrypted(arrival, usesIam, options.server)
        if (refusal) return refusal
      }
      return usesIam ? admitByToken(options, arrival, rate) : admitByPassword(options, arrival)
    },
    rewrite: asItIs,
  }
}

/** Texts of PostgreSQL itself (auth.c): RDS's lines for unencrypted connections reject members of rds_iam. */
function refuseUnencrypted({startup}: Arrival, usesIam: boolean, {requireTls}: RdsServer): Admission | undefined {
  const {user, database} = startup
  const who = `for host "127.0.0.1", user "${user}", database "${database}", no encryption`
  if (usesIam) return refuse(states.invalidAuthorization, `pg_hba.conf rejects connection ${who}`, 'IAM needs TLS')
  if (!requireTls) return undefined
  return refuse(states.invalidAuthorization, `no pg_hba.conf entry ${who}`, 'rds.force_ssl is on')
}

async function admitByToken(options: RdsDoorOptions, {startup, dialogue}: Arrival, rate: Rate): Promise<Admission> {
  const {world, server, host} = options
  const {user} = startup
  const token = await dialogue.cleartext()
  const {region, account, resourceId, port} = server
  const target = {host, port, user, region, account, resourceId}
  // All these end in the same words: the server knows no more than that PAM said no.
  let reason = token ? findTokenFault(world, token, target) : 'no password came'
  if (!server.iamAuthentication) reason = 'IAM authentication is off'
  else if (!rate.take(host, world.switches.signInsPerSecond, world.monotonic())) reason = 'too many sign-ins at once'
  if (reason === undefined) return {admitted: true, user}
  return refuse(states.invalidAuthorization, `PAM authentication failed for user "${user}"`, reason)
}

async function admitByPassword({postgres}: RdsDoorOptions, {startup, dialogue}: Arrival): Promise<Admission> {
  const {user} = startup
  const verifier = parseVerifier((await passwordOf(postgres, user)) ?? '')
  if (await dialogue.scram(verifier)) return {admitted: true, user}
  const text = `password authentication failed for user "${user}"`
  return refuse(states.invalidPassword, text, `the user is no member of ${iamRole}, and the password is wrong`)
}
