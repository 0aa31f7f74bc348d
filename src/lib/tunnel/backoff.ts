export interface Backoff {
  readonly firstMilliseconds: number
  readonly mostMilliseconds: number
}

export const defaultBackoff: Backoff = {firstMilliseconds: 500, mostMilliseconds: 15_000}

/** Milliseconds before retry number `attempt` (from 0): doubling, and half of it random so that agents do not come back all at once. */
export function retryDelay(attempt: number, backoff: Backoff, random: number = Math.random()): number {
  const full = Math.min(backoff.mostMilliseconds, backoff.firstMilliseconds * 2 ** attempt)
  return full * (0.5 + random / 2)
}
