/**
 * Whose connection it is, from Linux's tables of TCP sockets (proc(5)). Reading one takes milliseconds however few
 * connections there are, for the kernel walks its whole hash table: so it is done beside the event loop, and connections
 * that wait at the same time share a reading.
 */
import {readFile} from 'node:fs/promises'
import {isIPv4, type Socket} from 'node:net'
import {endianness} from 'node:os'

const tables = {IPv4: '/proc/net/tcp', IPv6: '/proc/net/tcp6'} as const
/** A line can be missed when others go while the table is read. */
const attempts = 2

/** Readings of one table; each serves whoever asked before it began. */
class SocketTable {
  readonly #path: string
  #reading: Promise<string> | undefined
  #next: Promise<string> | undefined

  constructor(path: string) {
    this.#path = path
  }

  /** The table as it is after this call; empty where there is none. */
  read(): Promise<string> {
    if (!this.#reading) return this.#begin()
    this.#next ??= this.#reading.then(() => {
      this.#next = undefined
      return this.#begin()
    })
    return this.#next
  }

  #begin(): Promise<string> {
    const reading = readFile(this.#path, 'latin1')
      .catch(() => '')
      .finally(() => {
        if (this.#reading === reading) this.#reading = undefined
      })
    this.#reading = reading
    return reading
  }
}

const socketTables = {IPv4: new SocketTable(tables.IPv4), IPv6: new SocketTable(tables.IPv6)} as const

/** One end of a TCP connection. */
export interface Endpoint {
  readonly address: string
  readonly port: number
}

/**
 * The user that owns the other end of a loopback connection.
 * Undefined where that cannot be told (another system, or the connection is gone).
 */
export async function peerUid(socket: Socket): Promise<number | undefined> {
  const {remoteAddress, remotePort, localAddress, localPort} = socket
  if (remoteAddress === undefined || remotePort === undefined) return undefined
  if (localAddress === undefined || localPort === undefined) return undefined
  const client = {address: remoteAddress, port: remotePort}
  const listener = {address: localAddress, port: localPort}
  // A client that dials ::ffff:127.0.0.1, as Java does, stands in the other table.
  const families = isIPv4(remoteAddress) ? (['IPv4', 'IPv6'] as const) : (['IPv6'] as const)
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    for (const family of families) {
      const owner = findOwner(await socketTables[family].read(), client, listener, family)
      // Who is gone by now may have left the port to somebody else.
      if (socket.destroyed) return undefined
      if (owner !== undefined) return owner
    }
  }
  return undefined
}

/** What the kernel prints for a socket that no process holds any more; it prints root as its user then. */
const noInode = '0'

/**
 * The owner of the socket whose local end is the client's and whose remote end is ours. Ports alone would not do: another
 * user may use the same one on another loopback address
 * (columns: sl, local_address, rem_address, st, tx:rx, tr:when, retrnsmt, uid, timeout, inode; proc(5)).
 */
export function findOwner(
  table: string,
  client: Endpoint,
  listener: Endpoint,
  family: keyof typeof tables,
): number | undefined {
  const ends = `: ${formatEndpoint(client, family)} ${formatEndpoint(listener, family)} `
  const start = table.indexOf(ends)
  const end = table.indexOf('\n', start)
  if (start < 0 || end < 0) return undefined
  const [, , , , uid = '', , inode = noInode] = table.slice(start + ends.length, end).split(/ +/)
  return /^\d+$/.test(uid) && inode !== noInode ? Number(uid) : undefined
}

/** As the kernel prints it: 32-bit words as they lie in memory, and the port. */
function formatEndpoint({address, port}: Endpoint, family: keyof typeof tables): string {
  const bytes = Buffer.from(family === 'IPv4' ? octetsOf(address) : bytesOf(address))
  if (endianness() === 'LE') bytes.swap32()
  return `${bytes.toString('hex')}:${port.toString(16).padStart(4, '0')}`.toUpperCase()
}

function octetsOf(address: string): number[] {
  return address.split('.').map(Number)
}

/** The 16 bytes of an IPv6 address, or of an IPv4 address as IPv6 writes it. */
function bytesOf(address: string): number[] {
  if (isIPv4(address)) return [...Array<number>(10).fill(0), 0xff, 0xff, ...octetsOf(address)]
  const [head = '', tail = ''] = address.replace(/%.*$/, '').split('::')
  const [first, last] = [head, tail].map((part) => part.split(':').filter(Boolean).flatMap(groupBytes))
  const known = (first?.length ?? 0) + (last?.length ?? 0)
  return [...(first ?? []), ...Array<number>(Math.max(0, 16 - known)).fill(0), ...(last ?? [])]
}

function groupBytes(group: string): number[] {
  if (group.includes('.')) return octetsOf(group)
  const value = parseInt(group, 16)
  return [value >> 8, value & 0xff]
}
