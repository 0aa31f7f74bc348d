/**
 * How Redshift lets clients in: by passwords that its API gave out (Redshift Management Guide, "Using IAM authentication").
 * `IAM:alice` signs in as the user alice, `IAMR:role` as a user of that very name, which is made when it is missing.
 */
import {encodeParameterStatus, decodeParameterStatus} from '../pgwire/server-messages.js'
import {backend} from '../pgwire/message-types.js'
import {asItIs, refuse, states, type Admission, type Arrival, type DoorKeeper, type ServerMessage} from './admission.js'
import type {RedshiftCluster, RedshiftCredential, Workgroup} from './databases.js'
import {ensureRole, roleExists, type RealPostgres} from './real-postgres.js'
import {foldName, realUserOf} from './redshift-credentials.js'
import type {World} from './world.js'

/** Redshift says that it is this PostgreSQL. */
const serverVersion = '8.0.2'

/** What Amazon's own drivers tell it (ConnectionFactoryImpl of amazon-redshift-jdbc-driver). */
const ownParameters: ReadonlySet<string> = new Set([
  ...['driver_version', 'os_version', 'plugin_name', 'client_protocol_version', 'driver_discovery_version'],
  ...['idp_type', 'provider_name', 'token_type', 'identity_namespace', 'idc_client_display_name'],
])

export interface RedshiftDoorOptions {
  readonly world: World
  readonly postgres: RealPostgres
  readonly server: RedshiftCluster | Workgroup
  /** How it asks for the password; which the real ones do is not documented, so both ways are here. */
  readonly asks: 'md5' | 'cleartext'
}

export function createRedshiftDoor(options: RedshiftDoorOptions): DoorKeeper {
  return {ownParameters, admit: (arrival) => admit(options, arrival), rewrite: rewriteGreeting}
}

async function admit({world, postgres, server, asks}: RedshiftDoorOptions, arrival: Arrival): Promise<Admission> {
  const {startup, secure, dialogue} = arrival
  const {user, database} = startup
  if (startup.minor > 0) {
    const text = `unsupported frontend protocol 3.${startup.minor}: server supports 1.0 to 3.0`
    return refuse(states.notSupported, text, 'the client asks for a newer protocol')
  }
  if (!secure && server.requireTls) {
    const text = `no pg_hba.conf entry for host "127.0.0.1", user "${user}", database "${database}", SSL off`
    return refuse(states.invalidAuthorization, text, 'require_ssl is on')
  }
  const candidates = [...world.redshiftCredentials].filter(
    (credential) => credential.server === server.arn && isGoodFor(credential, user, database, world.now()),
  )
  const credential =
    asks === 'md5' ? await dialogue.md5(user, candidates) : pick(candidates, (await dialogue.cleartext())?.reveal())
  if (!credential) {
    // PostgreSQL 8.0 knew no SQLSTATE of its own for wrong passwords.
    const text = `password authentication failed for user "${user}"`
    return refuse(states.invalidAuthorization, text, 'no such password was given out for this user and database')
  }
  const realUser = realUserOf(credential)
  if (credential.autoCreate) await ensureRole(postgres, realUser, 'login')
  if (await roleExists(postgres, realUser)) return {admitted: true, user: realUser}
  return refuse(states.undefinedObject, `user "${user}" does not exist`, 'the user was never created')
}

function isGoodFor(credential: RedshiftCredential, user: string, database: string, now: number): boolean {
  const isUser = foldName(credential.dbUser) === foldName(user)
  const isDatabase = credential.database === undefined || foldName(credential.database) === foldName(database)
  return isUser && isDatabase && now < credential.expires
}

function pick(candidates: readonly RedshiftCredential[], password: string | undefined): RedshiftCredential | undefined {
  return candidates.find((credential) => credential.password.reveal() === password)
}

function rewriteGreeting(message: ServerMessage): Buffer {
  const {type, payload} = message
  const status = type === backend.parameterStatus ? decodeParameterStatus({payload, size: payload.length}) : undefined
  return status?.name === 'server_version' ? encodeParameterStatus(status.name, serverVersion) : asItIs(message)
}
