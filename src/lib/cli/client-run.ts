import {PosternError} from '../core/errors.js'
import {startLocalProxy, type LocalProxyOptions} from '../localproxy/local-proxy.js'
import type {DatabaseSession} from './database-session.js'
import {libpqVariables, type DirectConnection} from './direct-mode.js'
import {makePrivateSocket} from './private-socket.js'
import {postgresEnvironment, runProgram, withoutPostgresVariables} from './program.js'
import {psqlVersion} from './psql-version.js'

/**
 * Runs a PostgreSQL client with this session's database behind a UNIX socket that only this user can reach; the PG*
 * variables lead there.
 * @returns its exit code
 */
export async function runClient(
  session: DatabaseSession,
  [command = 'psql', ...words]: readonly string[],
  onSession?: LocalProxyOptions['onSession'],
): Promise<number> {
  const socket = await makePrivateSocket()
  try {
    // psql connects once; other programs may come and go.
    const keepSpares = command !== 'psql'
    const proxy = await startLocalProxy({
      listen: {kind: 'unix', path: socket.path},
      source: session,
      keepSpares,
      onSession,
    })
    try {
      proxy.prepare()
      const {dbUser: user, dbName: database} = session.route
      const place = {host: socket.directory, port: socket.port, user, database}
      return await runProgram(command, words, postgresEnvironment(process.env, place))
    } finally {
      await proxy.close()
    }
  } finally {
    await socket.remove()
  }
}

/** libpq sends server names from this version on, and cancel requests over TLS from the other. */
const firstVersion = {withServerName: 14, cancellingOverTls: 17} as const

/**
 * Runs psql so that it goes to the proxy by itself, certificate in hand.
 * @param onNotice what somebody at a terminal should know before
 * @returns its exit code
 * @throws PosternError FAILED when psql is missing or too old, UNREACHABLE when the proxy's address is unknown
 */
export async function runDirectClient(
  connection: DirectConnection,
  words: readonly string[],
  onNotice: (notice: string) => void,
): Promise<number> {
  if (connection.hostaddr === undefined) {
    throw new PosternError('UNREACHABLE', 'The address of the proxy cannot be found.', {
      hint: 'Check the name of the proxy in `postern status`, and your DNS.',
    })
  }
  const version = await psqlVersion()
  if (version < firstVersion.withServerName) {
    throw new PosternError('FAILED', `psql ${version} cannot go to the proxy by itself: it sends no server name.`, {
      hint: `Leave out --no-tunnel, or install psql ${firstVersion.withServerName} or newer.`,
    })
  }
  if (version < firstVersion.cancellingOverTls) {
    onNotice(
      `Ctrl-C cannot cancel queries here: psql before version ${firstVersion.cancellingOverTls} asks for that without TLS. Without --no-tunnel it can.`,
    )
  }
  return runProgram('psql', words, {...withoutPostgresVariables(process.env), ...libpqVariables(connection)})
}
