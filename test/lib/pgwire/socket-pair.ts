import {once} from 'node:events'
import {connect, createServer, type Socket} from 'node:net'

/** Two ends of one TCP connection on loopback. */
export interface SocketPair {
  readonly client: Socket
  readonly server: Socket
  readonly close: () => void
}

export async function openSocketPair(): Promise<SocketPair> {
  const listener = createServer()
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const accepted = once(listener, 'connection') as Promise<[Socket]>
  const client = connect(address.port, '127.0.0.1')
  const [server] = await accepted
  for (const socket of [client, server]) socket.setNoDelay(true).on('error', () => undefined)
  const close = (): void => {
    client.destroy()
    server.destroy()
    listener.close()
  }
  return {client, server, close}
}

/** What the fake server does when the client has sent something: bytes to send, or `end` to hang up. */
export type Step = Buffer | 'end' | 'silence'

/** Plays a server that takes one step for each time it hears from the client; keeps what it heard. */
export function playServer(server: Socket, steps: readonly Step[]): {readonly heard: () => Buffer} {
  const heard: Buffer[] = []
  let next = 0
  server.on('data', (chunk: Buffer) => {
    heard.push(chunk)
    const step = steps[next]
    next += 1
    if (step === 'end') server.end()
    else if (step !== undefined && step !== 'silence') server.write(step)
  })
  return {heard: () => Buffer.concat(heard)}
}
