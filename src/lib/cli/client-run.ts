import {startLocalProxy, type LocalProxyOptions} from '../localproxy/local-proxy.js'
import type {DatabaseSession} from './database-session.js'
import {makePrivateSocket} from './private-socket.js'
import {postgresEnvironment, runProgram} from './program.js'

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
