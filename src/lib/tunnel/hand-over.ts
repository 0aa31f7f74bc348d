import type {Socket} from 'node:net'
import type {Server} from 'node:tls'
import {afterRunning} from '../core/running-time.js'

/** When the time for a handshake is over, a process that was held up has this long to read what came meanwhile. */
const graceMilliseconds = 1000

/**
 * Gives a peeked connection to a TLS server of this process, as if the server had accepted it: the bytes in `head`
 * come first. The server need not listen; give it `destroyFailedHandshakes`.
 */
export function handOver(socket: Socket, head: Buffer, server: Server): void {
  if (socket.destroyed) return
  // The TLS socket takes this over from the raw one; TLS knows no half-open connection.
  socket.allowHalfOpen = false
  socket.unshift(head)
  server.emit('connection', socket)
}

/** Closes connections whose handshake failed or took too long; Node reports these, but leaves the socket open. */
export function destroyFailedHandshakes(server: Server, onFailure: (error: Error, source: string) => void): void {
  const late = new WeakMap<Socket, () => void>()
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
    const end = (): void => {
      onFailure(error, formatSource(socket))
      socket.destroy()
    }
    if (error.code !== 'ERR_TLS_HANDSHAKE_TIMEOUT') {
      end()
      return
    }
    const forget = afterRunning(graceMilliseconds, end)
    late.set(socket, forget)
    socket.once('close', forget)
  })
  server.on('secureConnection', (socket) => {
    late.get(socket)?.()
  })
}

/** `ip:port` of a connection's other end. */
export function formatSource(socket: Socket): string {
  const address = remoteAddressOf(socket)
  return `${address.includes(':') ? `[${address}]` : address}:${socket.remotePort ?? 0}`
}

/** The other end's address, IPv4 without the wrapping of a dual-stack listener. */
export function remoteAddressOf(socket: Socket): string {
  return (socket.remoteAddress ?? 'unknown').replace(/^::ffff:(?=\d+\.)/, '')
}
