/** A token bucket per key: as many at once as come in one second, and as many each second. */
export class Rate {
  readonly #buckets = new Map<string, {tokens: number; at: number}>()

  /** Takes one; false when there is none left. @param now monotonic milliseconds. */
  take(key: string, perSecond: number, now: number): boolean {
    if (perSecond === Infinity) return true
    const bucket = this.#buckets.get(key) ?? {tokens: perSecond, at: now}
    const tokens = Math.min(perSecond, bucket.tokens + ((now - bucket.at) / 1000) * perSecond)
    const isLeft = tokens >= 1
    this.#buckets.set(key, {tokens: isLeft ? tokens - 1 : tokens, at: now})
    return isLeft
  }
}
