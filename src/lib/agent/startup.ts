import type {Allowed} from '../access/decision.js'
import type {DatabaseType} from '../resources/endpoint.js'
import {longestName, readDatabaseUser} from '../resources/database-user.js'
import type {StartupMessage} from '../pgwire/first-packet.js'
import type {ServerError} from '../pgwire/server-error.js'
import {readStartupSettings} from '../pgwire/startup-options.js'
import type {Guest} from './admission.js'
import {fatal, sqlStates} from './failure.js'

/** Settings that would make the session another user's than the one that was decided on. */
const identitySettings: ReadonlySet<string> = new Set(['role', 'session_authorization'])

/** Parameters that the agent answers for itself. */
const ownParameters: ReadonlySet<string> = new Set(['user', 'database'])

/** Why a startup message is refused; undefined when it asks for what the certificate is for, and nothing special. */
export function refuseStartup(
  message: StartupMessage,
  {route, dbName}: Guest,
  type: DatabaseType,
): ServerError | undefined {
  const {user, database, parameters} = message
  if (user !== route.dbUser) {
    return fatal(
      sqlStates.notAuthorized,
      `The connection asks for database user "${user}", but its certificate is for "${route.dbUser}".`,
      `Log in to the database again with --db-user=${user}.`,
    )
  }
  if (database !== dbName) {
    return fatal(
      sqlStates.notAuthorized,
      `The connection asks for database "${database}", but its certificate is for "${dbName}".`,
      `Log in to the database again with --db-name=${database}.`,
    )
  }
  const names = readDatabaseUser(type, user).kind === 'name' ? [user, database] : [database]
  const cut = names.find((name) => Buffer.byteLength(name) > longestName(type))
  if (cut !== undefined) {
    return fatal(
      sqlStates.notAuthorized,
      `The name "${cut}" is longer than the ${longestName(type)} bytes that the server keeps of a name.`,
    )
  }
  const read = readStartupSettings(parameters)
  if (!read.ok) return fatal(read.sqlState, read.reason)
  const special = read.settings.find(({name}) => identitySettings.has(name))
  if (!special) return undefined
  return fatal(
    sqlStates.insufficientPrivilege,
    `A connection may not set "${special.name}" in its startup message.`,
    'Log in to the database as the user you want to be.',
  )
}

/** Values of `replication` that ask for an ordinary connection (PostgreSQL documentation, "Streaming Replication Protocol"). */
const noReplication: ReadonlySet<string | undefined> = new Set([undefined, 'false', 'off', 'no', '0'])

/** Why a replication connection is refused: it reads everything, whatever the database user may read. */
export function refuseReplication(
  {parameters}: StartupMessage,
  {replication}: Pick<Allowed, 'replication'>,
): ServerError | undefined {
  if (replication || noReplication.has(parameters.get('replication')?.toLowerCase())) return undefined
  return fatal(
    sqlStates.notAuthorized,
    'Replication connections are not allowed by your roles.',
    'A role that allows this database must say db_replication: true.',
  )
}

/**
 * Protocol extensions that go unanswered. Redshift's drivers may ask for compression, which would hide the session from the
 * audit; they read on whether they get it or not, and know no NegotiateProtocolVersion.
 */
export function unheardExtensions(type: DatabaseType): readonly string[] {
  return type === 'redshift' || type === 'redshift-serverless' ? ['_pq_.compression'] : []
}

/** The parameters that the server gets to see. */
export function forwardedParameters({parameters}: StartupMessage): ReadonlyMap<string, string> {
  return new Map([...parameters].filter(([name]) => !ownParameters.has(name)))
}
