import {createServer, type AddressInfo, type Server, type Socket} from 'node:net'
import {messageOf, PosternError} from '../core/errors.js'
import type {Secret} from '../core/secret.js'
import {listen} from '../tunnel/listening.js'
import {AgentConnections} from './agent-connections.js'
import {serveClient, type ConnectTimes} from './connection.js'
import {peerUid} from './peer-uid.js'
import {describePortOwner} from './port-owner.js'
import type {UpstreamSource} from './upstream.js'

export type ListenAt =
  /** A UNIX socket whose directory only its owner can enter. */
  | {readonly kind: 'unix'; readonly path: string}
  /** 127.0.0.1 and ::1; port 0 takes a free one. */
  | {readonly kind: 'loopback'; readonly port: number}

export interface LocalProxyOptions {
  readonly listen: ListenAt
  readonly source: UpstreamSource
  /** Who may connect over loopback: this user alone. Needs Linux; `undefined` lets anyone on this machine in. */
  readonly onlyUid?: number | undefined
  /** Asked for from each client, where the system cannot tell whose connection it is. */
  readonly password?: Secret | undefined
  /** After a connection was used another one is made ready, which pays where clients come and go. */
  readonly keepSpares?: boolean
  /** Called for each session when its database has answered, before the client hears of it. */
  readonly onSession?: ((times: ConnectTimes) => void) | undefined
}

export interface LocalProxy {
  /** The TCP port; 0 for a UNIX socket. */
  readonly port: number
  readonly connections: () => number
  /** Begins to connect to an agent, for a client that is about to come. */
  prepare(): void
  /** Stops listening and ends the connections. */
  close(): Promise<void>
}

/**
 * Listens on this machine and carries each connection to an agent.
 * @throws PosternError ALREADY_EXISTS when the port is taken
 */
export async function startLocalProxy(options: LocalProxyOptions): Promise<LocalProxy> {
  const clients = new Set<Socket>()
  const agents = new AgentConnections(options.source, {keepSpares: options.keepSpares ?? false})
  const serve = (client: Socket): void => {
    clients.add(client)
    client.once('close', () => clients.delete(client))
    const {password, onSession} = options
    void serveClient(client, {agents, admitted: isAdmitted(client, options), password, onSession})
  }
  const servers: Server[] = []
  const open = async (at: {path: string} | {host: string; port: number}): Promise<Server> => {
    const server = createServer({allowHalfOpen: true, noDelay: true, pauseOnConnect: false}, serve)
    await listenHere(server, at)
    servers.push(server)
    return server
  }

  let port = 0
  if (options.listen.kind === 'unix') {
    await open({path: options.listen.path})
  } else {
    port = await openLoopback(options.listen.port, open)
  }

  return {
    port,
    connections: () => clients.size,
    prepare: () => void agents.prepare(),
    close: async () => {
      agents.close()
      const closed = servers.map((server) => new Promise((resolve) => server.close(resolve)))
      for (const client of clients) client.destroy()
      await Promise.all(closed)
    },
  }
}

type Open = (at: {host: string; port: number}) => Promise<Server>

const portAttempts = 5

/** Opens the same port of both loopback addresses; where any will do, another one when only the second has it taken. */
async function openLoopback(wanted: number, open: Open): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    const server = await open({host: '127.0.0.1', port: wanted})
    const {port} = server.address() as AddressInfo
    try {
      await open({host: '::1', port})
      return port
    } catch (error) {
      // A machine without IPv6 does without.
      if (!(error instanceof PosternError) || error.code !== 'ALREADY_EXISTS') return port
      server.close()
      if (wanted !== 0 || attempt === portAttempts) throw error
    }
  }
}

/** Whether the client belongs to the user who may use this tunnel (case D09). */
async function isAdmitted(client: Socket, {listen, onlyUid}: LocalProxyOptions): Promise<boolean> {
  return listen.kind === 'unix' || onlyUid === undefined || (await peerUid(client)) === onlyUid
}

async function listenHere(server: Server, at: {path: string} | {host: string; port: number}): Promise<void> {
  try {
    await listen(server, at, ignore)
  } catch (error) {
    const where = 'path' in at ? at.path : `${at.host}:${at.port}`
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') {
      throw new PosternError('FAILED', `Cannot listen on ${where}: ${messageOf(error)}.`, {cause: error})
    }
    const owner = 'port' in at ? await describePortOwner(at.port) : undefined
    throw new PosternError('ALREADY_EXISTS', `${where} is already in use${owner ? ` by ${owner}` : ''}.`, {
      cause: error,
      hint: 'End that, or choose another port with --port.',
    })
  }
}

function ignore(): void {
  // That client is lost, and sees it.
}
