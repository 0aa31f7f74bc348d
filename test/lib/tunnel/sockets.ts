import {once} from 'node:events'
import net from 'node:net'
import tls from 'node:tls'

/** Everything opened in a test, closed after it. */
const opened: (() => void)[] = []

export function closeOpened(): void {
  for (const close of opened.splice(0)) close()
}

export function track<T extends net.Socket>(socket: T): T {
  socket.on('error', () => undefined)
  opened.push(() => socket.destroy())
  return socket
}

export async function listen(
  onConnection: (socket: net.Socket) => void,
  options: net.ServerOpts = {},
): Promise<{host: string; port: number}> {
  const server = net.createServer(options, (socket) => {
    onConnection(track(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.push(() => server.close())
  return {host: '127.0.0.1', port: (server.address() as net.AddressInfo).port}
}

/** Two ends of one TCP connection. */
export function socketPair(options: net.ServerOpts = {}): Promise<{near: net.Socket; far: net.Socket}> {
  return new Promise((resolve, reject) => {
    listen((far) => {
      resolve({near, far})
    }, options).then((address) => {
      near = track(net.connect({...address, allowHalfOpen: options.allowHalfOpen ?? false}))
    }, reject)
    let near: net.Socket
  })
}

/** The first flight of a TLS client. */
export function captureClientHello(options: tls.ConnectionOptions = {}): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    listen((socket) => socket.once('data', resolve)).then((address) => {
      track(tls.connect({...address, rejectUnauthorized: false, ...options}))
    }, reject)
  })
}

/** Everything the other end sends until it ends, or resets the connection over bytes that it has not read. */
export async function readAll(socket: net.Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).resume()
  await new Promise((resolve) => socket.once('end', resolve).once('close', resolve))
  return Buffer.concat(chunks)
}

/** Resolves once the condition holds. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}
