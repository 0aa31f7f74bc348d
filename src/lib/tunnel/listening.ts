import type {AddressInfo, ListenOptions, Server} from 'node:net'
import {messageOf, PosternError} from '../core/errors.js'
import type {Logger} from '../core/log.js'
import {formatAddress, type Address} from '../resources/endpoint.js'

export interface ListeningOptions {
  /** Who listens: `The proxy`. */
  readonly service: string
  /** What to do when it cannot. */
  readonly hint: string
  /** Connections that may wait to be accepted; as many as Node has it unless told. */
  readonly backlog?: number
  readonly logger: Logger
}

/**
 * Has the server of a service listen.
 * @returns where it does
 * @throws PosternError UNREACHABLE when it cannot
 */
export async function listenAs(
  server: Server,
  address: Address,
  {service, hint, backlog, logger}: ListeningOptions,
): Promise<Address> {
  try {
    await listen(server, {...address, ...(backlog !== undefined && {backlog})}, (error) => {
      logger.error('A connection could not be accepted.', {error: error.message})
    })
  } catch (cause) {
    const message = `${service} cannot listen on ${formatAddress(address)}: ${messageOf(cause)}.`
    throw new PosternError('UNREACHABLE', message, {hint, cause})
  }
  const {address: host, port} = server.address() as AddressInfo
  return {host, port}
}

/**
 * Has a server listen. When the system cannot accept a connection later, that one is lost and not the process, which an
 * `error` that nobody hears would end.
 */
export function listen(server: Server, at: ListenOptions, onLost: (error: Error) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(at, () => {
      server.off('error', reject).on('error', onLost)
      resolve()
    })
  })
}
