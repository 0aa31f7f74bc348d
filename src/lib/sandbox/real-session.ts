/** One session on the real server, from its startup message to its first ReadyForQuery. */
import type {Socket} from 'node:net'
import {PosternError} from '../core/errors.js'
import {decodeAuthentication} from '../pgwire/authentication.js'
import {readExactly} from '../pgwire/exact-read.js'
import {encodeStartup, type StartupMessage} from '../pgwire/first-packet.js'
import {backend} from '../pgwire/message-types.js'
import {decodeBackendKeyData, type BackendKey} from '../pgwire/server-messages.js'
import type {ServerMessage} from './admission.js'
import type {SessionOwner} from './open-sessions.js'
import type {RealPostgres} from './real-postgres.js'

const headerBytes = 5
const largestMessage = 65_536

export interface RealSession {
  readonly socket: Socket
  /**
   * Shows every message up to the first ReadyForQuery, and gives the key that cancels queries. After an ErrorResponse the
   * server closes the connection.
   */
  greet(show: (message: ServerMessage) => void): Promise<BackendKey | undefined>
}

/** Connects as the real user, with the client's other parameters. */
export async function openSession(
  postgres: RealPostgres,
  {user, database}: SessionOwner,
  startup: StartupMessage,
  withheld: ReadonlySet<string> = new Set(),
): Promise<RealSession> {
  const socket = await postgres.connectAs(user, database)
  socket.setNoDelay(true).on('error', () => undefined)
  const wanted = [...startup.parameters].filter(([name]) => !withheld.has(name))
  const parameters = new Map([...wanted, ['user', user], ['database', database]])
  socket.write(encodeStartup(startup.minor, parameters))
  return {
    socket,
    greet: async (show) => {
      let key: BackendKey | undefined
      for (;;) {
        const message = await readMessage(socket)
        const {type, payload} = message
        if (type === backend.authentication) checkOpen(payload)
        if (type === backend.backendKeyData) key = decodeBackendKeyData({payload, size: payload.length})
        show(message)
        if (type === backend.readyForQuery || type === backend.errorResponse) return key
      }
    },
  }
}

async function readMessage(socket: Socket): Promise<ServerMessage> {
  const header = await readExactly(socket, headerBytes)
  const size = header.readUInt32BE(1) - 4
  if (size < 0 || size > largestMessage) {
    throw new PosternError('FAILED', "The sandbox's PostgreSQL server sent something that is no sign-in.")
  }
  return {type: header.readUInt8(0), payload: await readExactly(socket, size)}
}

/** The client has shown its credentials already; the real server must not ask for more. */
function checkOpen(payload: Buffer): void {
  if (decodeAuthentication({payload, size: payload.length})?.kind === 'ok') return
  throw new PosternError('FAILED', "The sandbox's PostgreSQL server asks for a password.", {
    hint: 'Its pg_hba.conf has to let in the connections that the sandbox makes.',
  })
}
