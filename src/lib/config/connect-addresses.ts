import {PosternError} from '../core/errors.js'
import {formatAddress, parseAddress, type Address} from '../resources/endpoint.js'

/** Where to dial instead of an endpoint, by `host:port` in lower case. Names and signatures keep the endpoint. */
export type ConnectAddresses = ReadonlyMap<string, Address>

/**
 * Reads POSTERN_RESOLVE: `endpoint:port=address:port[,…]`.
 * @throws PosternError INVALID
 */
export function parseConnectAddresses(text: string | undefined): ConnectAddresses {
  const entries = (text ?? '').split(',').flatMap((entry) => entry.trim() || [])
  return new Map(
    entries.map((entry) => {
      const [endpoint = '', address, ...more] = entry.split('=')
      if (address === undefined || more.length > 0) throw malformed(entry)
      return [connectKey(read(endpoint, entry)), read(address, entry)]
    }),
  )
}

/** The key of an endpoint. */
export const connectKey = (endpoint: Address): string => formatAddress(endpoint).toLowerCase()

function read(text: string, entry: string): Address {
  try {
    const address = parseAddress(text.trim())
    if (address.port !== 0) return address
  } catch {
    // Said below, with the whole entry.
  }
  throw malformed(entry)
}

function malformed(entry: string): PosternError {
  return new PosternError('INVALID', `POSTERN_RESOLVE holds "${entry}", which is not endpoint:port=address:port.`)
}
