import {readFile} from 'node:fs/promises'
import type {Socket} from 'node:net'

/** Linux's tables of TCP sockets; the local address of the client's end stands in one of them with its user. */
const tables = ['/proc/net/tcp', '/proc/net/tcp6']

/**
 * The user that owns the other end of a loopback connection, from Linux's own table.
 * Undefined where that cannot be told (another system, or the connection is gone).
 */
export async function peerUid(socket: Socket): Promise<number | undefined> {
  const {remotePort, localPort} = socket
  if (remotePort === undefined || localPort === undefined) return undefined
  for (const table of tables) {
    const text = await readFile(table, 'utf8').catch(() => '')
    const uid = findOwner(text, remotePort, localPort)
    if (uid !== undefined) return uid
  }
  return undefined
}

/**
 * The owner of the socket whose local port is the client's and whose remote port is ours
 * (columns: sl, local_address, rem_address, st, tx:rx, tr:when, retrnsmt, uid; proc(5)).
 */
export function findOwner(table: string, clientPort: number, listenerPort: number): number | undefined {
  const hexadecimal = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0')
  for (const line of table.split('\n').slice(1)) {
    const [, local = '', remote = '', , , , , uid = ''] = line.trim().split(/\s+/)
    if (local.endsWith(`:${hexadecimal(clientPort)}`) && remote.endsWith(`:${hexadecimal(listenerPort)}`)) {
      const owner = Number(uid)
      return Number.isInteger(owner) ? owner : undefined
    }
  }
  return undefined
}
