/** Counts what is under way by key, up to a limit each. */
export class Cap {
  readonly #limit: number
  readonly #counts = new Map<string, number>()

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Takes a place and returns how to give it back (once; again does nothing); undefined when all are taken. */
  enter(key: string): (() => void) | undefined {
    const count = this.#counts.get(key) ?? 0
    if (count >= this.#limit) return undefined
    this.#counts.set(key, count + 1)
    let left = false
    return () => {
      if (left) return
      left = true
      const now = (this.#counts.get(key) ?? 1) - 1
      if (now === 0) this.#counts.delete(key)
      else this.#counts.set(key, now)
    }
  }
}
