import {connect, type Socket} from 'node:net'
import {splice} from '../tunnel/splice.js'

const connectMilliseconds = 5000

/** Splices a connection to an address, `head` first; gives the reason when it cannot be reached. */
export async function spliceToAddress(
  client: Socket,
  head: Buffer,
  address: {readonly host: string; readonly port: number},
): Promise<{readonly failed?: string}> {
  const upstream = connect({host: address.host, port: address.port, allowHalfOpen: true})
  const abandon = (): void => {
    upstream.destroy()
  }
  client.once('close', abandon)
  const failure = await connected(upstream)
  client.off('close', abandon)
  if (failure !== undefined) {
    client.destroy()
    return {failed: failure}
  }
  upstream.write(head)
  await splice(client, upstream)
  return {}
}

function connected(socket: Socket): Promise<string | undefined> {
  return new Promise((resolve) => {
    let reason = 'the connection closed'
    const timer = setTimeout(() => {
      reason = 'no connection in time'
      socket.destroy()
    }, connectMilliseconds)
    const finish = (failure: string | undefined): void => {
      clearTimeout(timer)
      resolve(failure)
    }
    socket.on('error', (error) => {
      reason = error.message
    })
    socket.once('connect', () => {
      finish(undefined)
    })
    socket.once('close', () => {
      finish(reason)
    })
  })
}
