import {once} from 'node:events'
import {createServer, type AddressInfo, type Socket} from 'node:net'
import {createServer as createTlsServer, type TLSSocket} from 'node:tls'
import {cstring, encodeMessage} from '../../../src/lib/pgwire/message.js'
import {backend} from '../../../src/lib/pgwire/message-types.js'
import {
  authenticationOk,
  encodeBackendKeyData,
  encodeParameterStatus,
  encodeReadyForQuery,
} from '../../../src/lib/pgwire/server-messages.js'
import {encodeErrorResponse} from '../../../src/lib/pgwire/server-error.js'
import type {Credentials} from '../../../src/lib/pki/credentials.js'

/** One connection of an agent, as the server saw it. */
export interface Visit {
  /** Bytes that came before TLS. */
  clear: Buffer
  /** Bytes inside of TLS, the startup message first. */
  secured: Buffer
  closed: boolean
}

export interface FalseServer {
  readonly port: number
  readonly visits: Visit[]
  /** The session that is ready for queries. */
  session: TLSSocket | undefined
  stop(): Promise<void>
}

/** What the server does instead of PostgreSQL's part; everything else it does properly. */
export interface Falsehood {
  /** In the place of the `S` that agrees to TLS. */
  readonly answer?: string
  /** Clear text after the answer, in a segment of its own. */
  readonly afterAnswer?: string
  /** As RDS Proxy: no BackendKeyData, so nothing can be cancelled. */
  readonly keyless?: boolean
  /** The secret of BackendKeyData, of whatever length. */
  readonly secret?: Buffer
  /** Where it listens; at any port of 127.0.0.1 unless told. */
  readonly at?: {readonly host: string; readonly port: number}
  /** As PostgreSQL of before 2018: of protocol 3 it takes 3.0 only. */
  readonly old?: boolean
}

/** A server with a certificate that the agent trusts, and with no intention to behave; it keeps what it is sent. */
export async function startFalseServer(
  {certificate, privateKey}: Credentials,
  {
    answer = 'S',
    afterAnswer,
    keyless = false,
    secret = Buffer.from([1, 2, 3, 4]),
    at = {host: '127.0.0.1', port: 0},
    old = false,
  }: Falsehood = {},
): Promise<FalseServer> {
  const signedIn = Buffer.concat([
    authenticationOk,
    encodeParameterStatus('server_version', '17.0'),
    ...(keyless ? [] : [encodeBackendKeyData({pid: 4711, secret})]),
    encodeReadyForQuery('I'),
  ])
  const sockets = new Set<Socket>()
  const visitOf = new Map<string, Visit>()
  const tls = createTlsServer({
    cert: certificate,
    key: privateKey.reveal(),
    requestCert: true,
    rejectUnauthorized: false,
  })
  tls.on('tlsClientError', (_error, socket) => socket.destroy())
  tls.on('secureConnection', (socket) => {
    const visit = visitOf.get(String(socket.remotePort))
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      if (visit) visit.secured = Buffer.concat([visit.secured, chunk])
    })
    socket.once('data', (first: Buffer) => {
      if (old && first.readUInt16BE(6) !== 0) {
        socket.end(encodeErrorResponse({severity: 'FATAL', code: '0A000', message: 'unsupported frontend protocol'}))
        return
      }
      server.session = socket
      socket.write(signedIn)
    })
  })
  const tcp = createServer((socket) => {
    const visit: Visit = {clear: Buffer.alloc(0), secured: Buffer.alloc(0), closed: false}
    server.visits.push(visit)
    visitOf.set(String(socket.remotePort), visit)
    sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('error', () => undefined).once('close', () => (visit.closed = true))
    const onData = (chunk: Buffer): void => {
      visit.clear = Buffer.concat([visit.clear, chunk])
      if (visit.clear.length > chunk.length) return
      if (answer !== 'S' || afterAnswer !== undefined) {
        socket.write(answer)
        setTimeout(() => socket.write(afterAnswer ?? ''), 20)
        return
      }
      socket.off('data', onData)
      tls.emit('connection', socket)
      socket.write('S')
    }
    socket.on('data', onData)
  }).listen(at)
  await once(tcp, 'listening')
  const server: FalseServer = {
    port: (tcp.address() as AddressInfo).port,
    visits: [],
    session: undefined,
    stop: async () => {
      for (const socket of sockets) socket.destroy()
      tcp.close()
      await once(tcp, 'close')
    },
  }
  return server
}

/** What an honest server answers to any query: no rows. */
export const emptyAnswer = Buffer.concat([
  encodeMessage(backend.commandComplete, cstring('SELECT 0')),
  encodeReadyForQuery('I'),
])
