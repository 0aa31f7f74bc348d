import {once} from 'node:events'
import type {AddressInfo, Server, Socket} from 'node:net'

/** Servers on 127.0.0.1 and all their connections, to be ended together. */
export class Listeners {
  readonly #servers: Server[] = []
  readonly #sockets = new Set<Socket>()

  /** Makes the server listen on a free port, and gives the port. */
  async open(server: Server): Promise<number> {
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    this.#servers.push(server)
    return (server.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    const closing = this.#servers.map((server) => once(server, 'close'))
    for (const server of this.#servers.splice(0)) server.close()
    for (const socket of this.#sockets) socket.destroy()
    await Promise.all(closing)
  }
}
