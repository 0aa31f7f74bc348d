import {lookup} from 'node:dns/promises'
import {BlockList, isIP, type LookupFunction} from 'node:net'
import {connectKey, type ConnectAddresses} from '../config/connect-addresses.js'
import {messageOf, PosternError} from '../core/errors.js'
import {parseAddress} from '../resources/endpoint.js'
import type {Served} from './catalog.js'

/** Where a database was found: what was resolved once is what is dialled, checked and cancelled. */
export interface TargetAddress {
  /** Host and port as the database resource names them. */
  readonly host: string
  readonly port: number
  /** The port to dial; another than `port` only when the host's configuration says so. */
  readonly dialPort: number
  /** At least one. */
  readonly addresses: readonly {readonly address: string; readonly family: 4 | 6}[]
}

/** Loopback, link-local and metadata addresses: a database that a user created must not aim the agent at them. */
const forbidden = new BlockList()
forbidden.addSubnet('0.0.0.0', 8, 'ipv4')
forbidden.addSubnet('127.0.0.0', 8, 'ipv4')
forbidden.addSubnet('169.254.0.0', 16, 'ipv4') // link-local, with the metadata services of AWS, Google Cloud and Azure
forbidden.addAddress('168.63.129.16', 'ipv4') // Azure's host
forbidden.addAddress('100.100.100.200', 'ipv4') // Alibaba Cloud's metadata service
forbidden.addAddress('::', 'ipv6')
forbidden.addAddress('::1', 'ipv6')
forbidden.addSubnet('fe80::', 10, 'ipv6')
forbidden.addSubnet('fd00:ec2::', 32, 'ipv6') // AWS' metadata service and its neighbours
// The same IPv4 addresses as NAT64 writes them (RFC 6052).
forbidden.addSubnet('64:ff9b::', 104, 'ipv6')
forbidden.addSubnet('64:ff9b::7f00:0', 104, 'ipv6')
forbidden.addSubnet('64:ff9b::a9fe:0', 112, 'ipv6')

/** Whether a database that a user created may not be at this IP address. */
export function isForbiddenAddress(address: string): boolean {
  return forbidden.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}

/** How addresses are resolved on this host. */
export interface TargetRules {
  readonly allowLoopback: boolean
  /** The host's own configuration: where to dial instead. */
  readonly connectAddresses: ConnectAddresses
}

/**
 * Resolves a database's address.
 * @throws PosternError UNREACHABLE when the name cannot be resolved, ACCESS_DENIED when it leads where it must not
 */
export async function resolveTarget(
  {database, origin}: Served,
  {allowLoopback, connectAddresses}: TargetRules,
): Promise<TargetAddress> {
  const {host, port} = parseAddress(database.spec.uri)
  const detour = connectAddresses.get(connectKey({host, port}))
  const dialled = detour ?? {host, port}
  const found = await lookup(dialled.host, {all: true}).catch((error: unknown) => {
    throw new PosternError('UNREACHABLE', `The host name "${dialled.host}" of the database cannot be resolved.`, {
      cause: error,
      problem: 'name-not-found',
      detail: `The DNS of the agent’s host has no address for the name (${(error as NodeJS.ErrnoException).code ?? messageOf(error)}).`,
      hint: `Correct the uri of the database, or the DNS of the agent’s host. Test it there: getent hosts ${dialled.host}`,
    })
  })
  if (origin === 'dynamic' && !detour && !allowLoopback && found.some(({address}) => isForbiddenAddress(address))) {
    throw new PosternError(
      'ACCESS_DENIED',
      `"${host}" leads to a loopback, link-local or metadata address, where a database resource must not lead.`,
      {hint: 'Serve this database from the configuration file of the agent.'},
    )
  }
  const addresses = found.map(({address, family}) => ({address, family: family === 6 ? (6 as const) : (4 as const)}))
  return {host, port, dialPort: dialled.port, addresses}
}

/** Answers a socket's question for the host with what was resolved before. */
export function lookupOf({addresses}: TargetAddress): LookupFunction {
  return (_host, options, answer) => {
    const usable = addresses.filter(({family}) => !options.family || options.family === family)
    if (options.all) answer(null, [...usable])
    else answer(null, usable[0]?.address ?? '', usable[0]?.family)
  }
}
