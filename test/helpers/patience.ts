import type {TransportOptions} from '../../src/lib/api/transport.js'
import type {ProxyTiming} from '../../src/lib/proxy/options.js'

/** For requests on a machine that is held up. */
export const patience: TransportOptions = {connectTimeoutMilliseconds: 120_000, requestTimeoutMilliseconds: 120_000}

/** Of a proxy, so that a machine that is held up loses no connection by it: tests of a deadline set their own. */
export const proxyPatience = {
  peekMilliseconds: 120_000,
  handshakeMilliseconds: 120_000,
  openMilliseconds: 60_000,
  answerMilliseconds: 60_000,
  lastMilliseconds: 60_000,
  waitMilliseconds: 60_000,
  pulse: {pingMilliseconds: 5000, deadMilliseconds: 120_000},
} satisfies ProxyTiming
