import {connect, isIP} from 'node:net'
import {PosternError} from '../core/errors.js'
import {parseAddress, type Address} from '../resources/endpoint.js'
import {asUsage} from './usage.js'

/** Where a proxy may listen when nobody says a port, in production and by default. */
const usualProxyPorts = [443, 3080] as const
const probeMilliseconds = 5000

/** A proxy as people name it: the port may be missing. */
export interface ProxyAddress {
  readonly host: string
  readonly port?: number
}

/** `host`, `host:port`, with `https://` before it or not. @throws PosternError USAGE */
export function parseProxyAddress(text: string): ProxyAddress {
  const bare = text
    .trim()
    .replace(/^https:\/\//, '')
    .replace(/\/+$/, '')
  // Zero stands for none: no proxy listens there.
  const {host, port} = asUsage(() => parseAddress(isIP(bare) === 6 ? `[${bare}]` : bare, 0))
  return port === 0 ? {host: host.toLowerCase()} : {host: host.toLowerCase(), port}
}

/** Every address that may be meant. */
export function candidateAddresses({host, port}: ProxyAddress): Address[] {
  return (port === undefined ? usualProxyPorts : [port]).map((candidate) => ({host, port: candidate}))
}

/** Resolves when something listens at an address; rejects when nothing does, in time or before the signal. */
export function probe({host, port}: Address, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      socket.destroy()
      reject(new PosternError('UNREACHABLE', `Nothing answers at ${host}:${port}: ${why}.`))
    }
    const socket = connect({host, port, timeout: probeMilliseconds})
    socket.once('connect', () => {
      socket.destroy()
      resolve()
    })
    socket.once('timeout', () => {
      fail(`no answer within ${probeMilliseconds} ms`)
    })
    socket.once('error', ({message}) => {
      fail(message)
    })
    signal.addEventListener('abort', () => {
      fail('given up')
    })
  })
}

export function unreachable({host, port}: ProxyAddress, causes: readonly unknown[]): PosternError {
  const ports = port === undefined ? `ports ${usualProxyPorts.join(' and ')}` : `port ${port}`
  return new PosternError('UNREACHABLE', `No proxy answers at ${host} on ${ports}.`, {
    cause: new AggregateError(causes),
    hint: 'Check the address; name the port if it is another, as in --proxy=HOST:PORT.',
  })
}
