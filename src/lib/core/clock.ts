/** Where time comes from; tests pass their own. */
export interface Clock {
  /** Wall-clock milliseconds since 1970, for certificates, expiry and events. */
  now(): number
  /** Monotonic milliseconds, for time-outs and freshness; unaffected by changes of the wall clock. */
  monotonic(): number
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
}
