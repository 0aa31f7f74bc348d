import {BlockList, isIP} from 'node:net'
import {parseAddress, type Address} from './endpoint.js'

/** What no host has for others: this network, link-local with the metadata services of clouds, multicast, broadcast. */
const nowhere = new BlockList()
nowhere.addSubnet('0.0.0.0', 8, 'ipv4')
nowhere.addSubnet('169.254.0.0', 16, 'ipv4')
nowhere.addSubnet('224.0.0.0', 3, 'ipv4')
nowhere.addAddress('::', 'ipv6')
nowhere.addSubnet('fe80::', 10, 'ipv6')
nowhere.addSubnet('ff00::', 8, 'ipv6')

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

const holds = (list: BlockList, host: string): boolean => list.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4')

/** Whether an agent may name this host as its own; names that are no IP addresses may be anything until they are resolved. */
export function isAnnounceable(host: string): boolean {
  return !isIP(host) || !holds(nowhere, host)
}

export function isLoopback(host: string): boolean {
  return isIP(host) ? holds(loopback, host) : /^localhost\.?$/i.test(host)
}

/** The address in `host:port` when an agent may announce it. @throws PosternError INVALID when it is no address at all */
export function parseAnnounced(text: string): Address | undefined {
  const address = parseAddress(text)
  return address.port > 0 && isAnnounceable(address.host) ? address : undefined
}
