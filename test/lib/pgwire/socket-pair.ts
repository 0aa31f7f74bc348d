import {randomUUID} from 'node:crypto'
import {once} from 'node:events'
import {connect, createServer, type AddressInfo, type ListenOptions, type Socket} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

/** Two ends of one connection. */
export interface SocketPair {
  readonly client: Socket
  readonly server: Socket
  readonly close: () => void
}

/** Not of TCP unless told: thousands of these would hold their ports for a minute each, and leave none to others. */
export async function openSocketPair(
  at: ListenOptions = {path: join(tmpdir(), `pair-${randomUUID()}`)},
): Promise<SocketPair> {
  const listener = createServer()
  listener.listen(at)
  await once(listener, 'listening')
  const accepted = once(listener, 'connection') as Promise<[Socket]>
  const {host, path} = at
  const client = connect(path === undefined ? {host, port: (listener.address() as AddressInfo).port} : {path})
  const [server] = await accepted
  for (const socket of [client, server]) socket.on('error', () => undefined)
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
