import type {TransportOptions} from '../../src/lib/api/transport.js'

/** For requests on a machine that is held up. */
export const patience: TransportOptions = {connectTimeoutMilliseconds: 120_000, requestTimeoutMilliseconds: 120_000}
