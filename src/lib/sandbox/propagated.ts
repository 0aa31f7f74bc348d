/** A setting whose changes are seen by its readers at once and take effect later, as IAM's do. */
export class Propagated<T> {
  /** In the order they were set; never empty. */
  #entries: readonly {readonly value: T; readonly effectiveAt: number}[]

  constructor(value: T) {
    this.#entries = [{value, effectiveAt: -Infinity}]
  }

  /** What was set last. */
  get latest(): T {
    return this.#newest(() => true)
  }

  /** @param effectiveAt milliseconds since 1970. */
  set(value: T, effectiveAt: number): void {
    this.#entries = [...this.#entries, {value, effectiveAt}]
  }

  /** What counts at that time. */
  at(now: number): T {
    return this.#newest((effectiveAt) => effectiveAt <= now)
  }

  #newest(test: (effectiveAt: number) => boolean): T {
    const entry = this.#entries.findLast(({effectiveAt}) => test(effectiveAt)) ?? this.#entries[0]
    return (entry as {readonly value: T}).value
  }
}
