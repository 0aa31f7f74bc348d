import {connect, type Socket} from 'node:net'
import {splice} from '../tunnel/splice.js'
import type {Upstream} from './options.js'

const connectMilliseconds = 5000

/** Brings a connection to the Auth Service, `head` first; gives the reason when that cannot be reached. */
export async function passOn(client: Socket, head: Buffer, to: Upstream): Promise<{readonly failed?: string}> {
  if (to.kind === 'local') {
    to.accept(client, head)
    return {}
  }
  const upstream = connect({host: to.host, port: to.port, allowHalfOpen: true})
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
