import {afterEach, describe, expect, it} from '@jest/globals'
import {once} from 'node:events'
import {connect, createServer, type AddressInfo, type Socket} from 'node:net'
import {networkInterfaces} from 'node:os'
import {findOwner, peerUid} from '../../../src/lib/localproxy/peer-uid.js'

const header = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode'
const row = (local: string, remote: string, uid: number, inode = 4711): string =>
  `   1: ${local} ${remote} 01 00000000:00000000 00:00000000 00000000 ${String(uid).padStart(5)}        0 ${inode} 1 0 20 4`
const table = (...rows: string[]): string => [header, ...rows, ''].join('\n')
const client = {address: '127.0.0.1', port: 0xc350}
const listener = {address: '127.0.0.1', port: 0x1538}

describe("a connection's owner in the kernel's table", () => {
  it('is that of the row with both ends', () => {
    const text = table(
      row('0100007F:1538', '0100007F:C350', 0),
      row('0100007F:C350', '0100007F:1538', 1000),
      row('0100007F:C351', '0100007F:1538', 1001),
    )
    expect(findOwner(text, client, listener, 'IPv4')).toBe(1000)
    expect(findOwner(text, {...client, port: 0xc351}, listener, 'IPv4')).toBe(1001)
    expect(findOwner(text, {...client, port: 0xc352}, listener, 'IPv4')).toBeUndefined()
  })

  it('is not that of the same port on another address', () => {
    const elsewhere = [row('0200007F:C350', '0100007F:1538', 1000), row('0100007F:C350', '0A00A8C0:1538', 1000)]
    expect(findOwner(table(...elsewhere), client, listener, 'IPv4')).toBeUndefined()
    expect(findOwner(table(...elsewhere, row('0100007F:C350', '0100007F:1538', 1001)), client, listener, 'IPv4')).toBe(
      1001,
    )
  })

  it('is unknown once its process has closed it, when the kernel calls it root', () => {
    expect(findOwner(table(row('0100007F:C350', '0100007F:1538', 0, 0)), client, listener, 'IPv4')).toBeUndefined()
  })

  it('is found for IPv6, and for IPv4 as an IPv6 socket dials it', () => {
    const loopback = '00000000000000000000000001000000'
    const mapped = '0000000000000000FFFF00000100007F'
    const text = table(
      row(`${loopback}:C350`, `${loopback}:1538`, 1000),
      row(`${mapped}:C350`, `${mapped}:1538`, 1001),
      row('B80D0120000000000000000005000000:C350', `${loopback}:1538`, 1002),
    )
    const six = {address: '::1', port: 0x1538}
    expect(findOwner(text, {address: '::1', port: 0xc350}, six, 'IPv6')).toBe(1000)
    expect(findOwner(text, client, listener, 'IPv6')).toBe(1001)
    expect(findOwner(text, {address: '2001:db8::5', port: 0xc350}, six, 'IPv6')).toBe(1002)
  })
})

const open: {close(): unknown}[] = []
afterEach(() => {
  for (const one of open.splice(0)) one.close()
})

const onLinux = process.platform === 'linux'
const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({address}) => address === '::1'))

describe('the owner of a live connection', () => {
  it.each(['127.0.0.1', ...(hasIpv6 ? ['::1', '::ffff:127.0.0.1'] : [])])(
    onLinux ? 'is this user, dialled as %s' : 'is unknown on this system, dialled as %s',
    async (host) => {
      const accepted: Promise<number | undefined>[] = []
      const server = createServer((socket: Socket) => {
        accepted.push(peerUid(socket.on('error', () => undefined)))
      })
      open.push(server)
      server.listen(0, host === '::1' ? host : '127.0.0.1')
      await once(server, 'listening')
      const clients = Array.from({length: 20}, () => connect((server.address() as AddressInfo).port, host))
      for (const socket of clients) open.push({close: () => socket.destroy()})
      await Promise.all(clients.map((socket) => once(socket, 'connect')))
      while (accepted.length < clients.length) await new Promise((resolve) => setTimeout(resolve, 1))
      expect(new Set(await Promise.all(accepted))).toEqual(new Set([onLinux ? process.getuid?.() : undefined]))
    },
  )
})
