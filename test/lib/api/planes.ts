import {once} from 'node:events'
import type {IncomingMessage, ServerResponse} from 'node:http'
import https from 'node:https'
import type {AddressInfo, Server} from 'node:net'
import type {TLSSocket} from 'node:tls'
import type {Endpoint} from '../../../src/lib/api/transport.js'
import type {Authority, LeafRequest} from '../../../src/lib/pki/issuing.js'
import {cluster, hostIdentity, issue} from '../pki/issued.js'

export const serverName = `auth.${cluster}`

export type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** What a control plane's end of the wire looks like: HTTP over TLS on loopback, answering as the test says. */
export interface Plane {
  readonly port: number
  readonly server: Server
  /** The connections so far, newest last. */
  readonly sockets: readonly TLSSocket[]
  readonly endpoint: Endpoint
}

export interface PlaneOptions {
  readonly authority: Authority
  readonly certificate?: Partial<LeafRequest>
  readonly tls?: https.ServerOptions
  readonly answer?: Handler
}

const open: Server[] = []

export async function startPlane({authority, certificate, tls, answer}: PlaneOptions): Promise<Plane> {
  const host = await issue(authority, {
    purposes: ['server'],
    hosts: [serverName],
    identity: hostIdentity(),
    ...certificate,
  })
  const server = https.createServer(
    {
      cert: host.certificate,
      key: host.privateKey.reveal(),
      requestCert: true,
      rejectUnauthorized: false,
      // A test that is held up finds its connection where it left it.
      keepAliveTimeout: 0,
      ...tls,
    },
    answer ?? ((_request, response) => response.end('{}')),
  )
  const sockets: TLSSocket[] = []
  server.on('secureConnection', (socket: TLSSocket) => sockets.push(socket))
  const port = await listen(server)
  return {
    port,
    server,
    sockets,
    endpoint: {host: '127.0.0.1', port, serverName, authorities: [authority.certificate]},
  }
}

/** Listens on loopback until `closePlanes`. */
export async function listen(server: Server): Promise<number> {
  open.push(server)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return (server.address() as AddressInfo).port
}

export function closePlanes(): void {
  for (const server of open.splice(0)) {
    server.close()
    if (server instanceof https.Server) server.closeAllConnections()
  }
}

export const json =
  (status: number, body: unknown): Handler =>
  (_request, response) => {
    response.writeHead(status, {'content-type': 'application/json'}).end(JSON.stringify(body))
  }

export const text =
  (status: number, body: string): Handler =>
  (_request, response) => {
    response.writeHead(status).end(body)
  }
